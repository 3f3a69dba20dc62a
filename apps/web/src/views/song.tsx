// A song from words: lyrics that are written here or by a model, a style in words or like that of a sound, and several
// songs of them side by side, of which the best is kept.
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { getJson, sentence } from "../model/api";
import { assets, loadAssets, schemaOf } from "../model/catalog";
import { jobs, outputAssets, submit } from "../model/jobs";
import { type ProjectSummary, OpenProject, loadProjects, projects } from "../model/project";
import { hrefOf } from "../model/route";
import type { Job, OptionsSchema } from "../model/types";
import { JobRow, isSound } from "../ui/jobs_list";
import { SchemaFields, type Values, initialValues } from "../ui/schema_form";
import { Symbol } from "../ui/symbols";
import { Title } from "../ui/title";

const kStore = "timbre.song"; // what was typed, so that a reload costs no verse
const kParts = ["intro", "verse", "pre-chorus", "chorus", "bridge", "outro"];
const kAtOnce = 4; // songs of one press
// What has a place of its own in this view, or is a file that only somebody at a command line has.
const kOwn = ["lyrics", "style_text", "style_audio", "style_offset", "style_blend", "output", "phones", "tokens", "style", "noise", "latents", "from_latents"];

interface Draft {
  lyrics: string;
  style: string;
  about: string;
}

function draft(): Draft {
  try {
    return { lyrics: "", style: "", about: "", ...(JSON.parse(localStorage.getItem(kStore) ?? "{}") as Partial<Draft>) };
  } catch {
    return { lyrics: "", style: "", about: "" };
  }
}

function keep(typed: Partial<Draft>): void {
  localStorage.setItem(kStore, JSON.stringify({ ...draft(), ...typed }));
}

function Writer({ onWords }: { onWords: (text: string, style: string) => void }) {
  const about = useSignal(draft().about);
  useSignalEffect(() => keep({ about: about.value }));
  const values = useSignal<Values>({});
  const schema = useSignal<OptionsSchema | null>(null);
  const error = useSignal("");
  const waited = useSignal("");
  useEffect(() => {
    schemaOf("lyrics").then(
      (loaded) => {
        schema.value = loaded;
        values.value = initialValues("lyrics", loaded);
      },
      (problem) => (error.value = sentence(problem)),
    );
  }, []);
  const job = jobs.value.find((one) => one.id === waited.value);
  useEffect(() => {
    if (job?.state !== "succeeded") return;
    waited.value = "";
    getJson<{ report: { lyrics?: { text: string; style: string } } | null }>(`/v1/jobs/${job.id}/result`).then(
      ({ report }) => report?.lyrics && onWords(report.lyrics.text, report.lyrics.style),
      (problem) => (error.value = sentence(problem)),
    );
  }, [job?.state]);
  const write = (event: Event) => {
    event.preventDefault();
    error.value = "";
    submit({ kind: "lyrics", inputs: [], options: { ...values.value, prompt: about.value } }).then(
      (made) => (waited.value = made.id),
      (problem) => (error.value = sentence(problem)),
    );
  };
  return (
    <details>
      <summary>Have words written</summary>
      <form class="stack" onSubmit={write} noValidate>
        <div class="field">
          <label for="about">What the song is about</label>
          <input id="about" value={about.value} placeholder="summer rain, slow folk ballad" onInput={(event) => (about.value = event.currentTarget.value)} />
        </div>
        {schema.value && <SchemaFields kind="lyrics" schema={schema.value} values={values.value} omit={["prompt", "output"]} onChange={(next) => (values.value = next)} />}
        {error.value && (
          <p class="error" role="alert">
            {error.value}
          </p>
        )}
        <button type="submit">Write</button>
        {job && (
          <ul class="rows" aria-label="Words being written">
            <JobRow job={job} />
          </ul>
        )}
      </form>
    </details>
  );
}

function Keep({ job }: { job: Job }) {
  const said = useSignal("");
  const output = job.outputs.find((one) => isSound(one.media_type));
  useEffect(() => void loadProjects().catch(() => undefined), []);
  if (!output || projects.value.length === 0) return null;
  const keep = async (event: Event) => {
    event.preventDefault();
    const id = new FormData(event.currentTarget as HTMLFormElement).get("project");
    const project = projects.value.find((one: ProjectSummary) => one.id === id);
    if (!project) return;
    const open = new OpenProject(project.id);
    await open.load();
    const changed = await open.operate({ op: "insert", asset: output.asset, name: songName(job), position: "next" });
    said.value = changed ? `It is in ${project.name}.` : open.error.value;
  };
  return (
    <form class="line" onSubmit={(event) => void keep(event)}>
      <select name="project" aria-label={`Song that ${songName(job)} goes into`}>
        {projects.value.map((project) => (
          <option key={project.id} value={project.id}>
            {project.name}
          </option>
        ))}
      </select>
      <button type="submit">Keep it there</button>
      {said.value && <span role="status">{said.value}</span>}
    </form>
  );
}

function songName(job: Job): string {
  const style = typeof job.options.style_text === "string" && job.options.style_text ? job.options.style_text : "Song";
  return `${style}, seed ${typeof job.options.seed === "number" ? job.options.seed : 0}`;
}

