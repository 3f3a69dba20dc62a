// A song put together from clips: placed, trimmed, split, cross-faded, heard, and written into one file.
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import presets from "timbre:presets";
import { assembled } from "../audio/assemble";
import { download, mixdown } from "../audio/mixdown";
import { Player } from "../audio/player";
import { shapeOf } from "../audio/sound";
import { colourOf, columnsOf, fit } from "../draw/wave";
import { getJson, sentence } from "../model/api";
import { type Chain, kFlat } from "../model/chain";
import { clockText, dbText } from "../model/format";
import { ended, jobs, loadJob, remove, submit } from "../model/jobs";
import { type Clip, OpenProject, type Operation, type Project, exportProject } from "../model/project";
import { hrefOf } from "../model/route";
import { TimeView } from "../model/timeline";
import { addFiles } from "../model/uploads";
import { ChainDialog } from "../ui/chain_editor";
import type { Heard } from "../ui/chain_preview";
import { trackOf } from "../ui/console";
import { JobRow } from "../ui/jobs_list";
import { Fader } from "../ui/strip";
import { Meter } from "../ui/meter";
import { Pick } from "../ui/pick";
import { Symbol } from "../ui/symbols";
import { Title } from "../ui/title";
import { Transport } from "../ui/transport";
import { Stage, useRedraw } from "../ui/wave";

const kRow = 72; // pixels; neighbours lie in two rows, so that where they overlap is seen

interface LaneProps {
  project: Project;
  view: TimeView;
  selected: string | null;
  onSelect: (id: string) => void;
  onMove: (id: string, index: number) => void;
}

function ClipLane({ project, view, selected, onSelect, onMove }: LaneProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const state = useRef({ drawing: false, again: false });
  const drag = useRef<{ id: string; from: number; by: number } | null>(null);
  const latest = useRef({ project, selected });
  latest.current = { project, selected };
  const draw = async () => {
    if (state.current.drawing) {
      state.current.again = true;
      return;
    }
    state.current.drawing = true;
    try {
      do {
        state.current.again = false;
        const element = canvas.current;
        if (!element) return;
        const { clips } = latest.current.project.timeline;
        const ratio = window.devicePixelRatio || 1;
        const wide = Math.max(1, Math.round(element.clientWidth * ratio));
        const from = view.from.peek();
        const to = view.to.peek();
        // Everything is fetched before anything is drawn, so that nothing flickers.
        const parts = await Promise.all(
          clips.map(async (clip) => {
            const first = Math.max(from, clip.start);
            const last = Math.min(to, clip.end);
            if (last <= first) return null;
            const left = ((first - from) / (to - from)) * wide;
            const width = Math.max(1, Math.round(((last - first) / (to - from)) * wide));
            const stretch = { from: clip.from + first - clip.start, to: clip.from + last - clip.start, rate: view.rate };
            const columns = await shapeOf(clip.asset).then((shape) => columnsOf(clip.asset, shape, stretch, width)).catch(() => null);
            return { left, width, columns };
          }),
        );
        fit(element);
        const context = element.getContext("2d")!;
        const row = kRow * ratio;
        context.clearRect(0, 0, element.width, element.height);
        clips.forEach((clip, i) => {
          const part = parts[i];
          if (!part) return;
          const chosen = clip.id === latest.current.selected;
          const shift = drag.current?.id === clip.id ? drag.current.by * ratio : 0;
          const top = (i % 2) * row + 2 * ratio;
          const tall = row - 4 * ratio;
          const left = part.left + shift;
          context.globalAlpha = clip.mute ? 0.4 : 1;
          context.fillStyle = colourOf(chosen ? "--accent-soft" : "--sunken");
          context.beginPath();
          context.roundRect(left, top, part.width, tall, 6 * ratio);
          context.fill();
          context.strokeStyle = colourOf(chosen ? "--accent" : "--edge");
          context.lineWidth = (chosen ? 2 : 1) * ratio;
          context.stroke();
          if (part.columns) {
            context.fillStyle = colourOf("--wave");
            const middle = top + tall / 2;
            const scale = (tall / 2 - 4 * ratio) * Math.min(2, 10 ** (clip.gain_db / 20));
            for (let x = 0; x < part.width; ++x) {
              const high = Math.min(1, part.columns.high[x] as number);
              const low = Math.max(-1, part.columns.low[x] as number);
              if (high < low) continue;
              context.fillRect(left + x, Math.max(top, middle - high * scale), 1, Math.max(1, Math.min(tall, (high - low) * scale)));
            }
          }
          context.fillStyle = colourOf("--text");
          context.font = `${12 * ratio}px system-ui, sans-serif`;
          context.save();
          context.beginPath();
          context.rect(left, top, part.width, tall);
          context.clip();
          context.fillText(clip.name, left + 8 * ratio, top + 15 * ratio);
          context.restore();
          context.globalAlpha = 1;
        });
      } while (state.current.again);
    } finally {
      state.current.drawing = false;
    }
  };
  useSignalEffect(() => {
    void [view.from.value, view.to.value];
    requestAnimationFrame(() => void draw());
  });
  useEffect(() => void draw(), [project.revision, selected]);
  useRedraw(canvas, () => void draw());
  const frameAt = (x: number) => {
    const box = canvas.current!.getBoundingClientRect();
    return view.from.peek() + ((x - box.left) / box.width) * (view.to.peek() - view.from.peek());
  };
  return (
    <canvas
      ref={canvas}
      class="clips"
      aria-hidden="true"
      onPointerDown={(event) => {
        const at = frameAt(event.clientX);
        const row = Math.floor((event.clientY - canvas.current!.getBoundingClientRect().top) / kRow);
        const inside = project.timeline.clips.filter((clip) => at >= clip.start && at < clip.end);
        const clip = inside.find((one) => project.timeline.clips.indexOf(one) % 2 === row) ?? inside[0];
        if (!clip) return;
        onSelect(clip.id);
        event.currentTarget.setPointerCapture(event.pointerId);
        drag.current = { id: clip.id, from: event.clientX, by: 0 };
      }}
      onPointerMove={(event) => {
        if (!drag.current) return;
        drag.current.by = event.clientX - drag.current.from;
        void draw();
      }}
      onPointerUp={() => {
        const dragged = drag.current;
        drag.current = null;
        const { clips } = project.timeline;
        const index = clips.findIndex((clip) => clip.id === dragged?.id);
        const clip = clips[index];
        if (!dragged || !clip || Math.abs(dragged.by) < 6) return void draw();
        const centre = (clip.start + clip.end) / 2 + (dragged.by / canvas.current!.clientWidth) * (view.to.peek() - view.from.peek());
        const to = clips.filter((other) => other.id !== clip.id && (other.start + other.end) / 2 < centre).length;
        if (to !== index) onMove(clip.id, to);
        else void draw();
      }}
    />
  );
}

