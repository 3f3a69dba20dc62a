// What there is: files that were brought in, and the jobs made of them.
import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { sentence } from "../model/api";
import { assets, assetsLoaded, loadAssets, loadMoreAssets, moreAssets, removeAsset } from "../model/catalog";
import { bytesText, clockText } from "../model/format";
import { jobs, jobsLoaded, loadMoreJobs, moreJobs, outputAssets, running } from "../model/jobs";
import { hrefOf } from "../model/route";
import { type Asset, isOver } from "../model/types";
import { addFiles, dismiss, giveUp, sendAgain, soundFiles, uploads } from "../model/uploads";
import { type FormInput, JobForm } from "../ui/job_form";
import { JobRow, isSound, jobName } from "../ui/jobs_list";
import { kindText } from "../ui/kinds";
import { Symbol } from "../ui/symbols";
import { Title } from "../ui/title";

function DropZone() {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const take = (input: HTMLInputElement, all: boolean) => {
    if (input.files) addFiles(all ? [...input.files] : soundFiles(input.files));
    input.value = "";
  };
  return (
    <div class="drop">
      <p>
        <strong>Drop songs or folders anywhere</strong>
        <br />
        <span class="quiet">They stay on this server. An upload that breaks off goes on where it was.</span>
      </p>
      <div class="line">
        <button type="button" class="primary" onClick={() => files.current?.click()}>
          <Symbol name="plus" />
          Choose files
        </button>
        <button type="button" onClick={() => folder.current?.click()}>
          Choose a folder
        </button>
      </div>
      <input ref={files} type="file" multiple hidden aria-label="Files to bring in" onChange={(event) => take(event.currentTarget, true)} />
      <input ref={folder} type="file" multiple hidden aria-label="A folder to bring in" {...{ webkitdirectory: true }} onChange={(event) => take(event.currentTarget, false)} />
    </div>
  );
}

const kUploadStates = { waiting: "Waiting", sending: "", interrupted: "Interrupted; goes on by itself", done: "Here", failed: "Failed", "given-up": "Given up" };