function Candidate({ job }: { job: Job }) {
  const output = job.outputs.find((one) => isSound(one.media_type));
  return (
    <>
      <JobRow job={job} name={songName(job)} />
      {output && (
        <li>
          <audio class="grow" controls preload="metadata" src={output.link} aria-label={songName(job)} />
          <Keep job={job} />
        </li>
      )}
    </>
  );
}

export function Song() {
  const kept = draft();
  const lyrics = useSignal(kept.lyrics);
  const style = useSignal(kept.style);
  const like = useSignal("");
  const blend = useSignal(0.5);
  const count = useSignal(1);
  const values = useSignal<Values>({});
  const schema = useSignal<OptionsSchema | null>(null);
  const error = useSignal("");
  const words = useRef<HTMLTextAreaElement>(null);
  useEffect(() => void loadAssets().catch(() => undefined), []);
  useEffect(() => {
    schemaOf("song").then(
      (loaded) => {
        schema.value = loaded;
        values.value = initialValues("song", loaded);
      },
      (problem) => (error.value = sentence(problem)),
    );
  }, []);
  // At once: who reloads does not wait for a frame.
  useSignalEffect(() => keep({ lyrics: lyrics.value, style: style.value }));
  const part = (name: string) => {
    const area = words.current!;
    const at = area.selectionStart;
    const before = lyrics.value.slice(0, at);
    const mark = `${before && !before.endsWith("\n") ? "\n" : ""}[${name}]\n`;
    lyrics.value = before + mark + lyrics.value.slice(at);
    requestAnimationFrame(() => {
      area.focus();
      area.setSelectionRange(at + mark.length, at + mark.length);
    });
  };
  const make = async (event: Event) => {
    event.preventDefault();
    error.value = "";
    try {
      const seed = typeof values.value.seed === "number" ? values.value.seed : 0;
      for (let i = 0; i < count.value; ++i) {
        const options: Values = { ...values.value, lyrics: { text: lyrics.value } };
        if (style.value.trim()) options.style_text = style.value.trim();
        if (like.value) options.style_audio = { asset: like.value };
        if (like.value && style.value.trim()) options.style_blend = blend.value;
        if (count.value > 1 || seed !== 0) options.seed = seed + i;
        await submit({ kind: "song", inputs: [], options });
      }
    } catch (problem) {
      error.value = sentence(problem);
    }
  };
  const made = jobs.value.filter((job) => job.kind === "song");
  const sounds = assets.value.filter((asset) => isSound(asset.media_type) && !outputAssets.value.has(asset.id));
  return (
    <>
      <Title title="Song" about="From words and a style" />
      <form class="sheet pad stack" onSubmit={(event) => void make(event)} noValidate aria-label="Song">
        <div class="field">
          <label for="lyrics">Lyrics</label>
          <div class="line tags" role="group" aria-label="Parts to put in">
            {kParts.map((name) => (
              <button key={name} type="button" onClick={() => part(name)}>
                [{name}]
              </button>
            ))}
          </div>
          <textarea id="lyrics" ref={words} rows={12} value={lyrics.value} placeholder={"[verse]\nA line for each line that is sung"} onInput={(event) => (lyrics.value = event.currentTarget.value)} />
        </div>
        <div class="fields">
          <div class="field">
            <label for="style-text">Style in words</label>
            <input id="style-text" value={style.value} placeholder="slow piano ballad, female voice" onInput={(event) => (style.value = event.currentTarget.value)} />
          </div>
          <div class="field">
            <label for="style-like">Style like that of</label>
            <select id="style-like" value={like.value} onChange={(event) => (like.value = event.currentTarget.value)}>
              <option value="">No sound</option>
              {sounds.map((asset) => (
                <option key={asset.id} value={asset.id}>
                  {asset.name}
                </option>
              ))}
            </select>
          </div>
          {like.value && style.value.trim() && (
            <div class="field">
              <label for="blend">The sound’s share of it</label>
              <input id="blend" type="range" min={0} max={1} step={0.05} value={blend.value} aria-valuetext={`${Math.round(100 * blend.value)} %`} onInput={(event) => (blend.value = event.currentTarget.valueAsNumber)} />
            </div>
          )}
          <div class="field">
            <label for="count">How many to choose from</label>
            <select id="count" value={String(count.value)} onChange={(event) => (count.value = Number(event.currentTarget.value))}>
              {Array.from({ length: kAtOnce }, (_, i) => (
                <option key={i} value={String(i + 1)}>
                  {i + 1}
                </option>
              ))}
            </select>
          </div>
        </div>
        {schema.value && <SchemaFields kind="song" schema={schema.value} values={values.value} omit={kOwn} onChange={(next) => (values.value = next)} />}
        {error.value && (
          <p class="error" role="alert">
            {error.value}
          </p>
        )}
        <button type="submit" class="primary">
          <Symbol name="song" />
          Make {count.value === 1 ? "it" : `${count.value} of them`}
        </button>
      </form>
      <section class="sheet pad" aria-label="Words">
        <Writer
          onWords={(text, found) => {
            lyrics.value = text;
            if (!style.value) style.value = found;
          }}
        />
      </section>
      {made.length > 0 && (
        <section class="sheet" aria-label="Songs to choose from">
          <header>
            <h2>To choose from</h2>
            <a href={hrefOf("studio")}>Put together in the studio</a>
          </header>
          <ul class="rows">
            {made.map((job) => (
              <Candidate key={job.id} job={job} />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
