// What the work runs on, which models are here, and what did not run where it was meant to.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { getJson, request, sentence } from "../model/api";
import { loadCatalog, models } from "../model/catalog";
import { aboutText, bytesText, clockText } from "../model/format";
import { findJob, jobs, loadJobs } from "../model/jobs";
import type { Job, Slot } from "../model/types";
import { JobRow, jobName } from "../ui/jobs_list";
import { kindText } from "../ui/kinds";
import { Table } from "../ui/table";
import { Title } from "../ui/title";

interface Info {
  version: string;
  limits: Record<string, number>;
}

// What there is to compute on, as `timbre devices` tells it, with doctor's findings.
interface Device {
  device: string;
  kind: string;
  name?: string;
  driver_version?: string;
  simd_target?: string;
  threads?: number;
  memory_mb: number;
  taken: boolean;
  why_not: string | null;
  doctor?: { wrong_kernels: unknown[]; tile_seconds: Record<string, number> } | null;
}

interface Devices {
  devices: Device[];
  reason?: string;
  slots: Slot[];
}

function DeviceRow({ device }: { device: Device }) {
  const wrong = device.doctor?.wrong_kernels ?? [];
  const tiles = Object.entries(device.doctor?.tile_seconds ?? {});
  return (
    <tr>
      <td>
        <span class="name">{device.device}</span>
        <br />
        <span class="quiet">{device.name ?? device.kind}</span>
      </td>
      <td>{[device.simd_target, device.threads !== undefined ? `${device.threads} threads` : "", device.driver_version, `${(device.memory_mb / 1000).toFixed(1)} GB`].filter(Boolean).join(" · ")}</td>
      <td>{device.taken ? "taken by itself" : <span class="quiet">{device.why_not ?? "not taken"}</span>}</td>
      <td>
        {!device.doctor ? (
          <span class="quiet">not examined: timbre doctor</span>
        ) : (
          <>
            {wrong.length === 0 ? "all kernels are right" : `left out as wrong: ${wrong.map((kernel) => (typeof kernel === "string" ? kernel : JSON.stringify(kernel))).join(", ")}`}
            {tiles.length > 0 && (
              <>
                <br />
                <span class="quiet number">{tiles.map(([network, seconds]) => `${network} ${seconds.toFixed(2)} s a tile`).join(", ")}</span>
              </>
            )}
          </>
        )}
      </td>
    </tr>
  );
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
  const found = useSignal<Devices>({ devices: [], slots: [] });
  const ready = useSignal<{ ready: boolean; failing: string[] } | null>(null);
  const error = useSignal("");
  const loaded = useSignal(0);
  useEffect(() => {
    const refresh = () =>
      Promise.all([
        getJson<Info>("/v1/info"),
        getJson<Devices>("/v1/devices"),
        // Not ready is an answer as well, and says why.
        fetch("/readyz").then((response) => response.json() as Promise<{ ready: boolean; failing: string[] }>),
        loadCatalog(),
      ]).then(
        ([about, devices, readiness]) => {
          info.value = about;
          found.value = devices;
          ready.value = readiness;
          error.value = "";
        },
        (problem) => (error.value = sentence(problem)),
      );
    void refresh();
    const timer = setInterval(() => void (document.hidden || refresh()), 5000);
    return () => clearInterval(timer);
  }, []);
  const fetchModel = (name: string) =>
    request(`/v1/models/${encodeURIComponent(name)}/fetch`, { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" }).then(
      () => loadJobs(),
      (problem) => (error.value = sentence(problem)),
    );
  const fetching = jobs.value.filter((job) => job.kind === "pull" && job.state !== "succeeded");
  const done = jobs.value.filter((job) => job.state === "succeeded" && job.kind !== "pull").slice(0, kReports);
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
      <Title title="Machine" about={info.value ? `timbre ${info.value.version}` : "What the work runs on"}>
        {ready.value && <span class={`badge ${ready.value.ready ? "succeeded" : "failed"}`}>{ready.value.ready ? "Takes jobs" : `Takes no jobs: ${ready.value.failing.join("; ")}`}</span>}
      </Title>
      {error.value && (
        <p class="notice bad" role="alert">
          {error.value}
        </p>
      )}
      {found.value.devices.length > 0 && (
        <section class="sheet" aria-label="Devices">
          <header>
            <h2>Devices</h2>
            {found.value.reason && <span class="quiet">{found.value.reason}</span>}
          </header>
          <Table label="Table of devices" columns={["Device", "What it is", "Taken", "Doctor"]}>
            {found.value.devices.map((device) => (
              <DeviceRow key={device.device} device={device} />
            ))}
          </Table>
        </section>
      )}
      <section class="sheet" aria-label="Workers">
        <header>
          <h2>Workers</h2>
        </header>
        <Table label="Table of workers" columns={["Device", "Now", "Busy so far", "Restarts"]}>
          {found.value.slots.map((slot, i) => {
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
        </Table>
      </section>
      <section class="sheet" aria-label="Latest jobs">
        <header>
          <h2>How the latest jobs ran</h2>
        </header>
        {done.length === 0 ? (
          <p class="empty">Nothing has been done yet.</p>
        ) : (
          <Table label="Table of the latest jobs" columns={["Job", "Device", "Speed", "Memory", "Steps down"]}>
            {done.map((job) => (
              <ReportRow key={job.id} job={job} report={reports.get(job.id) ?? {}} />
            ))}
          </Table>
        )}
      </section>
      <section class="sheet" aria-label="Models">
        <header>
          <h2>Models</h2>
        </header>
        {fetching.length > 0 && (
          <ul class="rows" aria-label="Models being fetched">
            {fetching.map((job) => (
              <JobRow key={job.id} job={job} name={typeof job.options.model === "string" ? job.options.model : "A model"} />
            ))}
          </ul>
        )}
        <Table label="Table of models" columns={["Name", "What it does", "State", "Licence"]}>
          {models.value.map((model) => (
            <tr key={model.name}>
              <td class="name">{model.name}</td>
              <td>{model.summary}</td>
              <td>
                {model.state}
                {model.bytes > 0 && <span class="quiet"> · {bytesText(model.bytes)}</span>}
                {(model.state === "missing" || model.state === "incomplete") && model.bytes > 0 && (
                  <>
                    <br />
                    <button type="button" aria-label={`Fetch ${model.name}`} onClick={() => void fetchModel(model.name)}>
                      Fetch
                    </button>
                  </>
                )}
              </td>
              <td class="quiet">{model.licence}</td>
            </tr>
          ))}
        </Table>
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
