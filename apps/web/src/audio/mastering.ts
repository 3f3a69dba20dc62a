// What `timbre master` makes of a sound, so that a chain is heard while it is being changed: the bands in double precision, a
// compressor that gives both sides one gain under a soft knee, a limiter of true peaks. The server's own master measures
// what its limiter leaves and limits once more: what is heard here may be a fraction of a decibel above the ceiling.
import { type Band, type Chain, type Compressor, type Limiter, coefficientsOf, hasGain } from "../model/chain";

const kHalf = 16; // samples that the value between two is made of, on each side
const kPhases = 4; // values a sample
const kBeta = 3; // of the Kaiser window
const kAhead = 0.0015; // seconds over which the limiter's gain is led in
const kOne = 2 ** 40; // of gains as whole numbers, of which sums are exact
const kMostCeiling = -1; // dBTP, the job's own
const kRelease = 100; // ms, of a limiter that holds nothing

const factorOf = (db: number) => 10 ** (db / 20);
// The share of what was that stays after a sample: 63 % of the way in the time.
const poleOf = (ms: number, rate: number) => (ms <= 0 ? 0 : Math.exp(-1000 / (rate * ms)));

function bessel(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; k < 64; ++k) sum += term *= (x / (2 * k)) ** 2;
  return sum;
}

// [phase][2 half]: a windowed sinc for each value between two samples.
function interpolation(): Float64Array[] {
  return Array.from({ length: kPhases - 1 }, (_, phase) => {
    const at = (phase + 1) / kPhases;
    const taps = Float64Array.from({ length: 2 * kHalf }, (_, i) => {
      const t = at - (i - (kHalf - 1));
      return (Math.sin(Math.PI * t) / (Math.PI * t)) * bessel(kBeta * Math.sqrt(Math.max(0, 1 - (t / kHalf) ** 2)));
    });
    const sum = taps.reduce((a, b) => a + b, 0);
    return taps.map((tap) => tap / sum);
  });
}

// Two channels through one band: transposed direct form II.
class Filter {
  private b0 = 1;
  private b1 = 0;
  private b2 = 0;
  private a1 = 0;
  private a2 = 0;
  private readonly state = new Float64Array(4); // two a channel

  set(band: Band, rate: number): void {
    const [b0, b1, b2, a0, a1, a2] = coefficientsOf(band, rate);
    [this.b0, this.b1, this.b2, this.a1, this.a2] = [b0 / a0, b1 / a0, b2 / a0, a1 / a0, a2 / a0];
  }

  process(plane: Float64Array, channel: number): void {
    const { b0, b1, b2, a1, a2, state } = this;
    let s1 = state[2 * channel] as number;
    let s2 = state[2 * channel + 1] as number;
    for (let i = 0; i < plane.length; ++i) {
      const x = plane[i] as number;
      const y = b0 * x + s1;
      s1 = b1 * x - a1 * y + s2;
      s2 = b2 * x - a2 * y;
      plane[i] = y;
    }
    state[2 * channel] = s1;
    state[2 * channel + 1] = s2;
  }
}

// dB by which a steady level is turned down: 0 or less (Giannoulis, Massberg and Reiss, JAES 2012).
function reductionAt({ threshold_db, ratio, knee_db }: Compressor, db: number): number {
  const slope = 1 / ratio - 1;
  const over = db - threshold_db;
  if (2 * over < -knee_db) return 0;
  if (2 * Math.abs(over) <= knee_db && knee_db > 0) return (slope * (over + knee_db / 2) ** 2) / (2 * knee_db);
  return slope * over;
}

// Looks ahead by `latency` samples, by which what comes out is late.
class PeakLimiter {
  readonly latency: number;
  private readonly window: number;
  private readonly taps = interpolation();
  private readonly rings: Float64Array[];
  private readonly mask: number;
  private readonly smoothed: Float64Array;
  private readonly ahead: { at: number; gain: number }[] = []; // ascending in both
  private ceiling = Infinity;
  private release = 0;
  private sum: number;
  private last = kOne;
  private between = 0;
  private taken = 0;

  constructor(private readonly rate: number) {
    this.window = Math.max(1, Math.round(kAhead * rate));
    this.latency = kHalf + this.window - 1;
    const length = 2 ** Math.ceil(Math.log2(2 * kHalf + this.window + 1));
    this.rings = [new Float64Array(length), new Float64Array(length)];
    this.mask = length - 1;
    this.smoothed = new Float64Array(this.window).fill(kOne);
    this.sum = this.window * kOne;
  }

  set(limiter: Limiter | null | undefined): void {
    this.ceiling = limiter ? factorOf(Math.min(kMostCeiling, limiter.ceiling_db)) : Infinity;
    this.release = 1 - Math.exp(-1000 / (this.rate * Math.max(0.01, limiter?.release_ms ?? kRelease)));
  }

