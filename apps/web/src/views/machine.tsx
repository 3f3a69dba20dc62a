// What the work runs on, which models are here, and what did not run where it was meant to.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { getJson, sentence } from "../model/api";
import { loadCatalog, models } from "../model/catalog";
import { aboutText, bytesText, clockText } from "../model/format";
import { findJob, jobs } from "../model/jobs";
import type { Job, Slot } from "../model/types";
import { jobName } from "../ui/jobs_list";
import { kindText } from "../ui/kinds";

interface Info {
  version: string;
  limits: Record<string, number>;
}

interface StepDown {
  node?: string;
  from?: string;
  to?: string;
  reason?: string;
  count?: number;
}

interface Report {
  device?: { name?: string; reason?: string };
  model?: { name?: string };
  peak_memory_mb?: number;
  steps_down?: StepDown[];
  tracks?: { seconds?: number; real_time_factor?: number; timings?: { total?: number } }[];
}

const kReports = 12; // of the newest jobs
const reports = new Map<string, Report>();

function StepText({ step }: { step: StepDown }) {
  return (
    <li>
      {step.node ? `${step.node}: ` : ""}
      {step.from ?? "?"} → {step.to ?? "?"}
      {step.count !== undefined && step.count > 1 ? ` (${step.count} times)` : ""}
      {step.reason ? ` – ${step.reason}` : ""}
    </li>
  );
}

function ReportRow({ job, report }: { job: Job; report: Report }) {
  const seconds = (report.tracks ?? []).reduce((sum, track) => sum + (track.seconds ?? 0), 0);
  const took = (report.tracks ?? []).reduce((sum, track) => sum + (track.timings?.total ?? 0), 0);
  const steps = report.steps_down ?? [];
  return (
    <tr>
      <td>
        <span class="name">{jobName(job)}</span>
        <br />
        <span class="quiet">
          {kindText(job.kind)}
          {report.model?.name ? ` · ${report.model.name}` : ""}
        </span>
      </td>
      <td>
        {report.device?.name ?? job.device ?? "–"}
        {report.device?.reason && (
          <>
            <br />
            <span class="quiet">{report.device.reason}</span>
          </>
        )}
      </td>
      <td class="number">{took > 0 && seconds > 0 ? `${(seconds / took).toFixed(1)} × real time` : "–"}</td>
      <td class="number">{report.peak_memory_mb !== undefined ? `${Math.round(report.peak_memory_mb)} MB` : "–"}</td>
      <td>
        {steps.length === 0 ? (
          <span class="quiet">none</span>
        ) : (
          <ul>
            {steps.map((step, i) => (
              <StepText key={i} step={step} />
            ))}
          </ul>
        )}
      </td>
    </tr>
  );
}

