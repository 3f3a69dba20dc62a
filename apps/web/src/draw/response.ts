// What a chain's filters do to each frequency, as a curve: 20 Hz to 20 kHz, an octave as wide as another.
import { type Band, responseAt } from "../model/chain";
import { colourOf, fit } from "./wave";

const kLow = 20;
const kHigh = 20000;
const kTicks = [50, 100, 200, 500, 1000, 2000, 5000, 10000];

// Where things lie, in parts of the picture.
export class ResponseAxes {
  readonly most: number; // dB at the upper edge

  constructor(bands: readonly Band[]) {
    const loudest = Math.max(...bands.map((band) => Math.abs(band.db)), ...frequencies(64).map((hz) => responseAt(bands, hz)));
    this.most = loudest > 11 ? 27 : 15;
  }
  across(hz: number): number {
    return Math.log(hz / kLow) / Math.log(kHigh / kLow);
  }
  hzAt(share: number): number {
    return kLow * (kHigh / kLow) ** Math.min(1, Math.max(0, share));
  }
  down(db: number): number {
    return 0.5 - db / (2 * this.most);
  }
  dbAt(share: number): number {
    return (0.5 - share) * 2 * this.most;
  }
}

export function frequencies(count: number): number[] {
  return Array.from({ length: count }, (_, i) => kLow * (kHigh / kLow) ** (i / (count - 1)));
}

export function hzText(hz: number): string {
  return hz >= 1000 ? `${Number((hz / 1000).toPrecision(3))} kHz` : `${Math.round(hz)} Hz`;
}

export function paintResponse(canvas: HTMLCanvasElement, bands: readonly Band[], chosen: number): void {
  fit(canvas);
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  const ratio = width / Math.max(1, canvas.clientWidth);
  const axes = new ResponseAxes(bands);
  const y = (db: number) => Math.min(1, Math.max(0, axes.down(db))) * height;
  context.clearRect(0, 0, width, height);
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  for (const hz of kTicks) {
    const x = Math.round(axes.across(hz) * width);
    context.fillStyle = colourOf("--line");
    context.fillRect(x, 0, Math.max(1, Math.round(ratio)), height);
    context.fillStyle = colourOf("--quiet");
    // On a narrow picture every other one, so that none lies on its neighbour.
    if (width / ratio > 420 || [100, 1000, 10000].includes(hz)) context.fillText(hz >= 1000 ? `${hz / 1000}k` : String(hz), x, height - 4 * ratio);
  }
  context.textAlign = "left";
  const step = axes.most > 15 ? 12 : 6;
  for (let db = -axes.most + (axes.most % step); db < axes.most; db += step) {
    context.fillStyle = colourOf(db === 0 ? "--edge" : "--line");
    context.fillRect(0, Math.round(y(db)), width, Math.max(1, Math.round(ratio)));
    context.fillStyle = colourOf("--quiet");
    if (Math.abs(db) < axes.most - 1) context.fillText(`${db > 0 ? "+" : db < 0 ? "−" : ""}${Math.abs(db)}`, 4 * ratio, y(db) - 3 * ratio);
  }
  const curve = new Path2D();
  for (let x = 0; x <= width; x += ratio) curve.lineTo(x, y(responseAt(bands, axes.hzAt(x / width))));
  const area = new Path2D(curve);
  area.lineTo(width, y(0));
  area.lineTo(0, y(0));
  context.fillStyle = colourOf("--accent");
  context.globalAlpha = 0.15;
  context.fill(area);
  context.globalAlpha = 1;
  context.strokeStyle = colourOf("--accent");
  context.lineWidth = 2 * ratio;
  context.stroke(curve);
  context.textAlign = "center";
  context.textBaseline = "middle";
  bands.forEach((band, i) => {
    context.beginPath();
    context.arc(axes.across(band.hz) * width, y(band.db), 10 * ratio, 0, 2 * Math.PI);
    context.fillStyle = colourOf(i === chosen ? "--accent" : "--sheet");
    context.fill();
    context.lineWidth = 1.5 * ratio;
    context.stroke();
    context.fillStyle = colourOf(i === chosen ? "--accent-text" : "--text");
    context.fillText(String(i + 1), axes.across(band.hz) * width, y(band.db) + ratio);
  });
}
