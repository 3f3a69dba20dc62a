// Mastering: a preset and a loudness for a track, and the result beside what it was, at one loudness.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import presets from "timbre:presets";
import { sentence } from "../model/api";
import { presetChains } from "../model/catalog";
import { type Chain, chainFile, changedTitle } from "../model/chain";
import { whenText, withoutEnding } from "../model/format";
import { submit } from "../model/jobs";
import { hrefOf } from "../model/route";
import type { Asset, Job } from "../model/types";
import { ChainDialog, ChainEditor } from "../ui/chain_editor";
import { ChainPreview, type Heard } from "../ui/chain_preview";
import { type Console, useConsole } from "../ui/console";
import { OpenJob, useOpenWhenDone, useReport } from "../ui/job_views";
import { fileName, isSound, jobName } from "../ui/jobs_list";
import { Meter } from "../ui/meter";
import { Pick } from "../ui/pick";
import { Table } from "../ui/table";
import { Title } from "../ui/title";
import { Transport } from "../ui/transport";
import { Minimap, Stage, Wave } from "../ui/wave";

export interface Loudness {
  integrated_lufs: number | null;
  short_term_max_lufs: number | null;
  range_lu: number | null;
  true_peak_dbtp: number | null;
}

interface Report {
  chain?: Chain;
  tracks?: { before?: Loudness; after?: Loudness; gain_db?: number | null; limited_db?: number | null; warning?: string | null }[];
}

const kTargets: [string, string][] = [
  ["", "As the chain leaves it"],
  ["-14", "−14 LUFS, streaming"],
  ["-16", "−16 LUFS, podcasts"],
  ["-23", "−23 LUFS, EBU R 128"],
];

export function numberText(value: number | null | undefined, digits = 1): string {
  return value === null || value === undefined || !Number.isFinite(value) ? "–" : value.toFixed(digits).replace("-", "−");
}

export function LoudnessTable({ rows }: { rows: readonly { name: string; loudness: Loudness | undefined }[] }) {
  return (
    <Table label="Table of loudness" columns={["Sound", "Integrated, LUFS", "Short-term at most, LUFS", "Range, LU", "True peak, dBTP"]}>
      {rows.map(({ name, loudness }) => (
        <tr key={name}>
          <td class="name">{name}</td>
          <td class="number">{numberText(loudness?.integrated_lufs)}</td>
          <td class="number">{numberText(loudness?.short_term_max_lufs)}</td>
          <td class="number">{numberText(loudness?.range_lu)}</td>
          <td class="number">{numberText(loudness?.true_peak_dbtp)}</td>
        </tr>
      ))}
    </Table>
  );
}

function Desk({ desk, report }: { desk: Console; report: Report | null }) {
  const { player, view, tracks, original } = desk;
  const track = report?.tracks?.[0];
  const louder = (track?.after?.integrated_lufs ?? NaN) - (track?.before?.integrated_lufs ?? NaN);
  const match = useSignal(true);
  useEffect(() => {
    // Measured over the whole, which what is heard just now can't know better.
    player.matching = false;
    player.matched.value = match.value && Number.isFinite(louder) ? louder : 0;
  }, [louder, match.value]);
  return (
    <>
      <div class="sheet pad">
        <Transport player={player} view={view} original="Before" />
        <label class="tick">
          <input type="checkbox" checked={match.value} onChange={(event) => (match.value = event.currentTarget.checked)} />
          Both at one loudness{Number.isFinite(louder) ? ` (${numberText(Math.abs(louder))} dB apart)` : ""}
        </label>
      </div>
      <section class="sheet" aria-label="Before and after">
        <Minimap asset={tracks[0]!.asset} view={view} player={player} />
        <Stage view={view} player={player}>
          {[
            { asset: original as string, name: "Before", heard: player.original.value },
            { asset: tracks[0]!.asset, name: "After", heard: !player.original.value },
          ].map(({ asset, name, heard }) => (
            <div class={`lane ${heard ? "" : "silent"}`} key={name}>
              <div class="strip" role="group" aria-label={name}>
                <h3>{name}</h3>
                {name === "After" && <Meter player={player} node={player.meter} />}
              </div>
              <div class="lane-wave">
                <Wave asset={asset} view={view} faint={!heard} />
              </div>
            </div>
          ))}
        </Stage>
      </section>
    </>
  );
}

// The same track, from its original, with another chain.
function Again({ job, chain, at, onError }: { job: Job; chain: Chain; at: () => number; onError: (sentence: string) => void }) {
  const changing = useSignal(false);
  const open = useOpenWhenDone("studio", "master");
  const original = job.inputs[0];
  const use = (own: Chain) => {
    changing.value = false;
    const { preset, chain: before, ...options } = job.options;
    submit({ kind: "master", inputs: job.inputs.slice(0, 1), options: { ...options, chain: chainFile(own) } }).then(open, (problem) => onError(sentence(problem)));
  };
  return (
    <>
      <button type="button" onClick={() => (changing.value = true)}>
        Change the chain…
      </button>
      {changing.value && <ChainDialog title="Chain" chain={chain} heard={original && { key: original.asset, ...original, from: at() }} text="Master again" onUse={use} onClose={() => (changing.value = false)} />}
    </>
  );
}

