// Projects: timelines that the server keeps, with their history. A change names the revision that it was made from.
import { signal } from "@preact/signals";
import type { Job } from "./types";
import { ApiError, getJson, request, sendJson } from "./api";

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
  chain?: { title?: string } | null;
  start: number;
  end: number;
  overlap: number; // with the clip before
}

export interface Timeline {
  sample_rate: number;
  channels: number;
  crossfade: number; // seconds
  clips: Clip[];
  master?: { title?: string } | null;
  total: number;
  seconds: number;
}

export interface ProjectSummary {
  id: string;
  kind: string;
  name: string;
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

export const projects = signal<readonly ProjectSummary[]>([]);

export async function loadProjects(): Promise<void> {
  projects.value = (await getJson<{ projects: ProjectSummary[] }>("/v1/projects?limit=100")).projects;
}

export async function createProject(name: string, sampleRate: number, crossfade: number): Promise<Project> {
  return sendJson<Project>("POST", "/v1/projects", { name, sample_rate: sampleRate, crossfade });
}

export async function removeProject({ id, revision }: ProjectSummary): Promise<void> {
  await request(`/v1/projects/${id}`, { method: "DELETE", headers: { "If-Match": `"${revision}"` } });
  await loadProjects();
}

// The timeline as it is now, as one file, with all its presets: a job.
export async function exportProject(id: string, options: Record<string, unknown>): Promise<Job> {
  return sendJson<Job>("POST", `/v1/projects/${id}/export`, { options });
}

export type Operation = { op: string; [member: string]: unknown };

// One project that is open. Operations go one after another, each on what the one before left.
export class OpenProject {
  readonly project = signal<Project | null>(null);
  readonly error = signal("");
  private queue: Promise<unknown> = Promise.resolve();

  constructor(readonly id: string) {}

  async load(): Promise<void> {
    try {
      this.project.value = await getJson<Project>(`/v1/projects/${this.id}`);
      this.error.value = "";
    } catch (error) {
      this.error.value = error instanceof Error ? error.message : String(error);
    }
  }

  operate(operation: Operation): Promise<Project | null> {
    return this.send("POST", `/v1/projects/${this.id}/operations`, operation);
  }

  rename(name: string): Promise<Project | null> {
    return this.send("PATCH", `/v1/projects/${this.id}`, { name });
  }

  private send(method: string, path: string, body: unknown): Promise<Project | null> {
    const next = this.queue.then(async () => {
      const revision = this.project.value?.revision;
      if (revision === undefined) return null;
      try {
        const changed = await sendJson<Project>(method, path, body, { "If-Match": `"${revision}"` });
        this.project.value = changed;
        this.error.value = "";
        return changed;
      } catch (error) {
        // Somebody else was faster: what there is now is shown, and nothing is overwritten.
        if (error instanceof ApiError && error.status === 412) await this.load();
        this.error.value = error instanceof Error ? error.message : String(error);
        return null;
      }
    });
    this.queue = next;
    return next;
  }
}