function Uploads() {
  const shown = uploads.value.filter((upload) => upload.state !== "done");
  if (shown.length === 0) return null;
  return (
    <section class="sheet" aria-label="Uploads">
      <header>
        <h2>On the way</h2>
      </header>
      <ul class="rows">
        {shown.map((upload) => (
          <li key={upload.key}>
            <div class="what">
              <p class="name">{upload.name}</p>
              <div class="line">
                <progress class="grow" max={Math.max(1, upload.file.size)} value={upload.sent} aria-label={`Upload of ${upload.name}`} />
                <span class="quiet number">
                  {bytesText(upload.sent)} of {bytesText(upload.file.size)}
                </span>
              </div>
              {upload.error && (
                <p class="error" role="alert">
                  {upload.error}
                </p>
              )}
            </div>
            <span class="quiet">{kUploadStates[upload.state]}</span>
            {upload.state === "failed" || upload.state === "given-up" ? (
              <div class="line">
                <button type="button" onClick={() => sendAgain(upload.key)} aria-label={`Try again to send ${upload.name}`}>
                  Try again
                </button>
                <button type="button" class="icon plain" onClick={() => dismiss(upload.key)} aria-label={`Put the upload of ${upload.name} away`}>
                  <Symbol name="close" />
                </button>
              </div>
            ) : (
              <button type="button" onClick={() => giveUp(upload.key)} aria-label={`Give up the upload of ${upload.name}`}>
                Give up
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function factsText(asset: Asset): string {
  const parts = [];
  if (typeof asset.facts.seconds === "number") parts.push(clockText(asset.facts.seconds));
  if (asset.facts.sample_rate !== undefined) parts.push(`${asset.facts.sample_rate / 1000} kHz`);
  if (asset.facts.channels !== undefined) parts.push(asset.facts.channels === 1 ? "mono" : asset.facts.channels === 2 ? "stereo" : `${asset.facts.channels} channels`);
  parts.push(bytesText(asset.bytes));
  return parts.join(" · ");
}

export function Library() {
  const search = useSignal("");
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const form = useSignal<{ inputs: FormInput[]; kind: string } | null>(null);
  const error = useSignal("");
  useEffect(() => {
    loadAssets().catch((problem) => (error.value = sentence(problem)));
  }, []);
  const matches = (text: string) => text.toLowerCase().includes(search.value.trim().toLowerCase());
  // Words and tables that came with a job are the job's, and no files that anybody brought in.
  const tracks = useComputed(() => assets.value.filter((asset) => !outputAssets.value.has(asset.id) && !asset.media_type.startsWith("text/") && matches(asset.name)));
  const history = useComputed(() => jobs.value.filter((job) => isOver(job.state) && matches(`${jobName(job)} ${job.kind} ${kindText(job.kind)} ${job.state}`)));
  const selected = tracks.value.filter((asset) => chosen.value.has(asset.id));
  const open = (list: readonly Asset[]) => (form.value = { inputs: list.map(({ id, name }) => ({ asset: id, name })), kind: "separate" });
  const choose = (id: string, on: boolean) => {
    const next = new Set(chosen.value);
    if (on) next.add(id);
    else next.delete(id);
    chosen.value = next;
  };
  return (
    <>
      <Title title="Library" about="Files, the queue, and all that was made">
        <input class="search" type="search" placeholder="Search" aria-label="Search files and jobs" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
      </Title>
      <DropZone />
      {error.value && (
        <p class="notice bad" role="alert">
          {error.value}
        </p>
      )}
      <Uploads />
      {running.value.length > 0 && (
        <section class="sheet" aria-label="Queue">
          <header>
            <h2>Queue</h2>
            <span class="quiet">{running.value.length} unfinished</span>
          </header>
          <ul class="rows">
            {running.value.map((job) => (
              <JobRow key={job.id} job={job} />
            ))}
          </ul>
        </section>
      )}
      <section class="sheet" aria-label="Files">
        <header>
          <h2>Files</h2>
          {selected.length > 0 && (
            <>
              <span class="quiet">{selected.length} chosen</span>
              <button type="button" class="primary" onClick={() => open(selected)}>
                Do something with {selected.length === 1 ? "it" : "them"}…
              </button>
            </>
          )}
        </header>
        {tracks.value.length === 0 ? (
          <p class="empty">{!assetsLoaded.value ? "Loading…" : search.value ? "No file has that in its name." : "Nothing here yet."}</p>
        ) : (
          <ul class="rows">
            {tracks.value.map((asset) => (
              <li key={asset.id}>
                <label class="tick only">
                  <input type="checkbox" checked={chosen.value.has(asset.id)} onChange={(event) => choose(asset.id, event.currentTarget.checked)} aria-label={`Choose ${asset.name}`} />
                </label>
                <div class="what">
                  <p class="name">{asset.name}</p>
                  <p class="quiet number">{factsText(asset)}</p>
                </div>
                <div class="line">
                  {isSound(asset.media_type) && (
                    <a class="button plain" href={hrefOf("mixer", "file", asset.id)} aria-label={`Listen to ${asset.name}`}>
                      Listen
                    </a>
                  )}
                  <button type="button" onClick={() => open([asset])} aria-label={`Separate ${asset.name}, or do something else with it`}>
                    Separate…
                  </button>
                  <button type="button" class="icon plain" title="Remove the file" onClick={() => removeAsset(asset.id).catch((problem) => (error.value = sentence(problem)))} aria-label={`Remove ${asset.name}`}>
                    <Symbol name="close" />
                  </button>
                </div>
              </li>
            ))}
          </ul>
        )}
        {moreAssets.value !== null && (
          <div class="pad">
            <button type="button" onClick={() => void loadMoreAssets()}>
              Older files
            </button>
          </div>
        )}
      </section>
      <section class="sheet" aria-label="History">
        <header>
          <h2>History</h2>
        </header>
        {history.value.length === 0 ? (
          <p class="empty">{!jobsLoaded.value ? "Loading…" : search.value ? "No finished job is called that." : "What is done will stand here."}</p>
        ) : (
          <ul class="rows">
            {history.value.map((job) => (
              <JobRow key={job.id} job={job} />
            ))}
          </ul>
        )}
        {moreJobs.value !== null && (
          <div class="pad">
            <button type="button" onClick={() => void loadMoreJobs()}>
              Older jobs
            </button>
          </div>
        )}
      </section>
      {form.value && <JobForm inputs={form.value.inputs} kind={form.value.kind} onClose={() => (form.value = null)} onMade={() => (chosen.value = new Set())} />}
    </>
  );
}