function ClipEditor({ project, clip, operate, position }: { project: Project; clip: Clip; operate: (operation: Operation) => void; position: () => number }) {
  const { clips, sample_rate: rate } = project.timeline;
  const index = clips.indexOf(clip);
  const seconds = (samples: number) => Number((samples / rate).toFixed(3));
  const trim = (from: number, length: number) => {
    const start = Math.max(0, Math.min(clip.asset_length - 1, Math.round(from * rate)));
    operate({ op: "trim", clip: clip.id, from: start, length: Math.max(1, Math.min(clip.asset_length - start, Math.round(length * rate))) });
  };
  const split = () => {
    const at = Math.round(position()) - clip.start;
    if (at > 0 && at < clip.length) operate({ op: "split", clip: clip.id, at });
  };
  return (
    <section class="sheet" aria-label="Clip">
      <header>
        <h2>{clip.name}</h2>
        <button type="button" disabled={index === 0} onClick={() => operate({ op: "move", clip: clip.id, index: index - 1 })}>
          Earlier
        </button>
        <button type="button" disabled={index === clips.length - 1} onClick={() => operate({ op: "move", clip: clip.id, index: index + 1 })}>
          Later
        </button>
        <button type="button" title="Where it stands" onClick={split}>
          Split here
        </button>
        <button type="button" onClick={() => operate({ op: "duplicate", clip: clip.id })}>
          Duplicate
        </button>
        <button type="button" aria-pressed={clip.mute} onClick={() => operate({ op: "mute", clip: clip.id, on: !clip.mute })}>
          Mute
        </button>
        <button type="button" aria-pressed={clip.solo} onClick={() => operate({ op: "solo", clip: clip.id, on: !clip.solo })}>
          Solo
        </button>
        <button type="button" onClick={() => operate({ op: "remove", clip: clip.id })}>
          Remove
        </button>
      </header>
      <div class="pad fields">
        <div class="field">
          <label for="clip-from">Begins in its file at, seconds</label>
          <input id="clip-from" type="number" min={0} step={0.01} value={seconds(clip.from)} onChange={(event) => trim(event.currentTarget.valueAsNumber || 0, seconds(clip.length))} />
        </div>
        <div class="field">
          <label for="clip-length">Length, seconds</label>
          <input id="clip-length" type="number" min={0} step={0.01} value={seconds(clip.length)} onChange={(event) => trim(seconds(clip.from), event.currentTarget.valueAsNumber || 0)} />
        </div>
        <div class="field">
          <label for="clip-fade">Cross-fade with the one before, seconds</label>
          <input
            id="clip-fade"
            type="number"
            min={0}
            max={60}
            step={0.1}
            disabled={index === 0}
            placeholder={`the project's, ${project.timeline.crossfade}`}
            value={clip.crossfade ?? ""}
            onChange={(event) => operate({ op: "crossfade", clip: clip.id, seconds: event.currentTarget.value === "" ? null : event.currentTarget.valueAsNumber })}
          />
        </div>
        <div class="field">
          <label for="clip-gain">Level, dB</label>
          <input id="clip-gain" type="number" min={-60} max={24} step={0.5} value={clip.gain_db} onChange={(event) => operate({ op: "gain", clip: clip.id, db: event.currentTarget.valueAsNumber || 0 })} />
        </div>
        <div class="field">
          <label for="clip-chain">Preset</label>
          <ChainSelect id="clip-chain" value={clip.chain ?? null} heard={() => ({ key: clip.id, name: clip.name, asset: clip.asset, from: clip.from / rate })} onChange={(chain) => operate({ op: "chain", clip: clip.id, chain })} />
        </div>
      </div>
    </section>
  );
}

