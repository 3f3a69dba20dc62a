// Mastering chains of docs/presets.yaml's form, and what their filters do to the level of a tone.
export const kBandTypes = ["highpass", "lowpass", "lowshelf", "highshelf", "peak"] as const;

export interface Band {
  type: (typeof kBandTypes)[number];
  hz: number;
  db: number; // of shelves and peaks
  q: number;
}

export interface Compressor {
  threshold_db: number;
  ratio: number;
  attack_ms: number;
  release_ms: number;
  knee_db: number;
  makeup_db: number;
}

export interface Limiter {
  ceiling_db: number;
  release_ms: number;
}

export interface Chain {
  title?: string;
  bands: readonly Band[];
  compressor?: Compressor | null;
  limiter?: Limiter | null;
}

export const kMostBands = 32;
export const kCompressor: Compressor = { threshold_db: -12, ratio: 2, attack_ms: 5, release_ms: 100, knee_db: 6, makeup_db: 0 };
export const kLimiter: Limiter = { ceiling_db: -0.5, release_ms: 100 };

// Five bands that do nothing yet.
export const kFlat: Chain = {
  title: "Own chain",
  bands: [
    { type: "lowshelf", hz: 100, db: 0, q: 0.7 },
    { type: "peak", hz: 500, db: 0, q: 1 },
    { type: "peak", hz: 2000, db: 0, q: 1 },
    { type: "peak", hz: 5000, db: 0, q: 1 },
    { type: "highshelf", hz: 10000, db: 0, q: 0.7 },
  ],
  limiter: kLimiter,
};

const kChanged = ", changed";

// Of a chain that was a preset's.
export function changedTitle(title = ""): string {
  if (!title) return kFlat.title as string;
  return title === kFlat.title || title.endsWith(kChanged) ? title : title + kChanged;
}

export function hasGain({ type }: Band): boolean {
  return type !== "highpass" && type !== "lowpass";
}

// b0, b1, b2, a0, a1, a2 of a band at a rate: R. Bristow-Johnson's cookbook, shelves by Q.
export function coefficientsOf({ type, hz, db, q }: Band, rate: number): readonly [number, number, number, number, number, number] {
  const w = (2 * Math.PI * Math.min(Math.max(hz, 0.01), rate / 2 - 100)) / rate;
  const c = Math.cos(w);
  const alpha = Math.sin(w) / (2 * q);
  const a = 10 ** (db / 40);
  const s = 2 * Math.sqrt(a) * alpha;
  switch (type) {
    case "highpass":
      return [(1 + c) / 2, -(1 + c), (1 + c) / 2, 1 + alpha, -2 * c, 1 - alpha];
    case "lowpass":
      return [(1 - c) / 2, 1 - c, (1 - c) / 2, 1 + alpha, -2 * c, 1 - alpha];
    case "peak":
      return [1 + alpha * a, -2 * c, 1 - alpha * a, 1 + alpha / a, -2 * c, 1 - alpha / a];
    case "lowshelf":
      return [a * (a + 1 - (a - 1) * c + s), 2 * a * (a - 1 - (a + 1) * c), a * (a + 1 - (a - 1) * c - s), a + 1 + (a - 1) * c + s, -2 * (a - 1 + (a + 1) * c), a + 1 + (a - 1) * c - s];
    case "highshelf":
      return [a * (a + 1 + (a - 1) * c + s), -2 * a * (a - 1 + (a + 1) * c), a * (a + 1 + (a - 1) * c - s), a + 1 - (a - 1) * c + s, 2 * (a - 1 - (a + 1) * c), a + 1 - (a - 1) * c - s];
  }
}

// By how many dB all bands together change a tone of `hz`.
export function responseAt(bands: readonly Band[], hz: number, rate = 48000): number {
  const w = (2 * Math.PI * hz) / rate;
  const power = (x0: number, x1: number, x2: number) => (x0 + x1 * Math.cos(w) + x2 * Math.cos(2 * w)) ** 2 + (x1 * Math.sin(w) + x2 * Math.sin(2 * w)) ** 2;
  let db = 0;
  for (const band of bands) {
    if (hasGain(band) && band.db === 0) continue;
    const [b0, b1, b2, a0, a1, a2] = coefficientsOf(band, rate);
    db += 10 * Math.log10(Math.max(1e-30, power(b0, b1, b2) / power(a0, a1, a2)));
  }
  return db;
}

// As the option of a job: the file that --chain reads, of which JSON is a form as well.
export function chainFile(chain: Chain): { text: string; name: string } {
  return { text: JSON.stringify(chain), name: "chain.yaml" };
}
