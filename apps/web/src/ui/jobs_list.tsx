// Jobs as rows: what each is, how far, and what can be done about it.
import { useState } from "preact/hooks";
import { sentence } from "../model/api";
import { aboutText, bytesText, whenText } from "../model/format";
import { cancel, putFirst, remove, retry, setPaused } from "../model/jobs";
import { hrefOf } from "../model/route";
import { type Job, isOver } from "../model/types";
import { kindText } from "./kinds";
import { Symbol } from "./symbols";

const kStates: Record<Job["state"], string> = {
  queued: "Waiting",
  running: "Running",
  cancelling: "Being cancelled",
  succeeded: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

export function jobName(job: Job): string {
  const first = job.inputs[0]?.name ?? (typeof job.options.prompt === "string" ? job.options.prompt : kindText(job.kind));
  return job.inputs.length > 1 ? `${first} and ${job.inputs.length - 1} more` : first;
}

export function fileName(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

export function isSound(mediaType: string): boolean {
  return mediaType.startsWith("audio/") && !mediaType.includes("midi");
}

// The view that shows what came of a job best.
function viewOf(job: Job): { href: string; text: string } | null {
  if (job.kind === "separate") return { href: hrefOf("mixer", job.id), text: "Open in the mixer" };
  if (job.kind === "denoise") return { href: hrefOf("speech", job.id), text: "Before and after" };
  if (job.kind === "drums" && "hits" in job.options) return job.project ? { href: hrefOf("drums", "hits", job.project), text: "Show the hits" } : null;
  if (job.kind === "drums") return { href: hrefOf("drums", job.id), text: "Show the hits" };
  if (job.kind === "master") return { href: hrefOf("studio", "master", job.id), text: "Before and after" };
  if (job.outputs.some((output) => isSound(output.media_type))) return { href: hrefOf("mixer", job.id), text: "Listen" };
  return null;
}

function stateText(job: Job): string {
  if (job.state === "queued" && job.paused) return "Paused";
  if (job.state === "queued" && job.position !== null) return job.position === 0 ? "Next in the queue" : `Waiting, ${job.position} before it`;
  return kStates[job.state];
}

function Files({ job }: { job: Job }) {
  if (job.outputs.length === 0) return null;
  return (
    <details>
      <summary>
        {job.outputs.length} {job.outputs.length === 1 ? "file" : "files"}
      </summary>
      <ul class="stack">
        {job.outputs.map((output) => (
          <li key={output.name} class="line">
            <a href={`/v1/jobs/${job.id}/files/${encodeURIComponent(output.name)}?download=${encodeURIComponent(fileName(output.name))}`}>{fileName(output.name)}</a>
            <span class="quiet number">{bytesText(output.bytes)}</span>
          </li>
        ))}
        {job.outputs.length > 1 && (
          <li>
            <a href={`/v1/jobs/${job.id}/files.zip`}>All as a zip archive</a>
          </li>
        )}
      </ul>
    </details>
  );
}

export function JobRow({ job, name = jobName(job) }: { job: Job; name?: string }) {
  const [error, setError] = useState("");
  const act = (action: () => Promise<unknown>) => () => {
    setError("");
    action().catch((problem) => setError(sentence(problem)));
  };
  const view = job.state === "succeeded" ? viewOf(job) : null;
  const active = job.state === "running" || job.state === "cancelling";
  return (
    <li>
      <div class="what">
        <p class="name">{name}</p>
        <p class="quiet">
          {kindText(job.kind)}
          {typeof job.options.model === "string" ? ` · ${job.options.model}` : ""}
          {job.device && active ? ` · ${job.device}` : ""} · {whenText(job.ended ?? job.created)}
          {job.attempt > 1 ? ` · attempt ${job.attempt}` : ""}
        </p>
        {active && (
          <div class="line">
            <progress class="grow" max={1} value={job.progress} aria-label={`Progress of ${name}`} />
            <span class="quiet number">
              {Math.floor(job.progress * 100)} %{job.stage ? ` · ${job.stage}` : ""}
              {job.eta_s !== null && job.eta_s > 0 ? ` · ${aboutText(job.eta_s)} left` : ""}
            </span>
          </div>
        )}
        {job.state === "failed" && <p class="error">{job.error?.detail ?? job.error?.message ?? "It failed, and the server does not say why."}</p>}
        {error && (
          <p class="error" role="alert">
            {error}
          </p>
        )}
        {job.state === "succeeded" && <Files job={job} />}
      </div>
      <span class={`badge ${job.state}`}>{stateText(job)}</span>
      <div class="line">
        {view && (
          <a class="button" href={view.href}>
            {view.text}
          </a>
        )}
        {job.state === "queued" && job.position !== 0 && (
          <button type="button" onClick={act(() => putFirst(job.id, true))} aria-label={`Do ${name} first`}>
            First
          </button>
        )}
        {job.state === "queued" && job.priority === "high" && (
          <button type="button" onClick={act(() => putFirst(job.id, false))} aria-label={`Put ${name} back among the others`} title="Where it came">
            Back
          </button>
        )}
        {job.state === "queued" && (
          <button type="button" onClick={act(() => setPaused(job.id, !job.paused))} aria-label={`${job.paused ? "Go on with" : "Pause"} ${name}`}>
            {job.paused ? "Go on" : "Pause"}
          </button>
        )}
        {!isOver(job.state) && (
          <button type="button" disabled={job.state === "cancelling"} onClick={act(() => cancel(job.id))} aria-label={`Cancel ${name}`}>
            Cancel
          </button>
        )}
        {(job.state === "failed" || job.state === "cancelled") && (
          <button type="button" onClick={act(() => retry(job.id))} aria-label={`Try again: ${name}`}>
            Try again
          </button>
        )}
        {isOver(job.state) && (
          <button type="button" class="icon plain" title="Remove the job and its files" onClick={act(() => remove(job.id))} aria-label={`Remove the job ${kindText(job.kind)} of ${name}`}>
            <Symbol name="close" />
          </button>
        )}
      </div>
    </li>
  );
}
