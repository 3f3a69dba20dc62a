// Hits of drums: as a job found them, as they were changed, and as a MIDI file.
import { computed, signal } from "@preact/signals";
import lanes, { type Lane, type Voice } from "timbre:lanes";
import { sentence } from "./api";
import { type DrumProject, OpenProject, createCorrection } from "./project";

export interface Hit {
  id: number;
  seconds: number;
  note: number;
  velocity: number; // 1 to 127
}

// One that was heard and not taken for a hit, and why.
export interface Rejected {
  seconds: number;
  stem: string;
  reason: string;
}

export interface FoundDrums {
  seconds: number;
  tempo_bpm: number | null;
  tempo_steady: boolean;
  metre: string | null;
  metre_confidence: number;
  downbeat: number; // which beat begins a bar
  beats: number[];
  stems: { name: string; hits: { seconds: number; kept: boolean; note?: number; velocity?: number; reason?: string; voice?: string }[] }[];
}

// The list that is shown: what was heard until somebody changes it, and a project of the server's from then on, which keeps each
// step. A change is seen when it is kept.
export class HitList {
  readonly selected = signal<number | null>(null);
  readonly rejected: readonly Rejected[];
  readonly hits = computed<readonly Hit[]>(() => this.open.value?.project.value?.drums.hits ?? this.heard);
  readonly canUndo = computed(() => (this.open.value?.project.value?.undo ?? 0) > 0);
  readonly canRedo = computed(() => (this.open.value?.project.value?.redo ?? 0) > 0);
  readonly current = computed(() => this.hits.value.find((hit) => hit.id === this.selected.value) ?? null);
  readonly error = computed(() => this.problem.value || (this.open.value?.error.value ?? ""));
  private readonly heard: readonly Hit[];
  private readonly problem = signal("");
  private readonly open = signal<OpenProject<DrumProject> | null>(null);
  private making: Promise<OpenProject<DrumProject> | null> | null = null;

  constructor(
    readonly found: FoundDrums,
    private readonly job: string,
    project: OpenProject<DrumProject> | null,
  ) {
    const hits: Hit[] = [];
    const rejected: Rejected[] = [];
    for (const stem of found.stems) {
      for (const hit of stem.hits) {
        if (hit.kept && hit.note !== undefined) hits.push({ id: 0, seconds: hit.seconds, note: hit.note, velocity: hit.velocity ?? 96 });
        else if (!hit.kept) rejected.push({ seconds: hit.seconds, stem: stem.name, reason: hit.reason ?? "" });
      }
    }
    this.rejected = rejected;
    this.heard = sorted(hits).map((hit, i) => ({ ...hit, id: i + 1 })); // as the server numbers them
    this.open.value = project;
  }

  // The project, which begins with the first change.
  project(): Promise<OpenProject<DrumProject> | null> {
    if (this.open.value) return Promise.resolve(this.open.value);
    this.making ??= createCorrection(this.job).then(
      (made) => {
        const open = new OpenProject<DrumProject>(made.id);
        open.project.value = made;
        this.open.value = open;
        this.problem.value = "";
        return open;
      },
      (error) => {
        this.problem.value = sentence(error);
        this.making = null;
        return null;
      },
    );
    return this.making;
  }

  async add(seconds: number, note: number, velocity = 96): Promise<void> {
    const changed = await this.operate({ op: "add", seconds: Math.max(0, seconds), note, velocity });
    if (changed) this.selected.value = changed.hit ?? null;
  }

  async edit(id: number, part: Partial<Omit<Hit, "id">>): Promise<void> {
    await this.operate({ op: "change", hit: id, ...part });
  }

  async remove(id: number): Promise<void> {
    const at = this.hits.value.findIndex((hit) => hit.id === id);
    const changed = await this.operate({ op: "remove", hit: id });
    if (!changed) return;
    const { hits } = changed.drums;
    this.selected.value = hits[Math.min(at, hits.length - 1)]?.id ?? null;
  }

  undo(): void {
    if (this.canUndo.value) void this.operate({ op: "undo" });
  }

  redo(): void {
    if (this.canRedo.value) void this.operate({ op: "redo" });
  }

