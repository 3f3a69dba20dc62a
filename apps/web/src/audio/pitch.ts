// Raises or lowers the pitch and keeps the time: the sound is stretched, grain by grain, each laid where it goes on best from
// the one before (waveform similarity overlap-add), and what was stretched is read so much faster.

const kHop = 1024; // between grains of twice that, in the stretched sound
const kGrain = 2 * kHop;
const kSearch = 512; // samples about its place, within which a grain is looked for
const kRing = 1 << 15;
const kMask = kRing - 1;
const kPhases = 256;
const kHalfTaps = 8; // of the filter that reads, times the ratio where that is above 1

// Samples by which what comes out is behind what went in, whatever the ratio is.
export const kPitchLatency = kGrain + kSearch + 128;
export const kMostRatio = 8; // and 1 / 8 the least

export class PitchShifter {
  private readonly input = [new Float32Array(kRing), new Float32Array(kRing)];
  private readonly stretched = [new Float32Array(kRing), new Float32Array(kRing)];
  private readonly window = Float32Array.from({ length: kGrain }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / kGrain));
  private readonly kernel: Float32Array; // [phases + 1, taps]
  private readonly half: number;
  private taken = 0; // samples of the input
  private given = 0; // of the output; the first kPitchLatency are silence
  private grain = -1; // the next one
  private last = -2 * kHop; // where the one before begins in the input

  constructor(readonly ratio: number) {
    if (!(ratio >= 1 / kMostRatio && ratio <= kMostRatio)) throw new RangeError(`no ratio of pitches: ${ratio}`);
    this.half = Math.ceil(kHalfTaps * Math.max(1, ratio));
    const taps = 2 * this.half;
    const cutoff = Math.min(1, 1 / ratio);
    this.kernel = new Float32Array((kPhases + 1) * taps);
    for (let phase = 0; phase <= kPhases; ++phase) {
      let sum = 0;
      const row = this.kernel.subarray(phase * taps, (phase + 1) * taps);
      for (let i = 0; i < taps; ++i) {
        const x = i - this.half + 1 - phase / kPhases;
        const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
        const near = Math.abs(x) >= this.half ? 0 : 0.5 + 0.5 * Math.cos((Math.PI * x) / this.half);
        row[i] = sinc * near;
        sum += row[i] as number;
      }
      for (let i = 0; i < taps; ++i) row[i] = (row[i] as number) / sum;
    }
  }

  // So many samples in, so many out, of two channels. Blocks of any size give the same.
  process(left: Float32Array, right: Float32Array, outLeft: Float32Array, outRight: Float32Array): void {
    const [inLeft, inRight] = this.input as [Float32Array, Float32Array];
    for (let i = 0; i < left.length; ++i) {
      inLeft[this.taken & kMask] = left[i] as number;
      inRight[this.taken & kMask] = right[i] as number;
      ++this.taken;
      const at = this.given++ - kPitchLatency;
      outLeft[i] = at < 0 ? 0 : this.read(0, at);
      outRight[i] = at < 0 ? 0 : this.read(1, at);
    }
  }

  private read(channel: number, at: number): number {
    const place = at * this.ratio;
    const whole = Math.floor(place);
    while (this.grain * kHop <= whole + this.half) this.lay();
    const ring = this.stretched[channel] as Float32Array;
    const taps = 2 * this.half;
    const row = Math.round((place - whole) * kPhases) * taps;
    let sum = 0;
    for (let i = 0; i < taps; ++i) sum += (this.kernel[row + i] as number) * (ring[(whole - this.half + 1 + i) & kMask] as number);
    return sum;
  }

  // The next grain, at `grain` hops of the stretched sound.
  private lay(): void {
    const place = this.grain++ * kHop;
    const nominal = Math.round(place / this.ratio);
    const natural = this.last + kHop; // what would go on from the one before
    // Ahead of the sound there is nothing that could be alike.
    const start = natural === nominal || place < 0 ? natural : nominal + this.best(nominal, natural);
    this.last = start;
    for (let channel = 0; channel < 2; ++channel) {
      const from = this.input[channel] as Float32Array;
      const into = this.stretched[channel] as Float32Array;
      for (let i = 0; i < kGrain; ++i) {
        const sample = start + i < 0 ? 0 : (from[(start + i) & kMask] as number) * (this.window[i] as number);
        const to = (place + i) & kMask;
        into[to] = i < kHop ? (into[to] as number) + sample : sample;
      }
    }
  }

  // Where about `nominal` the sound is most like what it is from `natural` on: every fourth place first.
  private best(nominal: number, natural: number): number {
    let best = this.search(nominal, natural, -kSearch, kSearch, 4);
    best = this.search(nominal, natural, Math.max(-kSearch, best - 3), Math.min(kSearch, best + 3), 1);
    return best;
  }

  private search(nominal: number, natural: number, least: number, most: number, step: number): number {
    const [left, right] = this.input as [Float32Array, Float32Array];
    let best = 0;
    let score = -Infinity;
    for (let shift = least; shift <= most; shift += step) {
      let product = 0;
      let power = 1e-9;
      for (let i = 0; i < kHop; i += 4) {
        const a = (natural + i) & kMask;
        const b = (nominal + shift + i) & kMask;
        const there = (left[b] as number) + (right[b] as number);
        product += ((left[a] as number) + (right[a] as number)) * there;
        power += there * there;
      }
      const like = product / Math.sqrt(power);
      if (like > score) [best, score] = [shift, like];
    }
    return best;
  }
}
