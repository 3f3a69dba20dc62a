// The hits that a job heard in a song's drums, over its wave: looked at, heard, corrected, and saved as MIDI.
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { type Click, beginsBar, makeClick } from "../audio/click";
import { download } from "../audio/mixdown";
import { colourOf, fit } from "../draw/wave";
import { paintNotes } from "../draw/notes";
import { getJson, request, sentence } from "../model/api";
import { whenText, withoutEnding } from "../model/format";
import { type BeatGrid, type FoundDrums, type GridStep, HitList, allNotes, beatsOfBar, kGrids, noteText, notesOf, soundingOf } from "../model/drums";
import { ended, findJob, jobs, remove, submit } from "../model/jobs";
import { type DrumProject, OpenProject, corrected, correctionOf, loadCorrected } from "../model/project";
import { hrefOf, route } from "../model/route";
import type { TimeView } from "../model/timeline";
import type { Job } from "../model/types";
import { type Console, type Sound, useConsole } from "../ui/console";
import { JobsOfKind, OpenJob, useReport } from "../ui/job_views";
import { JobRow, fileName, isSound, jobName } from "../ui/jobs_list";
import { Pick } from "../ui/pick";
import { ProjectRows } from "../ui/project_rows";
import { Strip } from "../ui/strip";
import { Symbol } from "../ui/symbols";
import { Title } from "../ui/title";
import { Transport } from "../ui/transport";
import { Minimap, Stage, Wave, useRedraw } from "../ui/wave";
import { BeatEditor, clicks } from "./beats";
import { Listening } from "./listening";

const kSong = "song"; // what a video sounds like unless it is told
const kNear = 8; // pixels about a hit that are taken for it

function HitLane({ list, note, view, rejected }: { list: HitList; note: number; view: TimeView; rejected: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drag = useRef<{ id: number; from: number; moved: boolean } | null>(null);
  const { lane } = soundingOf(note);
  const draw = () => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context) return;
    fit(element);
    const ratio = element.width / Math.max(1, element.clientWidth);
    const { width, height } = element;
    context.clearRect(0, 0, width, height);
    const x = (seconds: number) => view.share(seconds * view.rate) * width;
    void [view.from.value, view.to.value];
    const bars = { downbeat: list.grid.value.downbeat, bar: beatsOfBar(list.grid.value) };
    list.grid.value.beats.forEach((beat, i) => {
      const begins = beginsBar(bars, i);
      context.fillStyle = colourOf(begins ? "--edge" : "--line");
      context.fillRect(Math.round(x(beat)), 0, begins ? 2 * ratio : 1, height);
    });
    if (rejected) {
      context.fillStyle = colourOf("--edge");
      const stems = new Set(list.found.stems.filter((stem) => stem.hits.some((hit) => hit.note === note)).map((stem) => stem.name));
      for (const hit of list.rejected) if (stems.has(hit.stem)) context.fillRect(x(hit.seconds), height * 0.75, ratio, height * 0.25);
    }
    for (const hit of list.hits.value) {
      if (hit.note !== note) continue;
      const left = x(hit.seconds);
      if (left < -8 || left > width + 8) continue;
      const tall = height * (0.25 + (0.7 * hit.velocity) / 127);
      const chosen = hit.id === list.selected.value;
      context.fillStyle = lane.colour;
      context.fillRect(left - ratio, height - tall, 3 * ratio, tall);
      context.beginPath();
      context.arc(left + ratio / 2, height - tall, (chosen ? 6 : 4) * ratio, 0, 2 * Math.PI);
      context.fill();
      if (chosen) {
        context.strokeStyle = colourOf("--text");
        context.lineWidth = 2 * ratio;
        context.stroke();
      }
    }
  };
  useSignalEffect(draw);
  useEffect(draw, [rejected]);
  useRedraw(canvas, draw);
  const secondsAt = (x: number) => {
    const box = canvas.current!.getBoundingClientRect();
    const share = (x - box.left) / box.width;
    return (view.from.peek() + share * (view.to.peek() - view.from.peek())) / view.rate;
  };
  const nearest = (x: number) => {
    const box = canvas.current!.getBoundingClientRect();
    const within = (kNear / box.width) * ((view.to.peek() - view.from.peek()) / view.rate);
    const at = secondsAt(x);
    let best = null;
    let distance = within;
    for (const hit of list.hits.peek()) {
      if (hit.note === note && Math.abs(hit.seconds - at) <= distance) {
        best = hit;
        distance = Math.abs(hit.seconds - at);
      }
    }
    return best;
  };
  return (
    <canvas
      ref={canvas}
      class="hits"
      aria-hidden="true"
      title="Click chooses, a drag moves, a double click adds"
      onPointerDown={(event) => {
        const hit = nearest(event.clientX);
        list.selected.value = hit?.id ?? null;
        if (!hit) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        drag.current = { id: hit.id, from: event.clientX, moved: false };
      }}
      onPointerMove={(event) => {
        if (drag.current && Math.abs(event.clientX - drag.current.from) > 3) drag.current.moved = true;
      }}
      onPointerUp={(event) => {
        const dragged = drag.current;
        drag.current = null;
        const hit = dragged && list.hits.peek().find((one) => one.id === dragged.id);
        if (dragged?.moved && hit) void list.edit(hit.id, { seconds: Math.max(0, hit.seconds + secondsAt(event.clientX) - secondsAt(dragged.from)) });
      }}
      onDblClick={(event) => {
        if (!nearest(event.clientX)) void list.add(secondsAt(event.clientX), note);
      }}
    />
  );
}