  // The one after, or before, what is selected; else after, or before, `seconds`.
  step(direction: 1 | -1, seconds: number): Hit | null {
    const list = this.hits.value;
    const at = list.findIndex((hit) => hit.id === this.selected.value);
    let to = at + direction;
    if (at < 0) {
      const first = list.findIndex((hit) => hit.seconds >= seconds);
      to = direction > 0 ? first : (first < 0 ? list.length : first) - 1;
    }
    const hit = list[Math.max(0, Math.min(list.length - 1, to))];
    if (!hit) return null;
    this.selected.value = hit.id;
    return hit;
  }

  private async operate(operation: { op: string; [member: string]: unknown }): Promise<DrumProject | null> {
    return (await this.project())?.operate(operation) ?? null;
  }
}

function sorted(hits: readonly Hit[]): Hit[] {
  return [...hits].sort((a, b) => a.seconds - b.seconds || a.note - b.note);
}

export interface Sounding {
  lane: Lane;
  voice: Voice;
}

const kByNote = new Map<number, Sounding>();
for (const lane of lanes) for (const voice of lane.voices) kByNote.set(voice.note, { lane, voice });

// A note that the table lacks has a grey lane of its own.
export function soundingOf(note: number): Sounding {
  return kByNote.get(note) ?? { lane: { name: `Note ${note}`, colour: "#A0A0A0", voices: [] }, voice: { note, name: "unknown", shape: "box" } };
}

export function noteText(note: number): string {
  const { lane, voice } = soundingOf(note);
  return lane.name.toLowerCase() === voice.name ? lane.name : `${lane.name}, ${voice.name}`;
}

export const allNotes: readonly number[] = lanes.flatMap((lane) => lane.voices.map((voice) => voice.note));

// The notes that are used, in the table's order.
export function notesOf(hits: readonly Hit[]): number[] {
  const used = new Set(hits.map((hit) => hit.note));
  return [...allNotes.filter((note) => used.has(note)), ...[...used].filter((note) => !kByNote.has(note)).sort((a, b) => a - b)];
}

const kTicks = 480; // of a quarter
const kHitSeconds = 0.05;

function variable(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let rest = value >> 7; rest > 0; rest >>= 7) bytes.unshift((rest & 0x7f) | 0x80);
  return bytes;
}

function metreOf(found: FoundDrums): [number, number] {
  const [upper = 4, lower = 4] = (found.metre ?? "4/4").split("/").map(Number);
  return [upper, lower];
}

// In 6/8, 9/8 and 12/8 a beat is three eighths.
function isCompound([upper, lower]: readonly [number, number]): boolean {
  return lower === 8 && upper % 3 === 0;
}

export function beatsOfBar(found: FoundDrums): number {
  const metre = metreOf(found);
  return isCompound(metre) ? metre[0] / 3 : metre[0];
}

// Ticks of seconds: beats are whole numbers of them apart, and the first beat's tempo holds from the beginning, so that what
// lies before it need not be a whole number of beats; bars begin anew where the first of them does.
class TempoMap {
  readonly beats: readonly number[];
  readonly ticks: number; // of a beat
  readonly metre: [number, number];
  readonly lead: number; // ticks before the first beat
  readonly firstBar: number; // its tick

  constructor(found: FoundDrums) {
    this.metre = metreOf(found);
    this.ticks = isCompound(this.metre) ? (kTicks * 3) / 2 : (kTicks * 4) / this.metre[1];
    this.beats = found.beats.length >= 2 ? found.beats : [0, 60 / (found.tempo_bpm || 120)];
    this.lead = Math.round((this.first / this.interval(0)) * this.ticks);
    this.firstBar = this.lead + (found.beats.length >= 2 ? found.downbeat % beatsOfBar(found) : 0) * this.ticks;
  }

  private get first(): number {
    return this.beats[0] as number;
  }

  // Seconds from beat i to the next; behind the last as long as before it.
  private interval(i: number): number {
    const at = Math.min(i, this.beats.length - 2);
    return (this.beats[at + 1] as number) - (this.beats[at] as number);
  }

