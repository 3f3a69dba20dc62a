// A click on each beat, made where it is asked for: a track like any other, and bars of it before the sound begins.
import { type Signal, signal } from "@preact/signals";
import { type BeatGrid, beatsOfBar } from "../model/drums";
import type { Track } from "./player";
import { kSliceSeconds } from "./sound";

export interface Beats {
  seconds: readonly number[]; // ascending
  downbeat: number; // which of them begins a bar
  bar: number; // beats of one
}

const kLength = 0.04; // seconds
const kDecay = 120; // per second
const kFirst = { hz: 1600, level: 0.8 };
const kOthers = { hz: 1000, level: 0.5 };

// A click whose first sample lies at `at`, added to what is there; what lies outside of it is left out.
function addClick(plane: Float32Array, at: number, rate: number, first: boolean): void {
  const { hz, level } = first ? kFirst : kOthers;
  const end = Math.min(plane.length, at + Math.round(kLength * rate));
  for (let i = Math.max(0, at); i < end; ++i) {
    const t = (i - at) / rate;
    plane[i] = (plane[i] as number) + level * Math.exp(-kDecay * t) * Math.sin(2 * Math.PI * hz * t);
  }
}

// Nothing where there are too few to count.
export function beatsOf(grid: BeatGrid): Beats | null {
  return grid.beats.length >= 2 ? { seconds: grid.beats, downbeat: grid.downbeat, bar: beatsOfBar(grid) } : null;
}

export function beginsBar({ downbeat, bar }: Pick<Beats, "downbeat" | "bar">, beat: number): boolean {
  return (beat - downbeat) % bar === 0;
}

export interface Click {
  track: Track;
  beats: Signal<Beats | null>;
  bars: Signal<number>; // that are counted before the sound begins
}

export function makeClick(): Click {
  const beats: Signal<Beats | null> = signal(null);
  const slices = async (rate: number, index: number): Promise<Float32Array[]> => {
    const plane = new Float32Array(kSliceSeconds * rate);
    const known = beats.value;
    known?.seconds.forEach((seconds, i) => addClick(plane, Math.round(seconds * rate) - index * plane.length, rate, beginsBar(known, i)));
    return [plane, plane];
  };
  const track: Track = { asset: "click", name: "Click", gain: signal(0), pan: signal(0), mute: signal(true), solo: signal(false), factor: signal(1), slices, apart: true };
  return { track, beats, bars: signal(0) };
}

// What is heard before the sound, from `start` seconds on: whole bars that lead to the beat that it begins with, or
// where none is near, to the start itself. Empty where nothing is to be counted.
export function countIn(beats: Beats | null, bars: number, start: number, rate: number): Float32Array {
  const times = beats?.seconds ?? [];
  if (!beats || bars <= 0 || times.length < 2) return new Float32Array(0);
  const found = times.findIndex((seconds) => seconds >= start - 0.01);
  const next = Math.min(found < 0 ? times.length - 1 : found, times.length - 2);
  const period = (times[next + 1] as number) - (times[next] as number);
  const ahead = (times[next] as number) - start;
  const anchor = ahead >= 0 && ahead < 1.5 * period ? ahead : 0; // seconds behind the start
  const count = bars * beats.bar;
  const plane = new Float32Array(Math.max(0, Math.round((count * period - anchor) * rate)));
  for (let k = 0; k < count; ++k) addClick(plane, Math.round(k * period * rate), rate, k % beats.bar === 0);
  return plane;
}
