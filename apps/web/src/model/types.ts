// What the server's answers hold, as far as the page reads them (docs/openapi.json has all of it).

export type JobState = "queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled";

export interface Output {
  name: string;
  asset: string;
  bytes: number;
  media_type: string;
  link: string;
}

export interface Job {
  id: string;
  kind: string;
  state: JobState;
  progress: number; // of 0 to 1
  stage: string | null;
  position: number | null; // in the queue
  eta_s: number | null;
  attempt: number;
  device: string | null;
  priority: "low" | "normal" | "high";
  paused: boolean;
  options: Record<string, unknown>;
  inputs: { asset: string; name: string }[];
  outputs: Output[];
  project: string;
  error: { detail?: string; message?: string; title?: string } | null;
  created: string;
  started: string | null;
  ended: string | null;
  expires: string | null;
}

export interface Asset {
  id: string;
  name: string;
  bytes: number;
  media_type: string;
  facts: { seconds?: number | null; sample_rate?: number; channels?: number; [fact: string]: unknown };
  created: string;
}

export interface Model {
  name: string;
  summary: string;
  task: string;
  stems: string[];
  licence: string;
  state: "built-in" | "installed" | "incomplete" | "missing";
  bytes: number;
}

export interface Kind {
  name: string;
  summary: string;
  files: boolean; // it takes inputs
  together: boolean; // one job makes one thing of all its inputs
  schema: string;
}

export interface Slot {
  device: string;
  quick: boolean;
  job: string | null;
  restarts: number;
  busy_seconds: number;
}

// The part of JSON Schema that options are described in.
export interface FieldSchema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  enum?: (string | null)[];
  minimum?: number;
  maximum?: number;
  items?: FieldSchema;
  anyOf?: FieldSchema[]; // of a file: {"asset": ID} or {"text": "…"}
}

export interface OptionsSchema {
  properties: Record<string, FieldSchema>;
}

export function isOver(state: JobState): boolean {
  return state === "succeeded" || state === "failed" || state === "cancelled";
}
