// The pictures of docs/page.md: each view, light and dark. Only where they are asked for: TIMBRE_PICTURES=1.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, installKit, installVoice, launch, missing, overflows, root, voice } from "./support.mjs";

const skip = missing() || (process.env.TIMBRE_PICTURES ? false : "pictures are only drawn with TIMBRE_PICTURES=1");
const folder = join(root, "docs/page");
let server, browser, page;
const views = [];

before(async () => {
  if (skip) return;
  mkdirSync(folder, { recursive: true });
  server = new Server();
  installKit(server);
  if (existsSync(voice)) installVoice(server);
  await server.start();
  const wav = join(server.folder, "song.wav");
  execFileSync("python3", [join(root, "tools/make_song.py"), wav]);
  const bytes = readFileSync(wav);
  const asset = await server.bring("A quiet morning.wav", bytes);
  const stems = await server.done("separate", [asset.id], { model: "hpss" });
  const drums = await server.done("drums", [asset.id], {});
  const master = await server.done("master", [asset.id], { preset: "rock_master", loudness: -14 });
  const speech = existsSync(voice) ? await server.done("denoise", [asset.id], { model: "gtcrn-dns3" }) : null;
  views.push(["library", "library"], ["mixer", `mixer/${stems.id}`], ["drums", `drums/${drums.id}`], ["studio", "studio"], ["mastering", `studio/master/${master.id}`]);
  let { id, revision } = await server.json("/v1/projects", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: "Morning, twice", sample_rate: 44100, crossfade: 1.5 }) });
  for (const output of [asset.id, stems.outputs[0].asset, stems.outputs[1].asset]) {
    const name = output === asset.id ? "A quiet morning" : stems.outputs.find((one) => one.asset === output).name.replace(/^.*\/|\.wav$/g, "");
    ({ revision } = await server.json(`/v1/projects/${id}/operations`, { method: "POST", headers: { "Content-Type": "application/json", "If-Match": `"${revision}"` }, body: JSON.stringify({ op: "insert", asset: output, name }) }));
  }
  views.push(["song", `studio/song/${id}`]);
  if (speech) views.push(["speech", `speech/${speech.id}`]);
  views.push(["words", "song"], ["machine", "machine"]);
  browser = await launch();
  page = await (await browser.newContext({ reducedMotion: "reduce", viewport: { width: 1040, height: 720 } })).newPage();
  await page.goto(server.address);
  await page.getByText("Done").first().waitFor();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test("each view, light and dark", { skip }, async () => {
  for (const [name, hash] of views) {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.evaluate((to) => (location.hash = `#/${to}`), hash);
      await page.waitForFunction(() => !document.querySelector("main").innerText.includes("Loading…"));
      await page.waitForTimeout(1200); // waves are drawn as they come
      if (name === "mixer") {
        await page.getByRole("button", { name: "Play" }).click();
        await page.waitForTimeout(1500);
      }
      assert.deepEqual(await overflows(page), [], name);
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) });
      if (name === "mixer") await page.getByRole("button", { name: "Pause" }).click();
    }
  }
});
