// Speech before and after it was cleaned, and what was taken away.
import { useSignal, useSignalEffect } from "@preact/signals";
import { type Mixdown, download, mixdown } from "../audio/mixdown";
import { sentence } from "../model/api";
import { whenText, withoutEnding } from "../model/format";
import { hrefOf, route } from "../model/route";
import type { Job } from "../model/types";
import { type Console, useConsole } from "../ui/console";
import { JobsOfKind, OpenJob } from "../ui/job_views";
import { isSound, jobName } from "../ui/jobs_list";
import { Meter } from "../ui/meter";
import { Symbol } from "../ui/symbols";
import { Title } from "../ui/title";
import { Transport } from "../ui/transport";
import { Minimap, Stage, Wave } from "../ui/wave";

type Heard = "before" | "after" | "removed";
const kHeard: [Heard, string][] = [
  ["before", "Before"],
  ["after", "After"],
  ["removed", "What was taken away"],
];
const kNoLimit = 60; // dB, where the slider ends

// Of the sound before, so much stays: 10^(-dB/20), as --atten-lim has it.
function shareOf(limit: number): number {
  return limit >= kNoLimit ? 0 : 10 ** (-limit / 20);
}

function Desk({ desk, job }: { desk: Console; job: Job }) {
  const { player, view, tracks } = desk;
  const heard = useSignal<Heard>("after");
  const limit = useSignal(kNoLimit);
  const share = useSignal<number | null>(null);
  const error = useSignal("");
  const [before, after] = tracks;
  useSignalEffect(() => {
    const stays = shareOf(limit.value);
    const mode = heard.value;
    before!.factor.value = mode === "before" ? 1 : mode === "after" ? stays : 1 - stays;
    after!.factor.value = mode === "before" ? 0 : mode === "after" ? 1 - stays : stays - 1;
  });
  const save = async () => {
    error.value = "";
    share.value = 0;
    try {
      const made: Mixdown = await mixdown(tracks, {
        span: { from: 0, to: player.frames },
        rate: player.rate,
        master: 0,
        format: "s24",
        progress: (value) => (share.value = value),
        signal: new AbortController().signal,
      });
      download(made.blob, `${withoutEnding(jobName(job))} - ${heard.value}.wav`);
    } catch (problem) {
      error.value = sentence(problem);
    } finally {
      share.value = null;
    }
  };
  const digit = (n: number) => {
    const mode = kHeard[n - 1];
    if (mode) heard.value = mode[0];
  };
  return (
    <>
      <div class="sheet pad stack">
        <Transport player={player} view={view} onDigit={digit} />
        <div class="line">
          <div class="group" role="group" aria-label="What is heard">
            {kHeard.map(([mode, text], i) => (
              <button key={mode} type="button" aria-pressed={heard.value === mode} title={String(i + 1)} onClick={() => (heard.value = mode)}>
                {text}
              </button>
            ))}
          </div>
          <label class="line wide">
            <span>Lower noise by at most</span>
            <input
              class="grow"
              type="range"
              min={0}
              max={kNoLimit}
              step={1}
              value={limit.value}
              aria-label="Lower noise by at most"
              aria-valuetext={limit.value >= kNoLimit ? "no limit" : `${limit.value} dB`}
              onInput={(event) => (limit.value = event.currentTarget.valueAsNumber)}
            />
            <span class="number quiet">{limit.value >= kNoLimit ? "no limit" : `${limit.value} dB`}</span>
          </label>
          <button type="button" onClick={() => void save()} disabled={share.value !== null}>
            <Symbol name="save" />
            Save what is heard
          </button>
        </div>
        {share.value !== null && <progress max={1} value={share.value} aria-label="Progress of the file" />}
        {error.value && (
          <p class="error" role="alert">
            {error.value}
          </p>
        )}
      </div>
      <section class="sheet" aria-label="Before and after">
        <Minimap asset={before!.asset} view={view} player={player} />
        <Stage view={view} player={player}>
          {tracks.map((track, index) => (
            <div class={`lane ${track.factor.value === 0 ? "silent" : ""}`} key={track.asset + index}>
              <div class="strip" role="group" aria-label={track.name}>
                <h3>{track.name}</h3>
                <Meter player={player} node={player.strips[index]!.meter} />
              </div>
              <div class="lane-wave">
                <Wave asset={track.asset} view={view} faint={track.factor.value === 0} />
              </div>
            </div>
          ))}
        </Stage>
      </section>
    </>
  );
}

function Open({ job }: { job: Job }) {
  const before = job.inputs[0]?.asset ?? "";
  const after = job.outputs.find((output) => isSound(output.media_type))?.asset;
  const sounds = after ? [{ asset: before, name: "Before" }, { asset: after, name: "After" }] : [];
  const { console: desk, error } = useConsole(job.id, sounds, null);
  return (
    <>
      <Title
        title={withoutEnding(jobName(job))}
        about={
          <>
            Cleaned speech{typeof job.options.model === "string" ? ` · ${job.options.model}` : ""} · {whenText(job.ended ?? job.created)}
          </>
        }
      >
        <a class="button" href={hrefOf("speech")}>
          Another one
        </a>
      </Title>
      {error && (
        <p class="notice bad" role="alert">
          {error}
        </p>
      )}
      {!after && <p class="empty">This job made no sound.</p>}
      {desk ? <Desk desk={desk} job={job} /> : !error && after && <p class="empty">Loading…</p>}
    </>
  );
}

export function Speech() {
  const id = route.value.rest[0];
  if (id) return <OpenJob id={id}>{(job) => <Open key={id} job={job} />}</OpenJob>;
  return (
    <JobsOfKind kind="denoise" view="speech" title="Speech" about="Voices without the noise around them" pick={{ label: "File to clean", text: "Clean…" }} list="Cleaned speech">
      Bring a recording into the <a href={hrefOf("library")}>library</a>, then clean it here and hear it before and after.
    </JobsOfKind>
  );
}