function Falling({ desk, list }: { desk: Console; list: HitList }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let frame = 0;
    const draw = () => {
      frame = requestAnimationFrame(draw);
      const element = canvas.current;
      if (!element) return;
      fit(element);
      paintNotes(element, list.hits.peek(), desk.player.position() / desk.player.rate, list.grid.peek().beats, still);
    };
    frame = requestAnimationFrame(draw);
    return () => cancelAnimationFrame(frame);
  }, [desk, list]);
  return <canvas ref={canvas} class="falling" role="img" aria-label="Falling notes: each hit reaches the white line when it sounds" />;
}

// The job that made a MIDI file of the hits as they are now, and the file's asset.
async function midiOf(list: HitList, options: Record<string, unknown>): Promise<{ id: string; midi: string }> {
  const { id, outputs } = await ended((await list.export(options)).id);
  const midi = outputs.find((output) => output.name.endsWith(".mid"));
  if (!midi) throw new Error("The job has made no MIDI file.");
  return { id, midi: midi.asset };
}

function Editor({ desk, list, title }: { desk: Console; list: HitList; title: string }) {
  const { player } = desk;
  const note = useSignal(notesOf(list.hits.peek())[0] ?? 38);
  const step = useSignal<"" | GridStep>("");
  const swing = useSignal("0.5");
  const saving = useSignal(false);
  const problem = useSignal("");
  const hit = list.current.value;
  const count = list.hits.value.length;
  const choose = (direction: 1 | -1) => {
    const chosen = list.step(direction, player.position() / player.rate);
    if (!chosen) return;
    player.seek(chosen.seconds * player.rate);
    desk.view.follow(chosen.seconds * player.rate);
  };
  const save = async () => {
    saving.value = true;
    problem.value = "";
    const swung = step.value !== "" && !step.value.endsWith("t") ? { swing: Number(swing.value) } : {};
    try {
      const { id, midi } = await midiOf(list, step.value === "" ? {} : { quantise: step.value, ...swung });
      download(await (await request(`/v1/assets/${midi}/data`)).blob(), `${title}.mid`);
      await remove(id);
    } catch (error) {
      problem.value = sentence(error);
    } finally {
      saving.value = false;
    }
  };
  const add = () => list.add(player.position() / player.rate, hit?.note ?? note.value);
  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.altKey || document.querySelector("dialog[open]") || target.matches("select, textarea, input:not([type=range])")) return;
      const command = event.ctrlKey || event.metaKey;
      if (command && event.key.toLowerCase() === "z") {
        if (event.shiftKey) list.redo();
        else list.undo();
      } else if (command) return;
      else if (event.key === ".") choose(1);
      else if (event.key === ",") choose(-1);
      else if (event.key === "n") void add();
      else if ((event.key === "Delete" || event.key === "Backspace") && list.selected.peek() !== null) void list.remove(list.selected.peek() as number);
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  });
  return (
    <section class="sheet" aria-label="Hit">
      <header>
        <h2>
          {hit ? `Hit ${list.hits.value.indexOf(hit) + 1} of ${count}` : `${count} hits`}
        </h2>
        <button type="button" onClick={() => choose(-1)} title=",">
          Previous
        </button>
        <button type="button" onClick={() => choose(1)} title=".">
          Next
        </button>
        <button type="button" onClick={add} title="n: where it stands">
          <Symbol name="plus" />
          Add here
        </button>
        <button type="button" disabled={!hit} onClick={() => hit && list.remove(hit.id)} title="Delete">
          Delete
        </button>
        <button type="button" class="icon" aria-label="Undo" title="Ctrl+Z" disabled={!list.canUndo.value} onClick={() => list.undo()}>
          <Symbol name="undo" />
        </button>
        <button type="button" class="icon" aria-label="Redo" title="Ctrl+Shift+Z" disabled={!list.canRedo.value} onClick={() => list.redo()}>
          <Symbol name="redo" />
        </button>
        <button type="button" class="primary" disabled={saving.value} onClick={save}>
          <Symbol name="save" />
          MIDI
        </button>
      </header>
      {(list.error.value || problem.value) && (
        <p class="error pad" role="alert">
          {list.error.value || problem.value}
        </p>
      )}
      <div class="pad fields">
        <div class="field">
          <label for="hit-note">Sound{hit ? "" : " of what is added"}</label>
          <select id="hit-note" value={String(hit?.note ?? note.value)} onChange={(event) => (hit ? list.edit(hit.id, { note: Number(event.currentTarget.value) }) : (note.value = Number(event.currentTarget.value)))}>
            {allNotes.map((one) => (
              <option key={one} value={String(one)}>
                {noteText(one)}
              </option>
            ))}
          </select>
        </div>
        <div class="field">
          <label for="hit-time">Time, seconds</label>
          <input id="hit-time" type="number" min={0} step={0.001} disabled={!hit} value={hit ? hit.seconds.toFixed(3) : ""} onChange={(event) => hit && list.edit(hit.id, { seconds: Math.max(0, event.currentTarget.valueAsNumber || 0) })} />
        </div>
        <div class="field">
          <label for="hit-velocity">Velocity</label>
          <input
            id="hit-velocity"
            type="range"
            min={1}
            max={127}
            disabled={!hit}
            value={hit?.velocity ?? 96}
            aria-valuetext={hit ? String(hit.velocity) : "no hit is chosen"}
            onChange={(event) => hit && list.edit(hit.id, { velocity: event.currentTarget.valueAsNumber })}
          />
        </div>
        <div class="field">
          <label for="grid">In the MIDI file</label>
          <select id="grid" value={step.value} onChange={(event) => (step.value = event.currentTarget.value as GridStep)}>
            <option value="">As they were played</option>
            {kGrids.map((one) => (
              <option key={one} value={one}>
                On the grid of {one.endsWith("t") ? `${one.slice(0, -1)}, triplets` : one}
              </option>
            ))}
          </select>
        </div>
        <div class="field">
          <label for="swing">Swing</label>
          <select id="swing" disabled={step.value === "" || step.value.endsWith("t")} value={swing.value} onChange={(event) => (swing.value = event.currentTarget.value)}>
            {["0.5", "0.55", "0.6", "0.667", "0.7", "0.75"].map((one) => (
              <option key={one} value={one}>
                {one === "0.5" ? "Straight" : one === "0.667" ? "As in triplets" : one}
              </option>
            ))}
          </select>
        </div>
      </div>
    </section>
  );
}