  // The sample of each channel that is `latency` before this one, in `out`.
  step(left: number, right: number, out: [number, number]): void {
    const { mask, rings, window } = this;
    const [a, b] = rings as [Float64Array, Float64Array];
    a[this.taken & mask] = left;
    b[this.taken & mask] = right;
    const n = this.taken++ - kHalf; // the sample that is judged
    const before = this.between;
    this.between = this.ceiling === Infinity ? 0 : this.after(n);
    const peak = Math.max(Math.abs(a[n & mask] as number), Math.abs(b[n & mask] as number), before, this.between);
    const gain = peak <= this.ceiling ? kOne : Math.floor((this.ceiling / peak) * kOne);
    while (this.ahead.length > 0 && this.ahead[this.ahead.length - 1]!.gain >= gain) this.ahead.pop();
    this.ahead.push({ at: n, gain });
    if (this.ahead[0]!.at <= n - window) this.ahead.shift();
    const lowest = this.ahead[0]!.gain;
    const step = Math.trunc(this.release * (lowest - this.last));
    this.last = lowest < this.last || step === 0 ? lowest : this.last + step;
    const place = (n + kHalf) % window;
    this.sum += this.last - (this.smoothed[place] as number);
    this.smoothed[place] = this.last;
    const at = n - (window - 1);
    const g = this.sum / (window * kOne);
    out[0] = g * (a[at & mask] as number);
    out[1] = g * (b[at & mask] as number);
  }

  // The largest magnitude between sample n and the next.
  private after(n: number): number {
    let peak = 0;
    for (const ring of this.rings) {
      for (const taps of this.taps) {
        let sum = 0;
        for (let k = 0; k < 2 * kHalf; ++k) sum += (taps[k] as number) * (ring[(n - (kHalf - 1) + k) & this.mask] as number);
        peak = Math.max(peak, Math.abs(sum));
      }
    }
    return peak;
  }
}

// Stereo, by blocks of any size. Another chain takes over what the one before remembers, so that a change does not click.
export class Mastering {
  readonly latency: number; // samples
  private filters: Filter[] = [];
  private compressor: Compressor | null = null;
  private reduction = 0; // dB, 0 or less
  private readonly limiter: PeakLimiter;
  private planes = [new Float64Array(0), new Float64Array(0)];
  private readonly ready: [number, number] = [0, 0];

  constructor(private readonly rate: number) {
    this.limiter = new PeakLimiter(rate);
    this.latency = this.limiter.latency;
  }

  set({ bands, compressor = null, limiter }: Chain): void {
    const heard = bands.filter((band) => !hasGain(band) || band.db !== 0);
    while (this.filters.length < heard.length) this.filters.push(new Filter());
    this.filters.length = heard.length;
    heard.forEach((band, i) => this.filters[i]!.set(band, this.rate));
    this.compressor = compressor;
    if (!compressor) this.reduction = 0;
    this.limiter.set(limiter);
  }

  process(input: readonly Float32Array[], output: readonly Float32Array[]): void {
    const frames = output[0]!.length;
    if (this.planes[0]!.length !== frames) this.planes = [new Float64Array(frames), new Float64Array(frames)];
    this.planes.forEach((plane, channel) => {
      plane.set(input[channel] as Float32Array);
      for (const filter of this.filters) filter.process(plane, channel);
    });
    const [left, right] = this.planes as [Float64Array, Float64Array];
    if (this.compressor) this.compress(this.compressor, left, right);
    for (let i = 0; i < frames; ++i) {
      this.limiter.step(left[i] as number, right[i] as number, this.ready);
      output[0]![i] = this.ready[0];
      output[1]![i] = this.ready[1];
    }
  }

  private compress(compressor: Compressor, left: Float64Array, right: Float64Array): void {
    const attack = poleOf(compressor.attack_ms, this.rate);
    const release = poleOf(compressor.release_ms, this.rate);
    const quiet = factorOf(compressor.threshold_db - compressor.knee_db / 2);
    for (let i = 0; i < left.length; ++i) {
      const peak = Math.max(Math.abs(left[i] as number), Math.abs(right[i] as number));
      const wanted = peak < quiet ? 0 : reductionAt(compressor, 20 * Math.log10(peak));
      this.reduction = wanted + (wanted < this.reduction ? attack : release) * (this.reduction - wanted);
      if (this.reduction > -1e-9) this.reduction = 0;
      const gain = factorOf(this.reduction + compressor.makeup_db);
      left[i] = (left[i] as number) * gain;
      right[i] = (right[i] as number) * gain;
    }
  }
}