interface Likeness {
  distance: number | null;
  marked: boolean;
  terms: { feature: string; z: number }[];
}

// How far each sound lies from the others together, by a job of the server's that leaves nothing behind.
async function likenessOf(clips: readonly Clip[]): Promise<Map<string, Likeness>> {
  const sounds = [...new Map(clips.map((clip) => [clip.asset, clip.name])).entries()];
  const { id } = await submit({ kind: "style", inputs: sounds.map(([asset, name]) => ({ asset, name })), options: {} });
  try {
    await ended(id);
    const { report } = await getJson<{ report: { clips: Likeness[] } }>(`/v1/jobs/${id}/result`);
    return new Map(sounds.map(([asset], i) => [asset, report.clips[i]!]));
  } finally {
    await remove(id);
  }
}

function likenessText({ distance, marked, terms }: Likeness): string {
  if (distance === null) return "silent";
  if (!marked) return `alike, ${distance.toFixed(1)}`;
  const most = terms.slice(0, 2).map(({ feature, z }) => `${feature} ${z > 0 ? "+" : "−"}${Math.abs(z).toFixed(1)}`);
  return `unlike, ${distance.toFixed(1)}: ${most.join(", ")}`;
}

function ChainSelect({ id, value, heard, onChange }: { id: string; value: Chain | null; heard: () => Heard; onChange: (chain: string | Chain | null) => void }) {
  const changing = useSignal(false);
  const use = (chain: Chain) => {
    changing.value = false;
    onChange(chain);
  };
  const current = value ? (presets.find((preset) => preset.title === value.title)?.id ?? "other") : "";
  return (
    <div class="line tight">
      <select class="grow" id={id} value={current} onChange={(event) => onChange(event.currentTarget.value || null)}>
        <option value="">None</option>
        {current === "other" && <option value="other">{value?.title ?? "A chain of its own"}</option>}
        {presets.map((preset) => (
          <option key={preset.id} value={preset.id}>
            {preset.title}
          </option>
        ))}
      </select>
      <button type="button" aria-label="Change the chain" onClick={() => (changing.value = true)}>
        Change…
      </button>
      {changing.value && <ChainDialog title="Chain" chain={value ?? kFlat} heard={heard()} text="Use it" onUse={use} onClose={() => (changing.value = false)} />}
    </div>
  );
}