export function Machine() {
  const info = useSignal<Info | null>(null);
  const slots = useSignal<readonly Slot[]>([]);
  const ready = useSignal<{ ready: boolean; failing: string[] } | null>(null);
  const error = useSignal("");
  const loaded = useSignal(0);
  useEffect(() => {
    const refresh = () =>
      Promise.all([
        getJson<Info>("/v1/info"),
        getJson<{ slots: Slot[] }>("/v1/devices"),
        // Not ready is an answer as well, and says why.
        fetch("/readyz").then((response) => response.json() as Promise<{ ready: boolean; failing: string[] }>),
        loadCatalog(),
      ]).then(
        ([about, devices, readiness]) => {
          info.value = about;
          slots.value = devices.slots;
          ready.value = readiness;
          error.value = "";
        },
        (problem) => (error.value = sentence(problem)),
      );
    void refresh();
    const timer = setInterval(() => void (document.hidden || refresh()), 5000);
    return () => clearInterval(timer);
  }, []);
  const done = jobs.value.filter((job) => job.state === "succeeded").slice(0, kReports);
  useEffect(() => {
    for (const job of done) {
      if (reports.has(job.id)) continue;
      reports.set(job.id, {});
      getJson<{ report: Report | null }>(`/v1/jobs/${job.id}/result`).then(
        ({ report }) => {
          reports.set(job.id, report ?? {});
          ++loaded.value;
        },
        () => reports.delete(job.id),
      );
    }
  }, [done.map((job) => job.id).join()]);
  void loaded.value;
  return (
    <>
      <div class="title">
        <div>
          <h1>Machine</h1>
          <p class="quiet">{info.value ? `timbre ${info.value.version}` : "What the work runs on"}</p>
        </div>
        {ready.value && <span class={`badge ${ready.value.ready ? "succeeded" : "failed"}`}>{ready.value.ready ? "Takes jobs" : `Takes no jobs: ${ready.value.failing.join("; ")}`}</span>}
      </div>
      {error.value && (
        <p class="notice bad" role="alert">
          {error.value}
        </p>
      )}
      <section class="sheet" aria-label="Workers">
        <header>
          <h2>Workers</h2>
        </header>
        <div class="scroll" tabIndex={0} role="region" aria-label="Table of workers">
          <table>
            <thead>
              <tr>
                <th scope="col">Device</th>
                <th scope="col">Now</th>
                <th scope="col">Busy so far</th>
                <th scope="col">Restarts</th>
              </tr>
            </thead>
            <tbody>
              {slots.value.map((slot, i) => {
                const job = slot.job ? findJob(slot.job) : undefined;
                return (
                  <tr key={i}>
                    <td>
                      {slot.device}
                      {slot.quick && <span class="quiet"> · for what takes a moment</span>}
                    </td>
                    <td>{job ? `${kindText(job.kind)}: ${jobName(job)}` : slot.job ? "a job" : <span class="quiet">idle</span>}</td>
                    <td class="number">{slot.busy_seconds < 60 ? `${slot.busy_seconds.toFixed(1)} s` : clockText(slot.busy_seconds)}</td>
                    <td class="number">{slot.restarts}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </section>
      <section class="sheet" aria-label="Latest jobs">
        <header>
          <h2>How the latest jobs ran</h2>
        </header>
        {done.length === 0 ? (
          <p class="empty">Nothing has been done yet.</p>
        ) : (
          <div class="scroll" tabIndex={0} role="region" aria-label="Table of the latest jobs">
            <table>
              <thead>
                <tr>
                  <th scope="col">Job</th>
                  <th scope="col">Device</th>
                  <th scope="col">Speed</th>
                  <th scope="col">Memory</th>
                  <th scope="col">Steps down</th>
                </tr>
              </thead>
              <tbody>
                {done.map((job) => (
                  <ReportRow key={job.id} job={job} report={reports.get(job.id) ?? {}} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
      <section class="sheet" aria-label="Models">
        <header>
          <h2>Models</h2>
        </header>
        <div class="scroll" tabIndex={0} role="region" aria-label="Table of models">
          <table>
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">What it does</th>
                <th scope="col">State</th>
                <th scope="col">Licence</th>
              </tr>
            </thead>
            <tbody>
              {models.value.map((model) => (
                <tr key={model.name}>
                  <td class="name">{model.name}</td>
                  <td>{model.summary}</td>
                  <td>
                    {model.state}
                    {model.bytes > 0 && <span class="quiet"> · {bytesText(model.bytes)}</span>}
                  </td>
                  <td class="quiet">{model.licence}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
      {info.value && (
        <section class="sheet" aria-label="Limits">
          <header>
            <h2>Limits</h2>
          </header>
          <dl class="pad fields">
            {[
              ["Largest file", bytesText(info.value.limits.upload_bytes ?? 0)],
              ["Unfinished jobs, of you and of all", `${info.value.limits.jobs_of_client} and ${info.value.limits.jobs}`],
              ["Results are kept for", aboutDays(info.value.limits.keep_seconds ?? 0)],
            ].map(([name, value]) => (
              <div key={name}>
                <dt class="quiet">{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </section>
      )}
    </>
  );
}

function aboutDays(seconds: number): string {
  return seconds >= 86400 ? `${Math.round(seconds / 86400)} days` : aboutText(seconds);
}
