// The sounds that a job made, played together: faders, panorama, mute and solo, the original beside them, and the mix as a
// file.
import { useSignal, useSignalEffect } from "@preact/signals";
import { useCallback, useEffect, useMemo } from "preact/hooks";
import { type Click, beatsOf, countIn, makeClick } from "../audio/click";
import { type Mixdown, type SampleFormat, download, mixdown } from "../audio/mixdown";
import { type Span, amplitude, isDrum, loudnessOf } from "../audio/player";
import { getJson, sentence } from "../model/api";
import { clockText, dbText, whenText, withoutEnding } from "../model/format";
import { assetOf } from "../model/catalog";
import type { BeatGrid, FoundDrums } from "../model/drums";
import { findJob, jobs, jobsLoaded, loadJob, submit } from "../model/jobs";
import { drumsOf } from "../model/project";
import { hrefOf, route } from "../model/route";
import { type Asset, type Job, isOver } from "../model/types";
import { type Console, type Sound, useConsole } from "../ui/console";
import { Dialog } from "../ui/dialog";
import { JobForm } from "../ui/job_form";
import { JobRow, fileName, isSound, jobName } from "../ui/jobs_list";
import { kindText } from "../ui/kinds";
import { Meter } from "../ui/meter";
import { Fader, Strip } from "../ui/strip";
import { Symbol } from "../ui/symbols";
import { Title } from "../ui/title";
import { Transport } from "../ui/transport";
import { Minimap, Stage, Wave } from "../ui/wave";
import { clicks } from "./beats";

function soundsOf(job: Job): Sound[] {
  return job.outputs.filter((output) => isSound(output.media_type)).map((output) => ({ asset: output.asset, name: withoutEnding(fileName(output.name)) }));
}

// What is mixed: what a job made, or a file alone.
interface Piece {
  key: string;
  title: string;
  about: string;
  sounds: Sound[];
  original: string | null;
  job: Job | null;
}

function pieceOfJob(job: Job): Piece {
  return {
    key: job.id,
    title: withoutEnding(jobName(job)),
    about: [kindText(job.kind), job.options.model, whenText(job.ended ?? job.created)].filter((part) => typeof part === "string").join(" · "),
    sounds: soundsOf(job),
    original: job.kind === "separate" && job.inputs.length === 1 ? (job.inputs[0]?.asset ?? null) : null,
    job,
  };
}

function pieceOfAsset(asset: Asset): Piece {
  const name = withoutEnding(asset.name);
  return { key: asset.id, title: name, about: "A file as it was brought in", sounds: [{ asset: asset.id, name }], original: null, job: null };
}

interface Kept {
  [asset: string]: { gain: number; pan: number; mute: boolean; solo: boolean };
}

// Faders stay where they were left, in this browser.
function useKept(job: string, { tracks }: Console): void {
  const key = `timbre.mix.${job}`;
  useEffect(() => {
    try {
      const kept = JSON.parse(localStorage.getItem(key) ?? "{}") as Kept;
      for (const track of tracks) {
        const strip = kept[track.asset];
        if (!strip) continue;
        track.gain.value = strip.gain;
        track.pan.value = strip.pan;
        track.mute.value = strip.mute;
        track.solo.value = strip.solo;
      }
    } catch {
      localStorage.removeItem(key);
    }
  }, [tracks]);
  useSignalEffect(() => {
    const kept: Kept = {};
    for (const track of tracks) kept[track.asset] = { gain: track.gain.value, pan: track.pan.value, mute: track.mute.value, solo: track.solo.value };
    localStorage.setItem(key, JSON.stringify(kept));
  });
}

const kHere = "here"; // a WAV file that is written in the browser

