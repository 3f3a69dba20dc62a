// Falling notes: the picture of `timbre notes` at one moment. Sizes are of a picture 1080 high and follow the smaller side.
import { type Hit, notesOf, soundingOf } from "../model/drums";

const kStrike = 0.85; // of the height
const kSpeed = 0.4; // heights a second
const kPulse = 0.08; // seconds about a hit in which it glows

function roundedBox(context: CanvasRenderingContext2D, x: number, y: number, width: number, height: number, radius: number): void {
  context.beginPath();
  context.roundRect(x, y, width, height, Math.min(radius, height / 2));
}

export function paintNotes(canvas: HTMLCanvasElement, hits: readonly Hit[], seconds: number, beats: readonly number[], steady: boolean): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  const unit = Math.min(width, height) / 1080;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height);
  const notes = notesOf(hits);
  const names = [...new Set(notes.filter((note) => soundingOf(note).voice.shape !== "bar").map((note) => soundingOf(note).lane.name))];
  const lane = width / Math.max(1, names.length);
  const strike = kStrike * height;
  const speed = kSpeed * height;
  const yOf = (time: number) => strike - (time - seconds) * speed;
  context.fillStyle = "#333";
  for (const beat of beats) {
    const y = yOf(beat);
    if (y > 0 && y < height) context.fillRect(0, y, width, Math.max(1, 2 * unit));
  }
  context.fillStyle = "#505050";
  names.forEach((_, i) => context.fillRect((i + 0.5) * lane, 0, Math.max(1, unit), strike));
  // What is seen lies between the top and a little below the line.
  const from = seconds - (height - strike) / speed;
  const to = seconds + strike / speed;
  let first = 0;
  let last = hits.length;
  while (first < last) {
    const middle = (first + last) >> 1;
    if ((hits[middle] as Hit).seconds < from) first = middle + 1;
    else last = middle;
  }
  for (let i = first; i < hits.length; ++i) {
    const hit = hits[i] as Hit;
    if (hit.seconds > to) break;
    const { lane: row, voice } = soundingOf(hit.note);
    const y = yOf(hit.seconds);
    const strength = 0.35 + (0.65 * hit.velocity) / 127;
    const below = Math.max(0, Math.min(1, (y - strike) / (height - strike)));
    const near = Math.max(0, 1 - Math.abs(hit.seconds - seconds) / kPulse);
    const pulse = steady ? 0 : Math.sin((near * Math.PI) / 2);
    context.globalAlpha = (1 - 0.8 * below) * strength;
    context.fillStyle = context.strokeStyle = row.colour;
    context.lineWidth = 6 * unit;
    if (voice.shape === "bar") {
      const tall = (30 + 8 * pulse) * unit;
      context.fillRect(0, y - tall, width, tall);
    } else {
      const x = names.indexOf(row.name) * lane + 10 * unit;
      const wide = Math.max(4, lane - 20 * unit);
      const tall = 60 * unit;
      const middle = x + wide / 2;
      if (voice.shape === "ring") {
        roundedBox(context, x + 3 * unit, y - tall, wide - 6 * unit, tall, tall / 2);
        context.stroke();
      } else if (voice.shape === "diamond") {
        context.beginPath();
        context.moveTo(middle, y - tall);
        context.lineTo(x + wide, y - tall / 2);
        context.lineTo(middle, y);
        context.lineTo(x, y - tall / 2);
        context.fill();
      } else if (voice.shape === "cross") {
        context.beginPath();
        context.moveTo(middle - tall / 2, y - tall);
        context.lineTo(middle + tall / 2, y);
        context.moveTo(middle + tall / 2, y - tall);
        context.lineTo(middle - tall / 2, y);
        context.stroke();
      } else {
        roundedBox(context, x, y - tall, wide, tall, 8 * unit);
        if (hit.velocity < 40) context.stroke();
        else context.fill();
      }
      if (pulse > 0) {
        context.globalAlpha = 0.5 * pulse * strength;
        context.beginPath();
        context.arc(middle, strike, (50 + 20 * pulse) * unit, 0, 2 * Math.PI);
        context.fill();
      }
    }
  }
  context.globalAlpha = 1;
  context.fillStyle = "#fff";
  context.fillRect(0, strike, width, Math.max(1, 4 * unit));
  const size = Math.max(11 * (window.devicePixelRatio || 1), 16 * unit);
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  names.forEach((name, i) => {
    context.fillStyle = soundingOf(notes.find((note) => soundingOf(note).lane.name === name) as number).lane.colour;
    context.fillText(name, (i + 0.5) * lane, height - size, lane - 4);
  });
}