function Desk({ open, project }: { open: OpenProject; project: Project }) {
  const { timeline } = project;
  const rate = timeline.sample_rate;
  const selected = useSignal<string | null>(timeline.clips[0]?.id ?? null);
  const position = useSignal<"next" | "previous" | "intro" | "outro">("next");
  const share = useSignal<number | null>(null);
  const note = useSignal("");
  const likeness = useSignal<Map<string, Likeness> | "asked" | null>(null);
  const compare = () => {
    likeness.value = "asked";
    note.value = "";
    likenessOf(timeline.clips).then(
      (found) => (likeness.value = found),
      (error) => {
        likeness.value = null;
        note.value = sentence(error);
      },
    );
  };
  const format = useSignal("wav");
  const level = useSignal("");
  // What is heard changes with the document; the player, and where it stands, only where the length does.
  const { player, view, track } = useMemo(() => {
    const document = () => open.project.peek()!.timeline;
    const made = { ...trackOf({ asset: "", name: project.name }), slices: assembled(document) };
    return { player: new Player(new AudioContext({ sampleRate: rate }), [made], Math.max(1, timeline.total)), view: new TimeView(Math.max(1, timeline.total), rate), track: made };
  }, [timeline.total, rate]);
  useEffect(() => () => player.dispose(), [player]);
  useEffect(() => player.seek(player.position()), [project.revision]);
  const operate = (operation: Operation) =>
    void open.operate(operation).then((changed) => {
      if (changed?.clip) selected.value = changed.clip;
    });
  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
      if ((event.target as HTMLElement).matches("input:not([type=range])")) return;
      operate({ op: event.shiftKey ? "redo" : "undo" });
      event.preventDefault();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, [open]);
  const render = async (keep: boolean) => {
    share.value = 0;
    note.value = "";
    try {
      const made = await mixdown([track], {
        span: { from: 0, to: timeline.total },
        rate,
        master: player.master.value,
        format: "s24",
        progress: (value) => (share.value = value),
        signal: new AbortController().signal,
      });
      const name = `${project.name || "song"}.wav`;
      if (keep) {
        addFiles([new File([made.blob], name, { type: "audio/wav" })]);
        note.value = `${name} goes into the library, where it can be mastered.`;
      } else {
        download(made.blob, name);
        note.value = made.peak > 1 ? `${dbText(20 * Math.log10(made.peak))} above full scale were cut off; turn it down.` : `Its peak is ${dbText(20 * Math.log10(Math.max(1e-6, made.peak)))}.`;
      }
    } catch (error) {
      note.value = sentence(error);
    } finally {
      share.value = null;
    }
  };
  const send = () => {
    note.value = "";
    const name = (project.name || "song").replace(/[/\\]/g, "-");
    exportProject(project.id, { output: `${name}.${format.value}`, ...(level.value === "" ? { normalise: "peak" } : { normalise: "loudness", loudness: Number(level.value) }) }).then(
      ({ id }) => void loadJob(id),
      (error) => (note.value = sentence(error)),
    );
  };
  const exported = jobs.value.filter((job) => job.project === project.id);
  // Of the clips as they are heard above, without chains of their own.
  const whole = (): Heard => ({ key: project.id, name: project.name || "the song", asset: "", slices: { source: assembled(() => open.project.peek()!.timeline), frames: Math.max(1, timeline.total), rate }, from: player.position() / rate });
  const sounds = [...new Set(timeline.clips.map((one) => one.asset))];
  // Each was compared with the others that there were then.
  const found = likeness.value instanceof Map ? likeness.value : null;
  const alike = found && found.size === sounds.length && sounds.every((asset) => found.has(asset)) ? found : null;
  const clip = timeline.clips.find((one) => one.id === selected.value);
  const chained = Boolean(timeline.master) || timeline.clips.some((one) => one.chain);
  return (
    <>
      <div class="sheet pad">
        <Transport player={player} view={view} />
      </div>
      <section class="sheet" aria-label="Timeline">
        <header>
          <h2>
            {timeline.clips.length} {timeline.clips.length === 1 ? "clip" : "clips"}, <span class="number">{clockText(timeline.seconds, 1)}</span>
          </h2>
          <button type="button" class="icon" aria-label="Undo" title="Ctrl+Z" disabled={project.undo === 0} onClick={() => operate({ op: "undo" })}>
            <Symbol name="undo" />
          </button>
          <button type="button" class="icon" aria-label="Redo" title="Ctrl+Shift+Z" disabled={project.redo === 0} onClick={() => operate({ op: "redo" })}>
            <Symbol name="redo" />
          </button>
        </header>
        <div class="pad line">
          <Pick label="File to put in" text="Put in" made onPick={(asset) => operate({ op: "insert", asset: asset.id, name: asset.name, position: position.value, ...(position.value === "next" && selected.value ? { after: selected.value } : {}) })} />
          <label class="line">
            <span class="quiet">Where</span>
            <select value={position.value} onChange={(event) => (position.value = event.currentTarget.value as "next")}>
              <option value="next">After the chosen clip</option>
              <option value="previous">Before the last</option>
              <option value="intro">As the intro</option>
              <option value="outro">As the outro</option>
            </select>
          </label>
        </div>
        {timeline.clips.length > 0 ? (
          <>
            <div class="bare">
              <Stage view={view} player={player}>
                <ClipLane project={project} view={view} selected={selected.value} onSelect={(id) => (selected.value = id)} onMove={(id, index) => operate({ op: "move", clip: id, index })} />
              </Stage>
            </div>
            {sounds.length > 1 && (
              <div class="pad line">
                <button type="button" disabled={likeness.value === "asked"} onClick={compare}>
                  {likeness.value === "asked" ? "Being compared…" : "How alike are they?"}
                </button>
              </div>
            )}
            <ol class="pad line" aria-label="Clips">
              {timeline.clips.map((one, i) => (
                <li key={one.id}>
                  <button type="button" aria-pressed={one.id === selected.value} onClick={() => (selected.value = one.id)}>
                    {i + 1}. {one.name}
                    <span class="number">
                      {clockText(one.start / rate, 1)} – {clockText(one.end / rate, 1)}
                    </span>
                    {alike?.get(one.asset) && <span class={alike.get(one.asset)!.marked ? "badge failed" : "badge"}>{likenessText(alike.get(one.asset)!)}</span>}
                  </button>
                </li>
              ))}
            </ol>
          </>
        ) : (
          <p class="empty">Put a file in to begin with.</p>
        )}
      </section>
      {clip && <ClipEditor project={project} clip={clip} operate={operate} position={() => player.position()} />}
      <section class="sheet" aria-label="The whole">
        <header>
          <h2>The whole</h2>
        </header>
        <div class="pad stack">
          <div class="fields">
            <div class="field">
              <span class="label">Level</span>
              <Fader label="Level of the whole" value={player.master} />
              <Meter player={player} node={player.meter} />
            </div>
            <div class="field">
              <label for="master-chain">Preset</label>
              <ChainSelect id="master-chain" value={timeline.master ?? null} heard={whole} onChange={(chain) => operate({ op: "master", chain })} />
            </div>
          </div>
          {chained && <p class="notice">Presets are the server's work: they are in what it exports, and not heard above. Where they are changed, each is heard by itself.</p>}
          <div class="fields">
            <div class="field">
              <label for="export-format">Format</label>
              <select id="export-format" value={format.value} onChange={(event) => (format.value = event.currentTarget.value)}>
                {["wav", "flac", "mp3", "ogg", "opus", "m4a"].map((one) => (
                  <option key={one} value={one}>
                    {one}
                  </option>
                ))}
              </select>
            </div>
            <div class="field">
              <label for="export-level">Loudness</label>
              <select id="export-level" value={level.value} onChange={(event) => (level.value = event.currentTarget.value)}>
                <option value="">As it is, its peaks below −1 dBTP</option>
                <option value="-14">−14 LUFS, streaming</option>
                <option value="-16">−16 LUFS, podcasts</option>
                <option value="-23">−23 LUFS, EBU R 128</option>
              </select>
            </div>
          </div>
          {share.value !== null && <progress max={1} value={share.value} aria-label="Progress of the song" />}
          {note.value && <p role="status">{note.value}</p>}
          <div class="line">
            <button type="button" class="primary" disabled={timeline.clips.length === 0} onClick={send}>
              <Symbol name="save" />
              Export
            </button>
            <button type="button" title="Without presets, at its own level" disabled={timeline.clips.length === 0 || share.value !== null} onClick={() => void render(false)}>
              Save as heard
            </button>
            <button type="button" disabled={timeline.clips.length === 0 || share.value !== null} onClick={() => void render(true)}>
              Into the library
            </button>
            {(timeline.clips.length > 0 || exported.length > 0) && <a href={`/v1/projects/${project.id}/files.zip`}>All of its files, as a zip archive</a>}
          </div>
        </div>
        {exported.length > 0 && (
          <ul class="rows" aria-label="Exports">
            {exported.map((job) => (
              <JobRow key={job.id} job={job} name={job.outputs[0]?.name ?? project.name} />
            ))}
          </ul>
        )}
      </section>
    </>
  );
}

export function TimelineView({ id }: { id: string }) {
  const open = useMemo(() => new OpenProject(id), [id]);
  useEffect(() => {
    void open.load();
    const refresh = () => void (document.hidden || open.load());
    document.addEventListener("visibilitychange", refresh);
    return () => document.removeEventListener("visibilitychange", refresh);
  }, [open]);
  const project = open.project.value;
  return (
    <>
      <Title title={project?.name || "Song"} about={project ? `${project.timeline.sample_rate / 1000} kHz · cross-fades of ${project.timeline.crossfade} s` : "Loading…"}>
        <a class="button" href={hrefOf("studio")}>
          Another one
        </a>
      </Title>
      {open.error.value && (
        <p class="notice bad" role="alert">
          {open.error.value}
        </p>
      )}
      {project && <Desk open={open} project={project} />}
    </>
  );
}
