// The studio: tracks mastered, and songs put together from clips.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { sentence } from "../model/api";
import { whenText } from "../model/format";
import { jobs, running } from "../model/jobs";
import { createProject, loadProjects, projects } from "../model/project";
import { go, hrefOf, route } from "../model/route";
import { useOpenWhenDone } from "../ui/job_views";
import { JobRow } from "../ui/jobs_list";
import { ProjectRows } from "../ui/project_rows";
import { Symbol } from "../ui/symbols";
import { Title } from "../ui/title";
import { Mastering, OpenMasterById } from "./mastering";
import { TimelineView } from "./timeline";

const kKinds = ["master", "join", "loudness"];

function Songs() {
  const name = useSignal("");
  const rate = useSignal("44100");
  const fade = useSignal("2");
  const error = useSignal("");
  const failed = (problem: unknown) => (error.value = sentence(problem));
  useEffect(() => void loadProjects().catch(failed), []);
  const make = (event: Event) => {
    event.preventDefault();
    error.value = "";
    createProject(name.value.trim() || "Song", Number(rate.value), Number(fade.value)).then((made) => go("studio", "song", made.id), failed);
  };
  return (
    <section class="sheet" aria-label="Songs">
      <header>
        <h2>Songs of clips</h2>
      </header>
      <form class="pad fields" onSubmit={make} noValidate>
        <div class="field">
          <label for="song-name">Name</label>
          <input id="song-name" value={name.value} onInput={(event) => (name.value = event.currentTarget.value)} />
        </div>
        <div class="field">
          <label for="song-rate">Sample rate</label>
          <select id="song-rate" value={rate.value} onChange={(event) => (rate.value = event.currentTarget.value)}>
            {["44100", "48000", "96000"].map((one) => (
              <option key={one} value={one}>
                {Number(one) / 1000} kHz
              </option>
            ))}
          </select>
        </div>
        <div class="field">
          <label for="song-fade">Cross-fades, seconds</label>
          <input id="song-fade" type="number" min={0} max={60} step={0.1} value={fade.value} onInput={(event) => (fade.value = event.currentTarget.value)} />
        </div>
        <div class="field">
          <span class="label" aria-hidden="true">
            &nbsp;
          </span>
          <button type="submit" class="primary">
            <Symbol name="plus" />
            New song
          </button>
        </div>
      </form>
      {error.value && (
        <p class="error pad" role="alert">
          {error.value}
        </p>
      )}
      <ProjectRows
        projects={projects.value}
        about={({ changed }) => `changed ${whenText(changed)}`}
        href={({ id }) => hrefOf("studio", "song", id)}
        open="Open"
        remove="Remove"
        title="Remove the song; its files stay"
        onRemoved={loadProjects}
        onError={(text) => (error.value = text)}
      />
    </section>
  );
}

export function Studio() {
  const [what, id] = route.value.rest;
  const open = useOpenWhenDone("studio", "master");
  if (what === "master" && id) return <OpenMasterById key={id} id={id} />;
  if (what === "song" && id) return <TimelineView key={id} id={id} />;
  const list = [...running.value, ...jobs.value.filter((job) => job.ended)].filter((job) => kKinds.includes(job.kind));
  return (
    <>
      <Title title="Studio" about="Tracks mastered, songs put together" />
      <Songs />
      <Mastering onMade={open} />
      {list.length > 0 && (
        <section class="sheet" aria-label="Studio's jobs">
          <header>
            <h2>Made here</h2>
          </header>
          <ul class="rows">
            {list.map((job) => (
              <JobRow key={job.id} job={job} />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
