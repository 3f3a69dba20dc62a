// A timeline as samples: its clips trimmed, at their gains, and cross-faded with equal power, as the server renders them.
// Chains of filters and dynamics are the server's alone.
import type { Timeline } from "../model/project";
import { kSliceSeconds, sliceOf, type SliceSource } from "./sound";
import { amplitude } from "./player";

// Gains of who goes and who comes, k of n samples into a cross-fade.
export function fadeAt(k: number, n: number): { out: number; in: number } {
  const u = (k + 0.5) / n;
  return { out: Math.cos((Math.PI * u) / 2), in: Math.sin((Math.PI * u) / 2) };
}

// Frames [from, from + frames) of an asset at `rate`; silence behind its end.
async function read(asset: string, rate: number, from: number, frames: number): Promise<Float32Array[]> {
  const length = kSliceSeconds * rate;
  const out = [new Float32Array(frames), new Float32Array(frames)];
  for (let at = 0; at < frames; ) {
    const index = Math.floor((from + at) / length);
    const first = from + at - index * length;
    const count = Math.min(length - first, frames - at);
    const slice = await sliceOf(asset, rate, index);
    slice.forEach((plane, channel) => out[channel]?.set(plane.subarray(first, first + count), at));
    at += count;
  }
  return out;
}

// Reads what `timeline` gives when it is asked, so that a change is heard from the next slice on.
export function assembled(timeline: () => Timeline): SliceSource {
  return async (rate, index) => {
    const { clips } = timeline();
    const length = kSliceSeconds * rate;
    const from = index * length;
    const to = from + length;
    const anySolo = clips.some((clip) => clip.solo);
    const out = [new Float32Array(length), new Float32Array(length)];
    for (let i = 0; i < clips.length; ++i) {
      const clip = clips[i]!;
      if (clip.end <= from || clip.start >= to || clip.mute || (anySolo && !clip.solo)) continue;
      const first = Math.max(from, clip.start);
      const last = Math.min(to, clip.end);
      const samples = await read(clip.asset, rate, clip.from + first - clip.start, last - first);
      const gain = amplitude(clip.gain_db);
      const leaving = clips[i + 1]?.overlap ?? 0;
      for (let at = first; at < last; ++at) {
        const into = at - clip.start;
        const left = clip.end - at;
        let g = gain;
        if (into < clip.overlap) g *= fadeAt(into, clip.overlap).in;
        if (left <= leaving) g *= fadeAt(leaving - left, leaving).out;
        for (let channel = 0; channel < 2; ++channel) {
          const plane = out[channel] as Float32Array;
          plane[at - from] = (plane[at - from] as number) + g * ((samples[channel] as Float32Array)[at - first] as number);
        }
      }
    }
    return out;
  };
}