  tickAt(seconds: number): number {
    let i = 0;
    while (i < this.beats.length - 1 && (this.beats[i + 1] as number) <= seconds) ++i;
    const inside = (seconds - (this.beats[i] as number)) / this.interval(i);
    return Math.max(0, Math.round(this.lead + (i + inside) * this.ticks));
  }

  // Tempi, in microseconds a quarter, where they change.
  tempi(): { tick: number; microseconds: number }[] {
    const list: { tick: number; microseconds: number }[] = [];
    for (let i = 0; i + 1 < this.beats.length; ++i) {
      const microseconds = Math.round((this.interval(i) * 1e6 * kTicks) / this.ticks);
      if (list.at(-1)?.microseconds !== microseconds) list.push({ tick: i === 0 ? 0 : this.lead + i * this.ticks, microseconds });
    }
    return list;
  }
}

// Steps that notes can be moved to, t: triplets.
export const kGrids = ["1/4", "1/8", "1/16", "1/32", "1/8t", "1/16t"] as const;

export interface Grid {
  step: (typeof kGrids)[number];
  swing: number; // where between two even steps the odd one lies: 0.5 is straight, 2/3 a triplet's
}

// The nearest tick of the grid that the first bar begins, and that reaches back to the song's begin.
function onGrid(tick: number, origin: number, { step, swing }: Grid): number {
  const triplets = step.endsWith("t");
  const length = ((4 * kTicks) / Number(step.slice(2).replace("t", ""))) * (triplets ? 2 / 3 : 1);
  const pair = origin + 2 * length * Math.floor((tick - origin) / (2 * length));
  const places = [pair, pair + 2 * length * (triplets ? 0.5 : swing), pair + 2 * length].filter((place) => place >= 0);
  return Math.round(places.reduce((best, place) => (Math.abs(place - tick) < Math.abs(best - tick) ? place : best)));
}

// A standard MIDI file of one track, with the tempo as it was heard; on a grid where one is given. Of two of one sound that
// come to lie on one another the louder one stays.
export function midiOf(found: FoundDrums, all: readonly Hit[], grid: Grid | null = null): Uint8Array {
  const map = new TempoMap(found);
  const tickOf = (hit: Hit) => (grid ? onGrid(map.tickAt(hit.seconds), map.firstBar, grid) : map.tickAt(hit.seconds));
  const kept = new Map<string, Hit>();
  for (const hit of all) {
    const key = grid ? `${tickOf(hit)} ${hit.note}` : String(hit.id);
    if ((kept.get(key)?.velocity ?? 0) < hit.velocity) kept.set(key, hit);
  }
  const hits = [...kept.values()];
  const events: { tick: number; order: number; bytes: number[] }[] = [];
  const unit = Math.round(Math.log2(map.metre[1]));
  for (const tick of new Set([0, map.firstBar])) events.push({ tick, order: 0, bytes: [0xff, 0x58, 4, map.metre[0], unit, 24, 8] });
  for (const { tick, microseconds } of map.tempi()) {
    events.push({ tick, order: 1, bytes: [0xff, 0x51, 3, (microseconds >> 16) & 0xff, (microseconds >> 8) & 0xff, microseconds & 0xff] });
  }
  for (const hit of hits) {
    const tick = tickOf(hit);
    const end = tick + Math.max(1, map.tickAt(hit.seconds + kHitSeconds) - map.tickAt(hit.seconds));
    events.push({ tick, order: 3, bytes: [0x99, hit.note, Math.max(1, Math.min(127, Math.round(hit.velocity)))] });
    events.push({ tick: end, order: 2, bytes: [0x89, hit.note, 64] });
  }
  events.sort((a, b) => a.tick - b.tick || a.order - b.order);
  const track: number[] = [];
  let before = 0;
  for (const { tick, bytes } of events) {
    track.push(...variable(tick - before), ...bytes);
    before = tick;
  }
  track.push(0, 0xff, 0x2f, 0);
  const long = (value: number) => [(value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
  const text = (word: string) => [...word].map((letter) => letter.charCodeAt(0));
  return new Uint8Array([...text("MThd"), ...long(6), 0, 0, 0, 1, kTicks >> 8, kTicks & 0xff, ...text("MTrk"), ...long(track.length), ...track]);
}
