// Draws a stretch of a sound into a canvas: from the coarsest picture that is fine enough, and from samples where none is.
import { type Shape, kChunkBins, kSliceSeconds, peaksOf, sliceOf } from "../audio/sound";

export interface Stretch {
  from: number; // frames of the view, at `rate`
  to: number;
  rate: number;
}

// Least and greatest sample a column, of all channels together.
export interface Columns {
  low: Float32Array;
  high: Float32Array;
}

function columnsFor(width: number): Columns {
  return { low: new Float32Array(width).fill(Infinity), high: new Float32Array(width).fill(-Infinity) };
}

async function fromPeaks(asset: string, shape: Shape, stretch: Stretch, width: number, framesPerColumn: number): Promise<Columns> {
  const level = [...shape.levels].reverse().find((one) => one.frames_per_bin <= framesPerColumn) ?? shape.levels[0]!;
  const scale = shape.sample_rate / stretch.rate;
  const first = Math.max(0, Math.floor((stretch.from * scale) / level.frames_per_bin));
  const last = Math.min(level.bins, Math.ceil((stretch.to * scale) / level.frames_per_bin));
  const columns = columnsFor(width);
  const perBin = width / (((stretch.to - stretch.from) * scale) / level.frames_per_bin);
  const start = (stretch.from * scale) / level.frames_per_bin;
  const stride = shape.channels * 2;
  for (let chunk = Math.floor(first / kChunkBins); chunk * kChunkBins < last; ++chunk) {
    const peaks = await peaksOf(asset, shape, level, chunk);
    const begin = Math.max(first, chunk * kChunkBins);
    const end = Math.min(last, (chunk + 1) * kChunkBins);
    for (let bin = begin; bin < end; ++bin) {
      let low = 127;
      let high = -127;
      const at = (bin - chunk * kChunkBins) * stride;
      for (let i = at; i < at + stride; i += 2) {
        low = Math.min(low, peaks[i] as number);
        high = Math.max(high, peaks[i + 1] as number);
      }
      const from = Math.max(0, Math.floor((bin - start) * perBin));
      const to = Math.min(width - 1, Math.floor((bin + 1 - start) * perBin - 1e-9));
      for (let x = from; x <= to; ++x) {
        columns.low[x] = Math.min(columns.low[x] as number, low / 127);
        columns.high[x] = Math.max(columns.high[x] as number, high / 127);
      }
    }
  }
  return columns;
}

async function fromSamples(asset: string, stretch: Stretch, width: number): Promise<Columns> {
  const columns = columnsFor(width);
  const length = kSliceSeconds * stretch.rate;
  const perFrame = width / (stretch.to - stretch.from);
  const first = Math.max(0, Math.floor(stretch.from));
  const last = Math.ceil(stretch.to) + 1;
  let before = { x: -1, value: 0 };
  for (let index = Math.floor(first / length); index * length < last; ++index) {
    const planes = await sliceOf(asset, stretch.rate, index);
    const end = Math.min(last, index * length + (planes[0]?.length ?? 0));
    for (let frame = Math.max(first, index * length); frame < end; ++frame) {
      const x = Math.floor((frame - stretch.from) * perFrame);
      for (const plane of planes) {
        const value = plane[frame - index * length] as number;
        // Samples further apart than a column are joined by a line.
        for (let between = Math.max(0, before.x + 1); perFrame > 1 && plane === planes[0] && before.x >= 0 && between < Math.min(x, width); ++between) {
          const line = before.value + ((value - before.value) * (between - before.x)) / (x - before.x);
          columns.low[between] = Math.min(columns.low[between] as number, line);
          columns.high[between] = Math.max(columns.high[between] as number, line);
        }
        if (x >= 0 && x < width) {
          columns.low[x] = Math.min(columns.low[x] as number, value);
          columns.high[x] = Math.max(columns.high[x] as number, value);
        }
      }
      before = { x, value: planes[0]?.[frame - index * length] as number };
    }
  }
  return columns;
}

export async function columnsOf(asset: string, shape: Shape, stretch: Stretch, width: number): Promise<Columns> {
  const framesPerColumn = ((stretch.to - stretch.from) / width) * (shape.sample_rate / stretch.rate);
  const finest = shape.levels[0]?.frames_per_bin ?? 256;
  return framesPerColumn < finest ? fromSamples(asset, stretch, width) : fromPeaks(asset, shape, stretch, width, framesPerColumn);
}

export function paint(canvas: HTMLCanvasElement, columns: Columns, colour: string): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const { width, height } = canvas;
  const middle = height / 2;
  const scale = middle - 1;
  context.clearRect(0, 0, width, height);
  context.fillStyle = colour;
  context.globalAlpha = 0.35;
  context.fillRect(0, Math.floor(middle), width, 1);
  context.globalAlpha = 1;
  for (let x = 0; x < columns.low.length; ++x) {
    const high = columns.high[x] as number;
    const low = columns.low[x] as number;
    if (high < low) continue; // nothing there
    const top = middle - high * scale;
    const bottom = middle - low * scale;
    context.fillRect(x, top, 1, Math.max(1, bottom - top));
  }
}

// A canvas as fine as the screen; whether it changed, which also clears it.
export function fit(canvas: HTMLCanvasElement): boolean {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width === width && canvas.height === height) return false;
  canvas.width = width;
  canvas.height = height;
  return true;
}

export function colourOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
