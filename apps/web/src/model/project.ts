// Projects: timelines and corrected hits that the server keeps, with their history. A change names the revision that it was made from.
import { signal } from "@preact/signals";
import type { Job } from "./types";
import { ApiError, getJson, request, sendJson } from "./api";
import type { Chain } from "./chain";
import type { BeatGrid, Hit } from "./drums";

export interface Clip {
  id: string;
  asset: string;
  name: string;
  role: "none" | "intro" | "outro";
  asset_length: number; // samples at the project's rate, as all of these
  from: number;
  length: number;
  gain_db: number;
  mute: boolean;
  solo: boolean;
  crossfade?: number | null; // seconds, with the clip before; none: the project's
  chain?: Chain | null;
  start: number;
  end: number;
  overlap: number; // with the clip before
}

export interface Timeline {
  sample_rate: number;
  channels: number;
  crossfade: number; // seconds
  clips: Clip[];
  master?: Chain | null;
  total: number;
  seconds: number;
}

export interface ProjectSummary {
  id: string;
  kind: string;
  name: string;
  job: string | null; // whose result it corrects
  revision: number;
  undo: number; // steps
  redo: number;
  created: string;
  changed: string;
}

export interface Project extends ProjectSummary {
  timeline: Timeline;
  clip?: string | null; // that an operation made
}

export interface DrumProject extends ProjectSummary {
  drums: {
    asset: string | null; // the song
    heard: string | null; // the address of what a job heard
    sounds: { asset: string; name: string }[];
    mixes: { asset: string; name: string }[]; // of the song, besides it
    grid: BeatGrid | null; // as it was set right
    hits: Hit[];
  };
  hit?: number | null; // that an operation made
}

export const projects = signal<readonly ProjectSummary[]>([]);

export async function loadProjects(): Promise<void> {
  projects.value = (await getJson<{ projects: ProjectSummary[] }>("/v1/projects?kind=timeline&limit=100")).projects;
}

export const corrected = signal<readonly ProjectSummary[]>([]); // hits of drums

export async function loadCorrected(): Promise<void> {
  corrected.value = (await getJson<{ projects: ProjectSummary[] }>("/v1/projects?kind=drums&limit=100")).projects;
}

// The newest project that corrects what a job heard.
export async function correctionOf(job: string): Promise<ProjectSummary | null> {
  return (await getJson<{ projects: ProjectSummary[] }>(`/v1/projects?kind=drums&job=${job}&limit=1`)).projects[0] ?? null;
}

// The newest project of drums that has a sound.
export async function drumsOf(asset: string): Promise<DrumProject | null> {
  const [found] = (await getJson<{ projects: ProjectSummary[] }>(`/v1/projects?kind=drums&asset=${asset}&limit=1`)).projects;
  return found ? getJson<DrumProject>(`/v1/projects/${found.id}`) : null;
}

export async function createCorrection(job: string): Promise<DrumProject> {
  return sendJson<DrumProject>("POST", "/v1/projects", { kind: "drums", job });
}

export async function createProject(name: string, sampleRate: number, crossfade: number): Promise<Project> {
  return sendJson<Project>("POST", "/v1/projects", { name, sample_rate: sampleRate, crossfade });
}

export async function removeProject({ id, revision }: ProjectSummary): Promise<void> {
  await request(`/v1/projects/${id}`, { method: "DELETE", headers: { "If-Match": `"${revision}"` } });
}

// What is to be made of a project as it is now: of a timeline one file, with all its presets; of hits MIDI, and a video. A job.
export async function exportProject(id: string, options: Record<string, unknown>): Promise<Job> {
  return sendJson<Job>("POST", `/v1/projects/${id}/export`, { options });
}

// A job that listens to a project's song as the project says.
export async function listen(id: string, options: Record<string, unknown>): Promise<Job> {
  return sendJson<Job>("POST", `/v1/projects/${id}/listen`, { options });
}

export type Operation = { op: string; [member: string]: unknown };

const kRetry = 1000; // ms

// One project that is open. Operations go one after another, each on what the one before left. Where no answer comes they
// are sent again until one does: the revision that they name lets them happen once.
export class OpenProject<P extends ProjectSummary = Project> {
  readonly project = signal<P | null>(null);
  readonly error = signal("");
  private queue: Promise<unknown> = Promise.resolve();

  constructor(readonly id: string) {}

  async load(): Promise<void> {
    try {
      this.project.value = await getJson<P>(`/v1/projects/${this.id}`);
      this.error.value = "";
    } catch (error) {
      this.error.value = error instanceof Error ? error.message : String(error);
    }
  }

  operate(operation: Operation): Promise<P | null> {
    return this.send("POST", `/v1/projects/${this.id}/operations`, operation);
  }

  rename(name: string): Promise<P | null> {
    return this.send("PATCH", `/v1/projects/${this.id}`, { name });
  }

  addMix(asset: string, name: string): Promise<P | null> {
    return this.send("POST", `/v1/projects/${this.id}/mixes`, { asset, name });
  }

  // How the drums of it are listened for, as YAML: docs/drums.yaml or a part of it.
  async listening(): Promise<string> {
    return (await request(`/v1/projects/${this.id}/config/drums`)).text();
  }

  // Null: the default.
  setListening(yaml: string | null): Promise<P | null> {
    const path = `/v1/projects/${this.id}/config/drums`;
    const how = yaml === null ? { method: "DELETE" } : { method: "PUT", body: yaml };
    return this.change(async (headers) => (await request(path, { ...how, headers: { ...headers, "Content-Type": "application/yaml" } })).json() as Promise<P>);
  }

  private send(method: string, path: string, body: unknown): Promise<P | null> {
    return this.change((headers) => sendJson<P>(method, path, body, headers));
  }

  private change(ask: (headers: Record<string, string>) => Promise<P>): Promise<P | null> {
    const next = this.queue.then(async () => {
      const revision = this.project.value?.revision;
      if (revision === undefined) return null;
      for (;;) {
        try {
          const changed = await ask({ "If-Match": `"${revision}"` });
          this.project.value = changed;
          this.error.value = "";
          return changed;
        } catch (error) {
          if (error instanceof ApiError && error.status === 0) {
            this.error.value = `${error.message} The change waits here until it does.`;
            await new Promise((resolve) => setTimeout(resolve, kRetry));
            continue;
          }
          // Somebody else was faster: what there is now is shown, and nothing is overwritten.
          if (error instanceof ApiError && error.status === 412) await this.load();
          this.error.value = error instanceof Error ? error.message : String(error);
          return null;
        }
      }
    });
    this.queue = next;
    return next;
  }
}