function Export({ desk, piece, click, onClose }: { desk: Console; piece: Piece; click: Click; onClose: () => void }) {
  const { title, job } = piece;
  const { player, tracks } = desk;
  const loop = player.loop.peek();
  const part = useSignal<"all" | "loop">(loop ? "loop" : "all");
  const format = useSignal<SampleFormat>("s24");
  const speed = player.speed.peek();
  const asHeard = useSignal(speed !== 1); // at the speed that is heard, which the server alone makes
  const chosen = useSignal(kHere);
  const file = asHeard.value && chosen.value === kHere ? "wav" : chosen.value;
  const hasSamples = file === kHere || file === "wav";
  const sent = useSignal<readonly string[]>([]);
  const share = useSignal<number | null>(null);
  const done = useSignal<Mixdown | null>(null);
  const error = useSignal("");
  const abort = useSignal<AbortController | null>(null);
  useEffect(() => () => abort.peek()?.abort(), []);
  const heard = tracks.filter((track) => loudnessOf(track, tracks) !== 0);
  // The same mix, by the server: without clicks, which are no file of its.
  const send = async (span: Span) => {
    const stems = heard.filter((track) => !track.apart);
    if (stems.length === 0) throw new Error("Nothing is heard: all is muted.");
    const whole = part.value !== "loop";
    const options = {
      mix: true,
      gains: stems.map((track) => Math.max(-100, track.gain.value + player.master.value).toFixed(4)),
      pans: stems.map((track) => String(track.pan.value)),
      ...(player.semitones.value === 0 ? {} : { semitones: stems.map((track) => String(isDrum(track) ? 0 : player.semitones.value)) }),
      ...(asHeard.value ? { speed, ...(player.keepsPitch.value ? {} : { tape: true }) } : {}),
      ...(whole ? {} : { start: (span.from / player.rate).toFixed(6), duration: ((span.to - span.from) / player.rate).toFixed(6) }),
      ...(hasSamples ? { sample_format: format.value } : file === "flac" ? { sample_format: "s24" } : {}),
      output: `${title} - mix.${file}`,
    };
    const made = await submit({ kind: "combine", inputs: stems.map(({ asset, name }) => ({ asset, name })), options });
    sent.value = [...sent.value, made.id];
  };
  const start = async () => {
    const span: Span = part.value === "loop" && loop ? loop : { from: 0, to: player.frames };
    if (file !== kHere) {
      error.value = "";
      await send(span).catch((problem) => (error.value = sentence(problem)));
      return;
    }
    abort.value = new AbortController();
    error.value = "";
    share.value = 0;
    try {
      const made = await mixdown(tracks, {
        span,
        rate: player.rate,
        semitones: player.semitones.value,
        master: player.master.value,
        before: player.before(span.from),
        format: format.value,
        progress: (value) => (share.value = value),
        signal: abort.value.signal,
      });
      done.value = made;
      download(made.blob, `${title} - mix.wav`);
    } catch (problem) {
      if (!abort.value.signal.aborted) error.value = sentence(problem);
    } finally {
      share.value = null;
    }
  };
  const over = done.value && done.value.peak > 1 ? 20 * Math.log10(done.value.peak) : 0;
  return (
    <Dialog title="Export" onClose={onClose}>
      <div class="pad stack">
        <h3>The mix, as it is heard</h3>
        <div class="fields">
          <div class="field">
            <label for="part">What of it</label>
            <select id="part" value={part.value} onChange={(event) => (part.value = event.currentTarget.value as "all" | "loop")}>
              <option value="all">All, {clockText(player.frames / player.rate)}</option>
              {loop && (
                <option value="loop">
                  The loop, {clockText(loop.from / player.rate, 1)} – {clockText(loop.to / player.rate, 1)}
                </option>
              )}
            </select>
          </div>
          <div class="field">
            <label for="mix-format">Format</label>
            <select id="mix-format" value={file} onChange={(event) => (chosen.value = event.currentTarget.value)}>
              {!asHeard.value && <option value={kHere}>wav, made here</option>}
              {["wav", "flac", "mp3", "ogg", "opus", "m4a"].map((name) => (
                <option key={name} value={name}>
                  {name}, made by the server
                </option>
              ))}
            </select>
          </div>
          <div class="field">
            <label for="samples">Samples of the WAV file</label>
            <select id="samples" disabled={!hasSamples} value={format.value} onChange={(event) => (format.value = event.currentTarget.value as SampleFormat)}>
              <option value="s16">16 bit</option>
              <option value="s24">24 bit</option>
              <option value="f32">32 bit, floating</option>
            </select>
          </div>
        </div>
        {speed !== 1 && (
          <label class="tick">
            <input type="checkbox" checked={asHeard.value} onChange={(event) => (asHeard.value = event.currentTarget.checked)} />
            At the speed that is heard, {speed} ×{player.keepsPitch.value ? "" : ", as a tape's"}: made by the server
          </label>
        )}
        <p class="quiet">
          {heard.map((track) => track.name).join(", ") || "Nothing is heard: all is muted."}.{!asHeard.value && " The speed is the sound's own."}
          {player.semitones.value !== 0 && " All but drums are transposed."}
          {file === kHere ? click.bars.value > 0 && click.beats.value && ` It begins with the count-in.` : " Clicks are left out, and what exceeds full scale turns all of it down."}
        </p>
        {share.value !== null && <progress max={1} value={share.value} aria-label="Progress of the mix" />}
        {error.value && (
          <p class="error" role="alert">
            {error.value}
          </p>
        )}
        {done.value && (
          <p role="status" class={over > 0 && format.value !== "f32" ? "notice warn" : "quiet"}>
            {over > 0
              ? format.value === "f32"
                ? `It reaches ${dbText(over)} above full scale, which floating samples keep.`
                : `${dbText(over)} above full scale were cut off; turn the mix down, or take floating samples.`
              : `Its peak is ${dbText(20 * Math.log10(Math.max(1e-6, done.value.peak)))}.`}
          </p>
        )}
        {sent.value.length > 0 && (
          <ul class="rows" aria-label="Mixes of the server">
            {jobs.value
              .filter((one) => sent.value.includes(one.id))
              .map((one) => (
                <JobRow key={one.id} job={one} name={String(one.options.output)} />
              ))}
          </ul>
        )}
        {job && <h3>The stems, as they were made</h3>}
        {job && (
        <ul class="stack">
          {job.outputs.length > 1 && (
            <li>
              <a href={`/v1/jobs/${job.id}/files.zip`}>All as a zip archive</a>
            </li>
          )}
          {job.outputs.map((output) => (
            <li key={output.name}>
              <a href={`/v1/jobs/${job.id}/files/${encodeURIComponent(output.name)}?download=${encodeURIComponent(`${title} - ${fileName(output.name)}`)}`}>{fileName(output.name)}</a>
            </li>
          ))}
        </ul>
        )}
      </div>
      <footer>
        <button type="button" onClick={onClose}>
          Close
        </button>
        {share.value !== null ? (
          <button type="button" onClick={() => abort.value?.abort()}>
            Stop
          </button>
        ) : (
          <button type="button" class="primary" onClick={() => void start()}>
            Save the mix
          </button>
        )}
      </footer>
    </Dialog>
  );
}

