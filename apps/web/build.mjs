// Bundles src/ into dist/, the same bytes from the same sources: names carry the hash of what is in them, and the page
// that names them is written last. `node build.mjs --check` writes nothing and says whether dist/ is what it would write.
import { build } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");

// Names of modules go into the hashes of the files: none of them tells where this checkout lies.

// docs/notes.yaml, the table that `timbre notes` draws by, as a module: its lines have one form, and any other is an error.
const lanes = {
  name: "lanes",
  setup(builder) {
    const path = join(here, "../../docs/notes.yaml");
    builder.onResolve({ filter: /^timbre:lanes$/ }, () => ({ path: "notes.yaml", namespace: "lanes" }));
    builder.onLoad({ filter: /.*/, namespace: "lanes" }, async () => {
      const table = [];
      for (const line of (await readFile(path, "utf8")).split("\n")) {
        const name = /^ {2}- name: (.+)$/.exec(line);
        const colour = /^ {4}colour: "(#[0-9A-F]{6})"$/.exec(line);
        const note = /^ {6}- \{note: (\d+), name: ([^,]+), shape: (\w+)\}$/.exec(line);
        if (name) table.push({ name: name[1], colour: "", voices: [] });
        else if (colour) table.at(-1).colour = colour[1];
        else if (note) table.at(-1).voices.push({ note: Number(note[1]), name: note[2], shape: note[3] });
        else if (!/^(#.*|lanes:| {4}notes:|)$/.test(line)) throw new Error(`docs/notes.yaml: '${line}' is not understood`);
      }
      return { contents: JSON.stringify(table), loader: "json" };
    });
  },
};

// Titles and descriptions of docs/presets.yaml, the chains that `timbre master` has.
const presets = {
  name: "presets",
  setup(builder) {
    const path = join(here, "../../docs/presets.yaml");
    builder.onResolve({ filter: /^timbre:presets$/ }, () => ({ path: "presets.yaml", namespace: "presets" }));
    builder.onLoad({ filter: /.*/, namespace: "presets" }, async () => {
      const list = [];
      for (const line of (await readFile(path, "utf8")).split("\n")) {
        const id = /^(\w+):$/.exec(line);
        const field = /^ {2}(title|description): (.+)$/.exec(line);
        if (id) list.push({ id: id[1], title: "", description: "" });
        else if (field) list.at(-1)[field[1]] = field[2].startsWith('"') ? JSON.parse(field[2]) : field[2];
      }
      if (list.some((preset) => !preset.title || !preset.description)) throw new Error("docs/presets.yaml: a preset has no title or description");
      return { contents: JSON.stringify(list), loader: "json" };
    });
  },
};

async function bundled() {
  const result = await build({
    absWorkingDir: here,
    entryPoints: ["src/main.tsx", "src/style.css", { in: "src/audio/pitch_worklet.ts", out: "pitch" }, { in: "src/audio/mastering_worklet.ts", out: "mastering" }],
    entryNames: "assets/[name]-[hash]",
    outdir: "dist",
    bundle: true,
    minify: true,
    format: "esm",
    target: ["chrome109", "firefox115", "safari16.4"],
    jsx: "automatic",
    jsxImportSource: "preact",
    charset: "utf8",
    legalComments: "none",
    plugins: [lanes, presets],
    write: false,
  });
  const files = new Map();
  for (const file of result.outputFiles) files.set(relative(dist, file.path), Buffer.from(file.contents));
  const named = (pattern) => [...files.keys()].find((name) => pattern.test(name));
  const html = (await readFile(join(here, "src/index.html"), "utf8"))
    .replace("SCRIPT", "/" + named(/main-\w+\.js$/))
    .replace("PITCH", "/" + named(/pitch-\w+\.js$/))
    .replace("MASTERING", "/" + named(/mastering-\w+\.js$/))
    .replace("STYLE", "/" + named(/\.css$/));
  files.set("index.html", Buffer.from(html));
  files.set("icon.svg", await readFile(join(here, "src/icon.svg")));
  files.set("licences.txt", Buffer.from(await licences()));
  return files;
}

// The licences of what is bundled, as they lie beside it.
async function licences() {
  let text = "";
  for (const name of ["preact", "@preact/signals", "@preact/signals-core"]) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    text += `${name} ${version}\nSPDX-License-Identifier: ${license}\n\n${await readFile(join(folder, "LICENSE"), "utf8")}\n\n`;
  }
  return text;
}

async function present() {
  const files = new Map();
  const names = await readdir(dist, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of names) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath ?? entry.path, entry.name);
    files.set(relative(dist, path), await readFile(path));
  }
  return files;
}

const files = await bundled();
if (process.argv.includes("--check")) {
  const old = await present();
  const wrong = [...new Set([...files.keys(), ...old.keys()])].filter(
    (name) => !(files.has(name) && old.has(name) && files.get(name).equals(old.get(name))),
  );
  if (wrong.length > 0) {
    console.error(`dist/ isn't what src/ makes: ${wrong.sort().join(", ")}; './dev web' makes it anew`);
    process.exit(1);
  }
  console.log("dist/ is what src/ makes");
} else {
  await rm(dist, { recursive: true, force: true });
  for (const [name, bytes] of files) {
    await mkdir(dirname(join(dist, name)), { recursive: true });
    await writeFile(join(dist, name), bytes);
    console.log(`${name} ${bytes.length}`);
  }
}