// What the server makes of the hits as they are now: a video, and thresholds that would have found them.
function Further({ list, job, title }: { list: HitList; job: Job | null; title: string }) {
  const error = useSignal("");
  const made = useSignal<readonly string[]>([]);
  const start = (request: () => Promise<Job>) => () => {
    error.value = "";
    request().then(
      ({ id }) => (made.value = [...made.value, id]),
      (problem) => (error.value = sentence(problem)),
    );
  };
  const sound = useSignal(kSong);
  const video = () => list.export({ video: `${title}.mp4`, ...(sound.value === kSong ? {} : { video_audio: sound.value ? { asset: sound.value } : null }) });
  const learn = async (from: Job) => {
    const model = typeof from.options.model === "string" ? { model: from.options.model } : {};
    const { id, midi } = await midiOf(list, {});
    const learning = await submit({ kind: "drums", inputs: from.inputs.slice(0, 1), options: { ...model, learn: { asset: midi }, learned: `${title} - thresholds.yaml` } });
    await remove(id);
    return learning;
  };
  const rows = jobs.value.filter((one) => made.value.includes(one.id));
  return (
    <section class="sheet" aria-label="Further">
      <header>
        <h2>From these hits</h2>
      </header>
      <div class="pad stack">
        <div class="line">
          <button type="button" onClick={start(video)}>
            Video of falling notes
          </button>
          <label class="line">
            <span class="quiet">with</span>
            <select aria-label="Sound of the video" value={sound.value} onChange={(event) => (sound.value = event.currentTarget.value)}>
              <option value={kSong}>the song</option>
              {list.mixes.value.map((mix) => (
                <option key={mix.asset} value={mix.asset}>
                  {mix.name}
                </option>
              ))}
              <option value="">no sound</option>
            </select>
          </label>
          {job && (
            <button type="button" onClick={start(() => learn(job))}>
              Learn from the corrections
            </button>
          )}
        </div>
        {list.kept.value && (
          <p>
            <a href={`/v1/projects/${list.kept.value}/files.zip`}>Song, stems, mixes and all that was made of these hits, as a zip archive</a>
          </p>
        )}
        <Pick label="Another mix of the song" text="Add as a mix" made onPick={(mix) => void list.addMix(mix)} />
        {error.value && (
          <p class="error" role="alert">
            {error.value}
          </p>
        )}
      </div>
      {rows.length > 0 && (
        <ul class="rows" aria-label="Made of these hits">
          {rows.map((one) => (
            <JobRow key={one.id} job={one} name={title} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Desk({ desk, list, job, title, click }: { desk: Console; list: HitList; job: Job | null; title: string; click: Click }) {
  const { player, view } = desk;
  const tracks = desk.tracks.filter((track) => !track.apart);
  const rejected = useSignal(false);
  // The stems are in the song already.
  useEffect(() => tracks.slice(1).forEach((track) => (track.mute.value = true)), [desk]);
  const digit = (n: number, shift: boolean) => {
    const track = tracks[n - 1];
    if (track && shift) track.mute.value = !track.mute.value;
    else if (track) track.solo.value = !track.solo.value;
  };
  return (
    <>
      <div class="sheet pad">
        <Transport player={player} view={view} onDigit={digit} onClick={() => clicks(click)} />
      </div>
      <section class="sheet" aria-label="Hits">
        <Minimap asset={tracks[0]!.asset} view={view} player={player} />
        <Stage view={view} player={player}>
          {tracks.map((track, index) => (
            <div class="lane" key={track.asset}>
              <Strip track={track} index={index} player={player} tracks={tracks} />
              <div class="lane-wave">
                <Wave asset={track.asset} view={view} />
              </div>
            </div>
          ))}
          {notesOf(list.hits.value).map((note) => (
            <div class="lane" key={note}>
              <div class="strip short">
                <h3>
                  <svg class="swatch" viewBox="0 0 12 12" aria-hidden="true">
                    <circle cx="6" cy="6" r="5" fill={soundingOf(note).lane.colour} />
                  </svg>
                  {noteText(note)} <span class="quiet number">{list.hits.value.filter((hit) => hit.note === note).length}</span>
                </h3>
              </div>
              <HitLane list={list} note={note} view={view} rejected={rejected.value} />
            </div>
          ))}
        </Stage>
        <div class="line pad">
          <label class="tick">
            <input type="checkbox" checked={rejected.value} onChange={(event) => (rejected.value = event.currentTarget.checked)} />
            Show the {list.rejected.length} that were heard and rejected
          </label>
        </div>
      </section>
      <BeatEditor player={player} list={list} click={click} />
      <Editor desk={desk} list={list} title={title} />
      <Further list={list} job={job} title={title} />
      <Listening list={list} job={job} />
      <section class="sheet" aria-label="Falling notes">
        <header>
          <h2>Falling notes</h2>
        </header>
        <Falling desk={desk} list={list} />
      </section>
    </>
  );
}

interface Report {
  tracks?: { drums?: FoundDrums }[];
}

function tempoText({ tempo_bpm, tempo_steady, metre, metre_confidence }: BeatGrid): string {
  if (!tempo_bpm) return "no tempo found";
  const sure = metre_confidence < 1 ? ` (${Math.round(100 * metre_confidence)} % sure)` : "";
  return `${tempo_bpm.toFixed(1)} beats a minute${tempo_steady ? "" : " on average, drifting"}${metre ? `, ${metre}${sure}` : ""}`;
}

interface OpenProps {
  id: string; // by which it is another
  title: string;
  when: string;
  sounds: Sound[]; // the song, then its stems
  found: FoundDrums | null;
  list: HitList | null;
  job: Job | null;
  problem: string;
  none?: boolean; // that nothing was heard is known
}

function Open({ id, title, when, sounds, found, list, job, problem, none = false }: OpenProps) {
  const click = useMemo(makeClick, [id]);
  const { console: desk, error } = useConsole(id, sounds, null, [click.track]);
  const wrong = problem || error;
  return (
    <>
      <Title
        title={title}
        about={
          <>
            {found ? tempoText(list?.grid.value ?? found) : "Drums"} · {whenText(when)}
          </>
        }
      >
        <a class="button" href={hrefOf("drums")}>
          Another one
        </a>
      </Title>
      {wrong && (
        <p class="notice bad" role="alert">
          {wrong}
        </p>
      )}
      {none && <p class="empty">This job heard no drums.</p>}
      {desk && list ? <Desk desk={desk} list={list} job={job} title={title} click={click} /> : !wrong && !none && <p class="empty">Loading…</p>}
    </>
  );
}

type Kept = OpenProject<DrumProject>;

// What is kept of corrections to a job's hits: null where nothing is, undefined until that is known.
function useCorrection(job: Job): { kept: Kept | null | undefined; problem: string } {
  const kept = useSignal<Kept | null | undefined>(undefined);
  const problem = useSignal("");
  useEffect(() => {
    const find = async () => {
      const summary = await correctionOf(job.id);
      const project = summary && new OpenProject<DrumProject>(summary.id);
      await project?.load();
      kept.value = project;
    };
    find().catch((error) => (problem.value = sentence(error)));
  }, [job.id]);
  return { kept: kept.value, problem: problem.value };
}

function OpenHeard({ job }: { job: Job }) {
  const { report, problem } = useReport<Report>(job);
  const { kept, problem: unknown } = useCorrection(job);
  // What was heard may be another job's by now.
  if (kept) return <OpenCorrected id={kept.id} />;
  return <OpenFound job={job} report={report} problem={problem || unknown} known={kept !== undefined} />;
}

function OpenFound({ job, report, problem, known }: { job: Job; report: Report | null; problem: string; known: boolean }) {
  const found = report?.tracks?.[0]?.drums ?? null;
  const list = useMemo(() => (found && known ? new HitList(found, job.id, null) : null), [found, known]);
  const sounds = [
    { asset: job.inputs[0]?.asset ?? "", name: withoutEnding(jobName(job)) },
    ...job.outputs.filter((output) => isSound(output.media_type)).map((output) => ({ asset: output.asset, name: withoutEnding(fileName(output.name)) })),
  ];
  return <Open id={job.id} title={withoutEnding(jobName(job))} when={job.ended ?? job.created} sounds={sounds} found={found} list={list} job={job} problem={problem} none={report !== null && !found} />;
}

// Hits whose job may be gone.
function OpenCorrected({ id }: { id: string }) {
  const state = useSignal<{ kept: Kept; project: DrumProject; found: FoundDrums } | null>(null);
  const problem = useSignal("");
  useEffect(() => {
    const open = async () => {
      const kept: Kept = new OpenProject<DrumProject>(id);
      await kept.load();
      const project = kept.project.peek();
      if (!project) throw new Error(kept.error.peek());
      if (!project.drums.heard) throw new Error("Nothing was heard in this song yet.");
      state.value = { kept, project, found: await getJson<FoundDrums>(project.drums.heard) };
    };
    open().catch((error) => (problem.value = sentence(error)));
  }, [id]);
  // Where it was listened to anew, or that was undone.
  useSignalEffect(() => {
    const project = state.value?.kept.project.value;
    const shown = state.peek();
    const heard = project?.drums.heard;
    if (!project || !shown || !heard || heard === shown.project.drums.heard) return;
    getJson<FoundDrums>(heard).then(
      (found) => (state.value = { kept: shown.kept, project, found }),
      (error) => (problem.value = sentence(error)),
    );
  });
  const list = useMemo(() => state.value && new HitList(state.value.found, "", state.value.kept), [state.value]);
  if (!state.value) return <p class={problem.value ? "notice bad" : "empty"}>{problem.value || "Loading…"}</p>;
  const { project, found } = state.value;
  const { asset, sounds } = project.drums;
  const all = [...(asset ? [{ asset, name: project.name }] : []), ...sounds.map((sound) => ({ asset: sound.asset, name: withoutEnding(sound.name) }))];
  const none = all.length === 0 ? "There is no sound to these hits." : "";
  return <Open id={id} title={project.name} when={project.changed} sounds={all} found={found} list={list} job={findJob(project.job ?? "") ?? null} problem={none} />;
}

function Corrected() {
  const error = useSignal("");
  const failed = (problem: unknown) => (error.value = sentence(problem));
  useEffect(() => void loadCorrected().catch(failed), []);
  if (corrected.value.length === 0 && !error.value) return null;
  return (
    <section class="sheet" aria-label="Corrected hits">
      <header>
        <h2>Corrected hits</h2>
      </header>
      {error.value && (
        <p class="error pad" role="alert">
          {error.value}
        </p>
      )}
      <ProjectRows
        projects={corrected.value}
        about={({ undo, changed }) => `${undo} ${undo === 1 ? "step" : "steps"} · changed ${whenText(changed)}`}
        href={({ id }) => hrefOf("drums", "hits", id)}
        open="Open the hits of"
        remove="Remove the corrections to"
        title="Remove the corrections"
        onRemoved={loadCorrected}
        onError={(text) => (error.value = text)}
      />
    </section>
  );
}

export function Drums() {
  const [id, project] = route.value.rest;
  if (id === "hits" && project) return <OpenCorrected key={project} id={project} />;
  if (id) return <OpenJob id={id}>{(job) => <OpenHeard key={id} job={job} />}</OpenJob>;
  return (
    <>
      <JobsOfKind
        kind="drums"
        view="drums"
        title="Drums"
        about="Hits, tempo and beats of a song's drums, to be corrected and saved as MIDI"
        pick={{ label: "File to listen to", text: "Find the hits…", made: true }}
        list="Drums that were listened to"
      >
        Bring a song or a drum track into the <a href={hrefOf("library")}>library</a>, then find its hits here.
      </JobsOfKind>
      <Corrected />
    </>
  );
}