// Where the beats of sounds are: as somebody has set them right, else as the newest of the jobs heard them. `href` leads to them.
async function findBeats(assets: readonly string[], listened: readonly Job[]): Promise<{ grid: BeatGrid | null; href: string } | null> {
  for (const asset of assets) {
    const project = await drumsOf(asset);
    if (project?.drums.heard) return { grid: project.drums.grid ?? (await getJson<FoundDrums>(project.drums.heard)), href: hrefOf("drums", "hits", project.id) };
  }
  const [job] = listened.filter(({ state }) => state === "succeeded");
  if (!job) return null;
  const { report } = await getJson<{ report: { tracks?: { drums: FoundDrums | null }[] } | null }>(`/v1/jobs/${job.id}/result`);
  return { grid: report?.tracks?.[0]?.drums ?? null, href: hrefOf("drums", job.id) };
}

// Which beats are clicked on.
function Clicks({ piece, click }: { piece: Piece; click: Click }) {
  const finding = useSignal(false);
  const known = useSignal<Awaited<ReturnType<typeof findBeats>>>(null);
  const problem = useSignal("");
  const own = [piece.original, ...piece.sounds.map((sound) => sound.asset)].filter((asset) => asset !== null);
  const listened = jobs.value.filter((job) => job.kind === "drums" && job.inputs.some((input) => own.includes(input.asset)));
  const waiting = listened.some((job) => !isOver(job.state));
  const on = !click.track.mute.value;
  // The first of its own, and those of its stems that were listened to by themselves.
  const heard = own.filter((asset, i) => i === 0 || listened.some((job) => job.inputs.some((input) => input.asset === asset)));
  const done = listened.filter(({ state }) => state === "succeeded").map(({ id }) => id);
  useEffect(() => {
    findBeats(heard, listened).then(
      (found) => {
        known.value = found;
        click.beats.value = found?.grid ? beatsOf(found.grid) : null;
      },
      (error) => (problem.value = sentence(error)),
    );
  }, [heard.join(), done.join()]);
  return (
    <div class="lane master">
      <div class="strip" role="group" aria-label="Click">
        <h3>Click</h3>
        <Fader label="Level of the click" value={click.track.gain} />
      </div>
      <div class="line pad">
        {problem.value && <span class="error">{problem.value}</span>}
        {click.beats.value ? (
          <>
            <button type="button" aria-pressed={on} onClick={() => clicks(click)}>
              On the beats
            </button>
            <label>
              Count-in{" "}
              <select value={click.bars.value} onChange={(event) => (click.bars.value = Number(event.currentTarget.value))}>
                {["None", "1 bar", "2 bars", "3 bars", "4 bars"].map((text, bars) => (
                  <option key={bars} value={bars}>
                    {text}
                  </option>
                ))}
              </select>
            </label>
          </>
        ) : (
          <>
            <button type="button" disabled={waiting} onClick={() => (finding.value = true)}>
              Find the beats…
            </button>
            <span class="quiet">{waiting ? "The drums are being listened to." : known.value ? "No beats were found." : "A click needs beats, which are found with the drums."}</span>
          </>
        )}
        {known.value && (
          <a class="button" href={known.value.href}>
            Set the beats right
          </a>
        )}
      </div>
      {finding.value && <JobForm inputs={[{ asset: own[0]!, name: piece.title }]} kind="drums" fixed onClose={() => (finding.value = false)} />}
    </div>
  );
}

