// The jobs as the server tells of them: a list at first, then one stream of events. A lost stream is said and heals.
import { batch, computed, signal } from "@preact/signals";
import { ApiError, getJson, locked, request, send, sendJson } from "./api";
import { type Job, isOver } from "./types";

const kPage = 100;

export const jobs = signal<readonly Job[]>([]); // the newest first
export const jobsLoaded = signal(false);
export const moreJobs = signal<string | null>(null); // where the next page is
export const connection = signal<"connecting" | "open" | "lost">("connecting");

export const running = computed(() => jobs.value.filter((job) => !isOver(job.state)));
export const outputAssets = computed(() => {
  const made = new Set<string>();
  for (const job of jobs.value) for (const output of job.outputs) made.add(output.asset);
  return made;
});

export function findJob(id: string): Job | undefined {
  return jobs.value.find((job) => job.id === id);
}

// Ids of jobs grow with the time they were made at.
function merge(changed: readonly Job[]): void {
  const byId = new Map(jobs.value.map((job) => [job.id, job]));
  for (const job of changed) byId.set(job.id, job);
  jobs.value = [...byId.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
}

function forget(id: string): void {
  jobs.value = jobs.value.filter((job) => job.id !== id);
}

function nextOf(response: Response): string | null {
  return /<([^>]+)>;\s*rel="next"/.exec(response.headers.get("Link") ?? "")?.[1] ?? null;
}

// The newest page anew. What is in its range and not on it is gone.
export async function loadJobs(): Promise<void> {
  const response = await request(`/v1/jobs?limit=${kPage}`);
  const page = ((await response.json()) as { jobs: Job[] }).jobs;
  const last = page.at(-1)?.id ?? "";
  batch(() => {
    const older = page.length < kPage ? [] : jobs.value.filter((job) => job.id < last);
    if (older.length === 0) moreJobs.value = nextOf(response);
    jobs.value = [...page, ...older];
    jobsLoaded.value = true;
  });
}

export async function loadMoreJobs(): Promise<void> {
  if (moreJobs.value === null) return;
  const response = await request(moreJobs.value);
  batch(() => {
    moreJobs.value = nextOf(response);
  });
  merge(((await response.json()) as { jobs: Job[] }).jobs);
}

export async function loadJob(id: string): Promise<Job | undefined> {
  try {
    const job = await getJson<Job>(`/v1/jobs/${id}`);
    merge([job]);
    return job;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) forget(id);
    return undefined;
  }
}

export interface JobRequest {
  kind: string;
  inputs: (string | { asset: string; name: string })[];
  options: Record<string, unknown>;
  project?: string;
}

// The key makes a job of a request once, though the answer may have been lost and the request be sent again.
export async function submit(job: JobRequest): Promise<Job> {
  const key = crypto.getRandomValues(new Uint8Array(16)).reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");
  const made = await sendJson<Job>("POST", "/v1/jobs", job, { "Idempotency-Key": key });
  merge([made]);
  return made;
}

// What came of a job, when that is known; where it has not succeeded, why is thrown.
export async function ended(id: string): Promise<Job> {
  for (;;) {
    const job = await getJson<Job>(`/v1/jobs/${id}?wait=30`);
    merge([job]);
    if (job.state === "succeeded") return job;
    if (isOver(job.state)) throw new Error(job.error?.detail ?? `The job is ${job.state}.`);
  }
}

export async function cancel(id: string): Promise<void> {
  await send("POST", `/v1/jobs/${id}/cancel`);
  await loadJob(id);
}

export async function retry(id: string): Promise<void> {
  await send("POST", `/v1/jobs/${id}/retry`);
  await loadJob(id);
}

export async function setPaused(id: string, paused: boolean): Promise<void> {
  merge([await sendJson<Job>("PATCH", `/v1/jobs/${id}`, { paused })]);
}

// Ahead of all that wait, or where it came.
export async function putFirst(id: string, first: boolean): Promise<void> {
  await sendJson<Job>("PATCH", `/v1/jobs/${id}`, first ? { front: true } : { priority: "normal" });
  await loadJobs(); // the others' places are others
}

export async function remove(id: string): Promise<void> {
  await send("DELETE", `/v1/jobs/${id}`);
  forget(id);
}

let source: EventSource | null = null;
let retries = 0;

// Follows the events until the page is left. A browser comes back by itself after a broken connection; after an answer
// that is an error it does not, and is made to here.
export function follow(): void {
  source?.close();
  const events = new EventSource("/v1/events");
  source = events;
  events.onopen = () => {
    retries = 0;
    connection.value = "open";
    loadJobs().catch(() => undefined);
  };
  events.onerror = () => {
    if (locked.value) return;
    connection.value = "lost";
    if (events.readyState !== EventSource.CLOSED) return;
    retries = Math.min(retries + 1, 5);
    // A session may have ended meanwhile; then the answer says so and the page asks for the token.
    setTimeout(() => {
      getJson("/v1/info").then(follow, () => (locked.value ? undefined : follow()));
    }, 500 * 2 ** retries);
  };
  const changed = (event: MessageEvent<string>) => {
    const id = (JSON.parse(event.data) as { job?: string }).job;
    if (id) void loadJob(id);
  };
  for (const type of ["job.queued", "job.started", "job.ended", "job.changed"]) events.addEventListener(type, changed);
  events.addEventListener("job.progress", (event) => {
    const told = JSON.parse((event as MessageEvent<string>).data) as { job: string; stage: string; progress: number };
    const job = findJob(told.job);
    if (job && !isOver(job.state)) merge([{ ...job, stage: told.stage, progress: told.progress }]);
  });
  // What events don't tell, such as the time left and the places in the queue, is asked for while something runs.
  clearInterval(poll);
  poll = setInterval(() => {
    if (connection.value === "open" && running.value.length > 0 && !document.hidden) loadJobs().catch(() => undefined);
  }, 5000);
}
let poll: ReturnType<typeof setInterval> | undefined;

addEventListener("online", () => {
  if (connection.value === "lost") follow();
});