function OpenMaster({ job }: { job: Job }) {
  const failed = useSignal("");
  const { report, problem } = useReport<Report>(job);
  const output = job.outputs.find((one) => isSound(one.media_type));
  const { console: desk, error } = useConsole(job.id, output ? [{ asset: output.asset, name: "After" }] : [], job.inputs[0]?.asset ?? null);
  const track = report?.tracks?.[0];
  const wrong = problem || error || failed.value;
  return (
    <>
      <Title
        title={withoutEnding(jobName(job))}
        about={
          <>
            Mastered{report?.chain?.title ? ` · ${report.chain.title}` : ""} · {whenText(job.ended ?? job.created)}
          </>
        }
      >
        <div class="line">
          {report?.chain && <Again job={job} chain={report.chain} at={() => (desk ? desk.player.position() / desk.player.rate : 0)} onError={(text) => (failed.value = text)} />}
          {output && (
            <a class="button" href={`/v1/jobs/${job.id}/files/${encodeURIComponent(output.name)}?download=${encodeURIComponent(fileName(output.name))}`}>
              Download
            </a>
          )}
          <a class="button" href={hrefOf("studio")}>
            Another one
          </a>
        </div>
      </Title>
      {wrong && (
        <p class="notice bad" role="alert">
          {wrong}
        </p>
      )}
      {track?.warning && <p class="notice warn">{track.warning}</p>}
      {desk ? <Desk desk={desk} report={report} /> : !wrong && <p class="empty">Loading…</p>}
      {track && (
        <section class="sheet" aria-label="Loudness">
          <header>
            <h2>Loudness</h2>
            {track.limited_db !== undefined && track.limited_db !== null && <span class="quiet">The limiter takes {numberText(track.limited_db)} dB at most</span>}
          </header>
          <LoudnessTable
            rows={[
              { name: "Before", loudness: track.before },
              { name: "After", loudness: track.after },
            ]}
          />
        </section>
      )}
    </>
  );
}

export function OpenMasterById({ id }: { id: string }) {
  return <OpenJob id={id}>{(job) => <OpenMaster key={id} job={job} />}</OpenJob>;
}

export function Mastering({ onMade }: { onMade: (job: Job) => void }) {
  const preset = useSignal("clean_master");
  const own = useSignal<Chain | null>(null); // in place of the preset
  const target = useSignal("");
  const format = useSignal("wav");
  const error = useSignal("");
  const chosen = useSignal<Asset | null>(null);
  const chain = useSignal<Chain | null>(null); // the preset's
  useEffect(() => void presetChains().then((chains) => (chain.value = chains.get(preset.value) ?? null), () => undefined), [preset.value]);
  const heard: Heard | null = chosen.value && { key: chosen.value.id, asset: chosen.value.id, name: chosen.value.name };
  const start = (asset: Asset) => {
    error.value = "";
    const options: Record<string, unknown> = { format: format.value };
    if (own.value) options.chain = chainFile(own.value);
    else options.preset = preset.value;
    if (target.value) options.loudness = Number(target.value);
    submit({ kind: "master", inputs: [{ asset: asset.id, name: asset.name }], options }).then(onMade, (problem) => (error.value = sentence(problem)));
  };
  const change = () => {
    error.value = "";
    presetChains().then(
      (chains) => {
        const chain = chains.get(preset.value);
        if (chain) own.value = { ...chain, title: changedTitle(chain.title) };
      },
      (problem) => (error.value = sentence(problem)),
    );
  };
  return (
    <section class="sheet" aria-label="Mastering">
      <header>
        <h2>Mastering</h2>
      </header>
      <div class="pad stack">
        {own.value ? (
          <>
            <div class="line">
              <p class="grow name">{own.value.title}</p>
              <button type="button" onClick={() => (own.value = null)}>
                Back to the presets
              </button>
            </div>
            <ChainEditor chain={own.value} heard={heard} onChange={(changed) => (own.value = changed)} />
          </>
        ) : (
          <>
            <fieldset class="choices">
              <legend>Preset</legend>
              {presets.map(({ id, title, description }) => (
                <label key={id} class="choice">
                  <input type="radio" name="preset" value={id} checked={preset.value === id} onChange={() => (preset.value = id)} />
                  <span>
                    <span class="name">{title}</span>
                    <span class="quiet">{description}</span>
                  </span>
                </label>
              ))}
            </fieldset>
            <button type="button" onClick={change}>
              Change this chain
            </button>
            {heard && chain.value && <ChainPreview heard={heard} chain={chain.value} />}
          </>
        )}
        <div class="fields">
          <div class="field">
            <label for="target">Loudness</label>
            <select id="target" value={target.value} onChange={(event) => (target.value = event.currentTarget.value)}>
              {kTargets.map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          </div>
          <div class="field">
            <label for="master-format">Format</label>
            <select id="master-format" value={format.value} onChange={(event) => (format.value = event.currentTarget.value)}>
              {["wav", "flac", "mp3", "ogg", "opus", "m4a"].map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </select>
          </div>
        </div>
        <Pick label="File to master" text="Master" made onChoose={(asset) => (chosen.value = asset)} onPick={start} />
        {error.value && (
          <p class="error" role="alert">
            {error.value}
          </p>
        )}
      </div>
    </section>
  );
}