function Desk({ desk, piece, click }: { desk: Console; piece: Piece; click: Click }) {
  const { player, view, tracks, original } = desk;
  const stems = tracks.filter((track) => !track.apart);
  player.before = (frame) => {
    const lead = countIn(click.beats.value, click.bars.value, frame / player.rate, player.rate);
    return lead.map((sample) => sample * amplitude(click.track.gain.value));
  };
  const exporting = useSignal(false);
  useKept(piece.key, desk);
  const digit = useCallback(
    (n: number, shift: boolean) => {
      const track = stems[n - 1];
      if (!track) return;
      if (shift) track.mute.value = !track.mute.value;
      else track.solo.value = !track.solo.value;
    },
    [tracks],
  );
  const metronome = useCallback(() => clicks(click), [click]);
  return (
    <>
      <div class="sheet pad">
        <Transport player={player} view={view} pitch onDigit={digit} onClick={metronome} />
      </div>
      <section class="sheet" aria-label="Tracks">
        <Minimap asset={original ?? tracks[0]!.asset} view={view} player={player} />
        <Stage view={view} player={player}>
          {stems.map((track, index) => (
            <div class={`lane ${loudnessOf(track, tracks) === 0 ? "silent" : ""}`} key={track.asset + index}>
              <Strip track={track} index={index} player={player} tracks={tracks} />
              <div class="lane-wave">
                <Wave asset={track.asset} view={view} faint={loudnessOf(track, tracks) === 0} />
              </div>
            </div>
          ))}
        </Stage>
        <Clicks piece={piece} click={click} />
        <div class="lane master">
          <div class="strip" role="group" aria-label="Mix">
            <h3>Mix</h3>
            <Fader label="Level of the mix" value={player.master} />
            <Meter player={player} node={player.meter} />
          </div>
          <div class="line pad">
            <button type="button" class="primary" onClick={() => (exporting.value = true)}>
              <Symbol name="save" />
              Export…
            </button>
            {player.hasOriginal && player.original.value && <span class="quiet">The original is heard, at {dbText(player.matched.value)} to be as loud as the mix.</span>}
          </div>
        </div>
      </section>
      {exporting.value && <Export desk={desk} piece={piece} click={click} onClose={() => (exporting.value = false)} />}
    </>
  );
}

