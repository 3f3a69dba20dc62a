// What the server tells of a sound: how long it is, pictures of its wave in several finenesses, and samples from anywhere
// in it. All of it is kept only as long as there is room, so that three hours cost what three minutes do.
import { getJson, request } from "../model/api";

export interface Level {
  level: number;
  frames_per_bin: number;
  bins: number;
}

export interface Shape {
  sample_rate: number;
  channels: number;
  frames: number;
  levels: Level[];
}

// The newest entries, as many as fit; what is asked for is made the newest.
export class Cache<T> {
  private readonly entries = new Map<string, { value: Promise<T>; size: number }>();
  private size = 0;
  constructor(private readonly most: number) {}

  get(key: string, size: number, make: () => Promise<T>): Promise<T> {
    const old = this.entries.get(key);
    if (old) {
      this.entries.delete(key);
      this.entries.set(key, old);
      return old.value;
    }
    const value = make();
    const entry = { value, size };
    this.entries.set(key, entry);
    this.size += size;
    for (const [oldest, held] of this.entries) {
      if (this.size <= this.most || oldest === key) break;
      this.entries.delete(oldest);
      this.size -= held.size;
    }
    // What failed is asked for again next time.
    value.catch(() => {
      if (this.entries.get(key) !== entry) return;
      this.entries.delete(key);
      this.size -= size;
    });
    return value;
  }

  get bytes(): number {
    return this.size;
  }
}

const shapes = new Map<string, Promise<Shape>>();

export function shapeOf(asset: string): Promise<Shape> {
  let shape = shapes.get(asset);
  if (!shape) {
    shape = getJson<Shape>(`/v1/assets/${asset}/peaks`);
    shape.catch(() => shapes.delete(asset));
    shapes.set(asset, shape);
  }
  return shape;
}

export const kChunkBins = 16384;
const peakCache = new Cache<Int8Array>(24 << 20);

// Bins [chunk * kChunkBins, …) of a level: int8 [bins, channels, 2], the least and the greatest sample.
export function peaksOf(asset: string, shape: Shape, level: Level, chunk: number): Promise<Int8Array> {
  const stride = shape.channels * 2;
  const first = chunk * kChunkBins;
  const bins = Math.min(kChunkBins, level.bins - first);
  return peakCache.get(`${asset} ${level.level} ${chunk}`, bins * stride, async () => {
    const range = `bytes=${first * stride}-${(first + bins) * stride - 1}`;
    const response = await request(`/v1/assets/${asset}/peaks?level=${level.level}`, { headers: { Range: range } });
    const bytes = new Int8Array(await response.arrayBuffer());
    // A whole file comes where a cache knows of no ranges.
    return bytes.length > bins * stride ? bytes.slice(first * stride, (first + bins) * stride) : bytes;
  });
}

export const kSliceSeconds = 4;
const sliceCache = new Cache<Float32Array[]>(96 << 20);

export function cachedSliceBytes(): number {
  return sliceCache.bytes;
}

// Where samples come from, a slice at a time: an asset of the server's, or what is put together here.
export type SliceSource = (rate: number, index: number) => Promise<Float32Array[]>;

// Two channels, whatever the sound has: one is both of them, of more the first two are taken.
function planes(samples: Float32Array, channels: number): Float32Array[] {
  if (channels === 1) return [samples, samples];
  const frames = Math.floor(samples.length / channels);
  const left = new Float32Array(frames);
  const right = new Float32Array(frames);
  for (let i = 0, at = 0; i < frames; ++i, at += channels) {
    left[i] = samples[at] as number;
    right[i] = samples[at + 1] as number;
  }
  return [left, right];
}

// Frames [index * n, …) with n frames of kSliceSeconds at `rate`; shorter at the end, empty beyond it.
export function sliceOf(asset: string, rate: number, index: number): Promise<Float32Array[]> {
  const frames = kSliceSeconds * rate;
  return sliceCache.get(`${asset} ${rate} ${index}`, frames * 8, async () => {
    const response = await request(`/v1/assets/${asset}/pcm?from=${index * frames}&frames=${frames}&rate=${rate}&format=f32`, {
      cache: "no-store", // what is kept is kept here, within bounds
    });
    const channels = Number(response.headers.get("Timbre-Channels") ?? 2);
    return planes(new Float32Array(await response.arrayBuffer()), channels);
  });
}
