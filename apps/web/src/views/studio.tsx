// The studio: tracks mastered, and songs put together from clips.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { jobs, running } from "../model/jobs";
import { go, route } from "../model/route";
import { JobRow } from "../ui/jobs_list";
import { Mastering, OpenMasterById } from "./mastering";

const kKinds = ["master", "join", "loudness"];

export function Studio() {
  const [what, id] = route.value.rest;
  const wanted = useSignal("");
  const waited = jobs.value.find((job) => job.id === wanted.value);
  useEffect(() => {
    if (waited?.state === "succeeded") {
      wanted.value = "";
      go("studio", "master", waited.id);
    }
  }, [waited?.state]);
  if (what === "master" && id) return <OpenMasterById key={id} id={id} />;
  const list = [...running.value, ...jobs.value.filter((job) => job.ended)].filter((job) => kKinds.includes(job.kind));
  return (
    <>
      <div class="title">
        <div>
          <h1>Studio</h1>
          <p class="quiet">Tracks mastered, songs put together</p>
        </div>
      </div>
      <Mastering onMade={(job) => (wanted.value = job.id)} />
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