function Open({ piece }: { piece: Piece }) {
  const { key, title, about, sounds, original } = piece;
  const click = useMemo(makeClick, [key]);
  const { console: desk, error } = useConsole(key, sounds, original, [click.track]);
  return (
    <>
      <Title title={title} about={about}>
        <a class="button" href={hrefOf("mixer")}>
          Another one
        </a>
      </Title>
      {error && (
        <p class="notice bad" role="alert">
          {error}
        </p>
      )}
      {sounds.length === 0 && <p class="empty">This job made no sound.</p>}
      {desk ? <Desk desk={desk} piece={piece} click={click} /> : !error && sounds.length > 0 && <p class="empty">Loading…</p>}
    </>
  );
}

function OpenAsset({ id }: { id: string }) {
  const asset = useSignal<Asset | null>(null);
  const error = useSignal("");
  useEffect(() => {
    assetOf(id).then(
      (found) => (asset.value = found),
      (problem) => (error.value = sentence(problem)),
    );
  }, [id]);
  return asset.value ? <Open piece={pieceOfAsset(asset.value)} /> : <p class="empty">{error.value || "Loading…"}</p>;
}

export function Mixer() {
  const [id, file] = route.value.rest;
  useEffect(() => {
    if (id && id !== "file" && !findJob(id)) void loadJob(id);
  }, [id]);
  if (id === "file" && file) return <OpenAsset key={file} id={file} />;
  if (id) {
    const job = jobs.value.find((one) => one.id === id);
    if (job) return <Open key={id} piece={pieceOfJob(job)} />;
    return <p class="empty">{jobsLoaded.value ? "There is no such job any more." : "Loading…"}</p>;
  }
  const heard = jobs.value.filter((job) => job.state === "succeeded" && job.outputs.some((output) => isSound(output.media_type)));
  return (
    <>
      <Title title="Mixer" about="What was made, to be heard" />
      <section class="sheet" aria-label="What can be heard">
        {heard.length === 0 ? (
          <p class="empty">
            Separate a song in the <a href={hrefOf("library")}>library</a>; its stems can then be mixed here.
          </p>
        ) : (
          <ul class="rows">
            {heard.map((job) => (
              <li key={job.id}>
                <div class="what">
                  <p class="name">{jobName(job)}</p>
                  <p class="quiet">
                    {kindText(job.kind)}
                    {typeof job.options.model === "string" ? ` · ${job.options.model}` : ""} · {soundsOf(job).map((sound) => sound.name).join(", ")}
                  </p>
                </div>
                <a class="button" href={hrefOf("mixer", job.id)} aria-label={`Open ${jobName(job)}`}>
                  Open
                </a>
              </li>
            ))}
          </ul>
        )}
      </section>
    </>
  );
}
