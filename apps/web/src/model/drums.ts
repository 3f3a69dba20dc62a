// Hits of drums: as a job found them, and as they were changed.
import { computed, signal } from "@preact/signals";
import lanes, { type Lane, type Voice } from "timbre:lanes";
import { sentence } from "./api";
import { withoutEnding } from "./format";
import { submit } from "./jobs";
import { type DrumProject, OpenProject, createCorrection, exportProject } from "./project";
import type { Asset, Job } from "./types";

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

// Where the beats lie and how bars count them: as it was heard, or set right.
export interface BeatGrid {
  tempo_bpm: number | null;
  tempo_steady: boolean;
  metre: string | null;
  metre_confidence: number;
  downbeat: number; // which beat begins a bar
  beats: number[]; // seconds
}

export interface FoundDrums extends BeatGrid {
  seconds: number;
  stems: { name: string; hits: { seconds: number; kept: boolean; note?: number; velocity?: number; reason?: string; voice?: string }[] }[];
}

// The list that is shown: what was heard until somebody changes it, and a project of the server's from then on, which keeps each
// step. A change is seen when it is kept.
export class HitList {
  readonly selected = signal<number | null>(null);
  readonly rejected: readonly Rejected[];
  readonly hits = computed<readonly Hit[]>(() => this.open.value?.project.value?.drums.hits ?? this.heard);
  readonly kept = computed(() => this.open.value?.id ?? null); // the project
  readonly canUndo = computed(() => (this.open.value?.project.value?.undo ?? 0) > 0);
  readonly canRedo = computed(() => (this.open.value?.project.value?.redo ?? 0) > 0);
  readonly current = computed(() => this.hits.value.find((hit) => hit.id === this.selected.value) ?? null);
  readonly grid = computed<BeatGrid>(() => this.open.value?.project.value?.drums.grid ?? this.found);
  readonly gridIsHeard = computed(() => !this.open.value?.project.value?.drums.grid);
  readonly mixes = computed(() => this.open.value?.project.value?.drums.mixes ?? []);
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

  // Another tempo, first beat or metre; what they are then, `grid` says.
  async setBeats(change: { tempo_bpm?: number; first?: number; metre?: string; times?: "double" | "half"; as_heard?: true }): Promise<void> {
    await this.operate({ op: "beats", ...change });
  }

  // What another job heard, in place of all that there is; a step like any other.
  async take(job: string): Promise<boolean> {
    return (await this.operate({ op: "take", job })) !== null;
  }

  undo(): void {
    if (this.canUndo.value) void this.operate({ op: "undo" });
  }

  redo(): void {
    if (this.canRedo.value) void this.operate({ op: "redo" });
  }

  // Another mix of the song, for videos.
  async addMix(mix: Asset): Promise<void> {
    await (await this.project())?.addMix(mix.id, withoutEnding(mix.name));
  }

  // A job that makes MIDI of the hits as they are now, and whatever else `options` ask for: a video has the sound of the project's.
  async export(options: Record<string, unknown>): Promise<Job> {
    const kept = "video" in options ? await this.project() : this.open.peek();
    if (kept) return exportProject(kept.id, options);
    if ("video" in options) throw new Error(this.error.peek());
    const stems = this.found.stems.map(({ name, hits }) => ({ name, hits: hits.filter((hit) => hit.kept).map(({ seconds, note, velocity }) => ({ seconds, note, velocity })) }));
    return submit({ kind: "drums", inputs: [], options: { ...options, hits: { text: JSON.stringify({ ...this.found, stems }), name: "found.hits.json" } } });
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

function metreOf(grid: BeatGrid): [number, number] {
  const [upper = 4, lower = 4] = (grid.metre ?? "4/4").split("/").map(Number);
  return [upper, lower];
}

// In 6/8, 9/8 and 12/8 a beat is three eighths.
function isCompound([upper, lower]: readonly [number, number]): boolean {
  return lower === 8 && upper % 3 === 0;
}

export function beatsOfBar(grid: BeatGrid): number {
  const metre = metreOf(grid);
  return isCompound(metre) ? metre[0] / 3 : metre[0];
}

// Steps that notes can be moved to, t: triplets.
export const kGrids = ["1/4", "1/8", "1/16", "1/32", "1/8t", "1/16t"] as const;

export type GridStep = (typeof kGrids)[number];
