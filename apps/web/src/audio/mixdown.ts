// The mix as it is heard, written as a WAV file a slice at a time, with the pan law of Web Audio's StereoPannerNode.
import { PitchShifter, kPitchLatency } from "./pitch";
import { type Span, type Track, amplitude, isDrum, loudnessOf, slicesOf } from "./player";
import { kSliceSeconds } from "./sound";

export type SampleFormat = "s16" | "s24" | "f32";

export interface Mixdown {
  blob: Blob;
  peak: number; // greatest magnitude before what exceeds full scale is cut
}

export interface MixOptions {
  span: Span;
  rate: number;
  master: number; // dB
  semitones?: number; // by which all but drums are raised
  before?: Float32Array; // heard before the span
  format: SampleFormat;
  progress: (share: number) => void;
  signal: AbortSignal;
}

// What a panner makes of two channels: from left and right into left, and into right; of one, as the player has it, from
// left alone.
export function panGains(pan: number, mono = false): { ll: number; rl: number; lr: number; rr: number } {
  if (mono) {
    const x = ((pan + 1) * Math.PI) / 4;
    return { ll: Math.SQRT2 * Math.cos(x), rl: 0, lr: Math.SQRT2 * Math.sin(x), rr: 0 };
  }
  if (pan <= 0) {
    const x = ((pan + 1) * Math.PI) / 2;
    return { ll: 1, rl: Math.cos(x), lr: 0, rr: Math.sin(x) };
  }
  const x = (pan * Math.PI) / 2;
  return { ll: Math.cos(x), rl: 0, lr: Math.sin(x), rr: 1 };
}

const kBytes = { s16: 2, s24: 3, f32: 4 };

function header(frames: number, rate: number, format: SampleFormat): ArrayBuffer {
  const bytes = new ArrayBuffer(44);
  const view = new DataView(bytes);
  const text = (at: number, word: string) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  const block = 2 * kBytes[format];
  text(0, "RIFF");
  view.setUint32(4, 36 + frames * block, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, format === "f32" ? 3 : 1, true);
  view.setUint16(22, 2, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * block, true);
  view.setUint16(32, block, true);
  view.setUint16(34, 8 * kBytes[format], true);
  text(36, "data");
  view.setUint32(40, frames * block, true);
  return bytes;
}

function encode(left: Float32Array, right: Float32Array, format: SampleFormat): ArrayBuffer {
  const size = kBytes[format];
  const bytes = new ArrayBuffer(left.length * 2 * size);
  const view = new DataView(bytes);
  let at = 0;
  const put = (value: number) => {
    if (format === "f32") view.setFloat32(at, value, true);
    else if (format === "s16") view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(value * 32768))), true);
    else {
      const whole = Math.max(-8388608, Math.min(8388607, Math.round(value * 8388608)));
      view.setUint16(at, whole & 0xffff, true);
      view.setInt8(at + 2, whole >> 16);
    }
    at += size;
  };
  for (let i = 0; i < left.length; ++i) {
    put(left[i] as number);
    put(right[i] as number);
  }
  return bytes;
}

// The largest that a WAV file's lengths can say.
const kMostBytes = 2 ** 32 - 64;

export async function mixdown(tracks: readonly Track[], { span, rate, master, semitones = 0, before = new Float32Array(0), format, progress, signal }: MixOptions): Promise<Mixdown> {
  const frames = span.to - span.from;
  if ((frames + before.length) * 2 * kBytes[format] > kMostBytes) throw new Error("That is more than a WAV file can hold; choose a region or s16.");
  const heard = tracks
    .map((track) => ({ slices: slicesOf(track), gain: loudnessOf(track, tracks) * amplitude(master), drum: isDrum(track), pan: track.pan.value }))
    .filter((track) => track.gain !== 0);
  const length = kSliceSeconds * rate;
  const lead = before.map((sample) => sample * amplitude(master));
  const parts: BlobPart[] = [header(lead.length + frames, rate, format), new Blob([encode(lead, lead, format)])];
  let peak = lead.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  // Of frames [at, at + count) of a slice: drums apart from what is transposed.
  const mixed = async (at: number, count: number, index: number, wanted: (drum: boolean) => boolean) => {
    const planes: [Float32Array, Float32Array] = [new Float32Array(count), new Float32Array(count)];
    const own = heard.filter(({ drum }) => wanted(drum));
    const slices = await Promise.all(own.map((track) => track.slices(rate, index)));
    const first = at - index * length;
    const [left, right] = planes;
    own.forEach((track, t) => {
      const [l, r] = slices[t] as [Float32Array, Float32Array];
      const { gain } = track;
      const pan = panGains(track.pan, l === r);
      const there = Math.min(count, l.length - first);
      for (let i = 0; i < there; ++i) {
        const a = (l[first + i] as number) * gain;
        const b = (r[first + i] as number) * gain;
        left[i] = (left[i] as number) + a * pan.ll + b * pan.rl;
        right[i] = (right[i] as number) + a * pan.lr + b * pan.rr;
      }
    });
    return planes;
  };
  const shifter = semitones === 0 ? null : new PitchShifter(2 ** (semitones / 12));
  const late = shifter ? kPitchLatency : 0;
  let waiting: [Float32Array, Float32Array] = [new Float32Array(late), new Float32Array(late)]; // drums, until the others come
  let skip = late; // of what comes out of the shifter
  const put = ([left, right]: [Float32Array, Float32Array]) => {
    const from = Math.min(skip, left.length);
    skip -= from;
    for (let i = from; i < left.length; ++i) peak = Math.max(peak, Math.abs(left[i] as number), Math.abs(right[i] as number));
    parts.push(new Blob([encode(left.subarray(from), right.subarray(from), format)]));
  };
  // What the shifter makes of a block, and the drums as late as it.
  const shifted = (others: [Float32Array, Float32Array], drums: [Float32Array, Float32Array]): [Float32Array, Float32Array] => {
    if (!shifter) return others;
    const out: [Float32Array, Float32Array] = [new Float32Array(others[0].length), new Float32Array(others[0].length)];
    shifter.process(others[0], others[1], out[0], out[1]);
    waiting = waiting.map((plane, channel) => {
      const all = new Float32Array(plane.length + out[0].length);
      all.set(plane);
      all.set(drums[channel] as Float32Array, plane.length);
      const into = out[channel] as Float32Array;
      for (let i = 0; i < into.length; ++i) into[i] = (into[i] as number) + (all[i] as number);
      return all.slice(into.length);
    }) as [Float32Array, Float32Array];
    return out;
  };
  for (let at = span.from; at < span.to; ) {
    if (signal.aborted) throw new DOMException("given up", "AbortError");
    const index = Math.floor(at / length);
    const count = Math.min((index + 1) * length - at, span.to - at);
    const others = await mixed(at, count, index, (drum) => !shifter || !drum);
    put(shifted(others, shifter ? await mixed(at, count, index, (drum) => drum) : others));
    at += count;
    progress((at - span.from) / frames);
  }
  if (shifter) {
    const rest = (): [Float32Array, Float32Array] => [new Float32Array(late), new Float32Array(late)];
    put(shifted(rest(), rest()));
  }
  return { blob: new Blob(parts, { type: "audio/wav" }), peak };
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
