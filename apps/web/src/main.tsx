// The page: shows the server its token, then one view at a time.
import { useSignal } from "@preact/signals";
import { render } from "preact";
import type { ComponentType } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { getJson, locked, openSession, sentence } from "./model/api";
import { loadAssets, loadCatalog } from "./model/catalog";
import { connection, follow, running } from "./model/jobs";
import { hrefOf, replaceRoute, route } from "./model/route";
import { addFiles, filesOf, onUploaded } from "./model/uploads";
import { Symbol } from "./ui/symbols";
import { Drums } from "./views/drums";
import { Library } from "./views/library";
import { Machine } from "./views/machine";
import { Mixer } from "./views/mixer";
import { Song } from "./views/song";
import { Speech } from "./views/speech";
import { Studio } from "./views/studio";

const kViews: { name: string; title: string; view: ComponentType }[] = [
  { name: "library", title: "Library", view: Library },
  { name: "mixer", title: "Mixer", view: Mixer },
  { name: "drums", title: "Drums", view: Drums },
  { name: "song", title: "Song", view: Song },
  { name: "studio", title: "Studio", view: Studio },
  { name: "speech", title: "Speech", view: Speech },
  { name: "machine", title: "Machine", view: Machine },
];

// `#token=…` is how `timbre serve` hands the page its token, `&to=…` the view to begin with: a fragment reaches no server
// and no log. It is taken out of the address at once.
function takeToken(): string {
  if (!location.hash.startsWith("#token=")) return "";
  const given = new URLSearchParams(location.hash.slice(1));
  replaceRoute(`#/${given.get("to") ?? ""}`);
  return given.get("token") ?? "";
}

async function enter(token: string): Promise<void> {
  if (token) await openSession(token);
  await getJson("/v1/info");
  locked.value = false;
  await Promise.all([loadCatalog(), loadAssets()]);
  follow();
}

function Gate({ error: first }: { error: string }) {
  const token = useSignal("");
  const error = useSignal(first);
  const submit = (event: Event) => {
    event.preventDefault();
    enter(token.value.trim()).catch((problem) => (error.value = sentence(problem)));
  };
  return (
    <main class="gate">
      <form class="sheet pad stack" onSubmit={submit}>
        <h1>timbre</h1>
        <p>This server wants its token. The line that it wrote when it started says which file it is in.</p>
        <div class="field">
          <label for="token">Token</label>
          <input id="token" type="password" autocomplete="off" required value={token.value} onInput={(event) => (token.value = event.currentTarget.value)} />
        </div>
        {error.value && (
          <p class="error" role="alert">
            {error.value}
          </p>
        )}
        <button type="submit" class="primary">
          Enter
        </button>
      </form>
    </main>
  );
}

function DropAnywhere() {
  useEffect(() => {
    let depth = 0;
    const show = (on: boolean) => document.body.classList.toggle("over", on);
    const has = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const enters = (event: DragEvent) => {
      if (has(event)) show(++depth > 0);
    };
    const leaves = (event: DragEvent) => {
      if (has(event)) show(--depth > 0);
    };
    const overs = (event: DragEvent) => {
      if (has(event)) event.preventDefault();
    };
    const drops = (event: DragEvent) => {
      if (!has(event) || !event.dataTransfer) return;
      event.preventDefault();
      depth = 0;
      show(false);
      void filesOf(event.dataTransfer).then(addFiles);
    };
    addEventListener("dragenter", enters);
    addEventListener("dragleave", leaves);
    addEventListener("dragover", overs);
    addEventListener("drop", drops);
    return () => {
      removeEventListener("dragenter", enters);
      removeEventListener("dragleave", leaves);
      removeEventListener("dragover", overs);
      removeEventListener("drop", drops);
    };
  }, []);
  return null;
}

function Shell() {
  const main = useRef<HTMLElement>(null);
  const view = kViews.find((known) => known.name === route.value.view) ?? kViews[0]!;
  const shown = useRef(view.name);
  useEffect(() => {
    document.title = `${view.title} – timbre`;
    // Whoever goes by keyboard or by ear is taken along; but not when the page has just opened.
    if (shown.current !== view.name) main.current?.focus();
    shown.current = view.name;
  }, [view.name]);
  const View = view.view;
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        To the content
      </a>
      <div class="shell">
        <nav class="rail" aria-label="Views">
          <p class="brand">
            <img src="/icon.svg" alt="" />
            timbre
          </p>
          <ul>
            {kViews.map((known) => (
              <li key={known.name}>
                <a href={hrefOf(known.name)} aria-current={known.name === view.name ? "page" : undefined}>
                  <Symbol name={known.name} />
                  {known.title}
                  {known.name === "library" && running.value.length > 0 && (
                    <span class="count">
                      {running.value.length}
                      <span class="hidden"> unfinished jobs</span>
                    </span>
                  )}
                </a>
              </li>
            ))}
          </ul>
        </nav>
        <div>
          <div role="status">{connection.value === "lost" && <p class="banner">The connection to the server is lost. The page comes back by itself; jobs go on.</p>}</div>
          <main id="main" ref={main} tabIndex={-1}>
            <View />
          </main>
        </div>
      </div>
      <DropAnywhere />
    </>
  );
}

function Page() {
  const state = useSignal<"opening" | "open">("opening");
  const error = useSignal("");
  useEffect(() => {
    const token = takeToken();
    const attempt = () =>
      enter(token).then(
        () => (state.value = "open"),
        (problem) => {
          if (locked.value) error.value = token ? sentence(problem) : "";
          else {
            error.value = sentence(problem);
            setTimeout(attempt, 2000);
          }
        },
      );
    void attempt();
  }, []);
  if (locked.value) return <Gate error={error.value} />;
  if (connection.value === "connecting" && state.value === "opening") {
    return <p class="empty" role="status">{error.value || "Opening…"}</p>;
  }
  return <Shell />;
}

onUploaded(() => void loadAssets().catch(() => undefined));
render(<Page />, document.getElementById("page")!);
