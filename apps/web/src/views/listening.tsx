// How a project's drums are listened for: docs/drums.yaml as the project has it, to be changed, and the song heard anew by it.
import { useSignal } from "@preact/signals";
import { sentence } from "../model/api";
import type { HitList } from "../model/drums";
import { ended } from "../model/jobs";
import { listen } from "../model/project";
import { hrefOf } from "../model/route";
import type { Job } from "../model/types";

export function Listening({ list, job }: { list: HitList; job: Job | null }) {
  const text = useSignal<string | null>(null);
  const kept = useSignal(""); // as the server has it
  const note = useSignal("");
  const problem = useSignal("");
  const busy = useSignal(false);
  const act = (action: () => Promise<void>) => () => {
    busy.value = true;
    note.value = problem.value = "";
    action()
      .catch((error) => (problem.value = sentence(error)))
      .finally(() => (busy.value = false));
  };
  const load = async () => {
    const project = await list.project();
    if (!project) throw new Error(list.error.peek());
    text.value = kept.value = await project.listening();
  };
  const keep = async (yaml: string | null) => {
    const project = await list.project();
    // What is wrong in it is said here, beside the text.
    if (!(await project?.setListening(yaml))) throw new Error(list.error.peek() || "The server did not take it.");
    await load();
    note.value = yaml === null ? "It listens by the default again." : "Kept. It holds for what is heard from now on.";
  };
  const again = async () => {
    if (text.value !== kept.value) await keep(text.value ?? "");
    const project = await list.project();
    if (!project) throw new Error(list.error.peek());
    const model = typeof job?.options.model === "string" ? { model: job.options.model } : {};
    note.value = "The song is being listened to.";
    const heard = await ended((await listen(project.id, { ...model, keep_stems: true })).id);
    if (!(await list.take(heard.id))) throw new Error(list.error.peek());
    location.hash = hrefOf("drums", "hits", project.id);
  };
  return (
    <section class="sheet" aria-label="Listening">
      <header>
        <h2>How it listens</h2>
        {text.value === null && (
          <button type="button" disabled={busy.value} onClick={act(load)}>
            Show
          </button>
        )}
      </header>
      {(text.value !== null || problem.value || note.value) && (
        <div class="pad stack">
          {text.value !== null && (
            <>
              <label for="listening">Bands, thresholds, voices and notes of each drum: all of it, or what is to be another</label>
              <textarea id="listening" class="code" rows={16} spellcheck={false} value={text.value} onInput={(event) => (text.value = event.currentTarget.value)} />
              <div class="line">
                <button type="button" disabled={busy.value || text.value === kept.value} onClick={act(() => keep(text.value ?? ""))}>
                  Keep
                </button>
                <button type="button" disabled={busy.value} onClick={act(() => keep(null))}>
                  The default again
                </button>
                <button type="button" class="primary" disabled={busy.value} onClick={act(again)}>
                  Listen again
                </button>
              </div>
            </>
          )}
          {problem.value && (
            <p class="error" role="alert">
              {problem.value}
            </p>
          )}
          {note.value && <p role="status">{note.value}</p>}
        </div>
      )}
    </section>
  );
}
