// The part of a sound that is looked at: zoomed about a point, moved, and kept within the sound.
import { type Signal, signal } from "@preact/signals";

export class TimeView {
  readonly from: Signal<number>; // frames
  readonly to: Signal<number>;
  constructor(
    readonly frames: number,
    readonly rate: number,
  ) {
    this.from = signal(0);
    this.to = signal(Math.max(1, frames));
  }

  private get least(): number {
    return Math.min(this.frames, 64);
  }

  show(from: number, to: number): void {
    const length = Math.max(this.least, Math.min(this.frames, to - from));
    const start = Math.max(0, Math.min(this.frames - length, from));
    this.from.value = start;
    this.to.value = start + length;
  }

  // Closer by `factor`, with what lies at `at` staying where it is.
  zoom(factor: number, at: number): void {
    const length = Math.max(this.least, Math.min(this.frames, (this.to.value - this.from.value) / factor));
    const share = (at - this.from.value) / (this.to.value - this.from.value);
    const from = at - share * length;
    this.show(from, from + length);
  }

  move(frames: number): void {
    this.show(this.from.value + frames, this.to.value + frames);
  }

  fit(): void {
    this.show(0, this.frames);
  }

  // Where a frame lies in the view, 0 to 1 within it.
  share(frame: number): number {
    return (frame - this.from.value) / (this.to.value - this.from.value);
  }

  // Turns the page where what plays has left it.
  follow(frame: number): void {
    const length = this.to.value - this.from.value;
    if (length >= this.frames || (frame >= this.from.value && frame < this.to.value)) return;
    this.show(frame - 0.05 * length, frame + 0.95 * length);
  }
}

// Steps of a ruler that leave room for its words.
const kSteps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

export function rulerStep(seconds: number, width: number): number {
  const wanted = (seconds * 80) / Math.max(1, width);
  return kSteps.find((step) => step >= wanted) ?? 3600;
}
