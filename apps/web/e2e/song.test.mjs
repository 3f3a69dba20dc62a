// A song put together from clips: placed, trimmed, split and moved by keyboard and by mouse, undone and done again, kept by
// the server, and written into one file that is what `timbre join` makes.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assertAlike, begin, end, findings, missing, plays, program, samplesOf, song, suits } from "./support.mjs";

const skip = missing() || false;
let server, page, complaints;

before(async () => {
  if (skip) return;
  const fill = async (one) => {
    await one.bring("verse.wav", song(6));
    await one.bring("chorus.wav", song(5, 48000));
  };
  ({ server, page, complaints } = await begin({ view: "Studio", fill }));
});
after(end);

const clips = async () => (await page.getByRole("list", { name: "Clips" }).getByRole("button").allInnerTexts()).map((text) => text.replace(/\s+/g, " "));
const saw = (expected) =>
  page.waitForFunction((wanted) => JSON.stringify([...document.querySelectorAll('ol[aria-label="Clips"] button')].map((button) => button.innerText.replace(/\s+/g, " "))) === JSON.stringify(wanted), expected);

test("a song is made, and files are put in with cross-fades", { skip }, async () => {
  await page.getByLabel("Name").fill("Evening");
  await page.getByLabel("Cross-fades, seconds").fill("1");
  await page.getByRole("button", { name: "New song" }).click();
  await page.getByRole("heading", { name: "Evening" }).waitFor();
  for (const name of ["verse.wav", "chorus.wav"]) {
    const id = (await server.json("/v1/assets")).assets.find((asset) => asset.name === name).id;
    await page.getByLabel("File to put in").selectOption(id);
    await page.getByRole("button", { name: "Put in" }).click();
    await page.getByRole("list", { name: "Clips" }).getByText(name).waitFor();
  }
  await saw(["1. verse.wav 0:00.0 – 0:06.0", "2. chorus.wav 0:05.0 – 0:10.0"]);
});

test("by keyboard: trimmed, moved, split, undone and done again; the server keeps it", { skip }, async () => {
  await page.getByLabel("Length, seconds").fill("4");
  await page.keyboard.press("Enter");
  await saw(["1. verse.wav 0:00.0 – 0:06.0", "2. chorus.wav 0:05.0 – 0:09.0"]);
  const earlier = page.getByRole("button", { name: "Earlier" });
  await earlier.focus();
  await page.keyboard.press("Enter");
  await saw(["1. chorus.wav 0:00.0 – 0:04.0", "2. verse.wav 0:03.0 – 0:09.0"]);
  await page.locator("main").focus();
  await page.keyboard.press("Control+z");
  await saw(["1. verse.wav 0:00.0 – 0:06.0", "2. chorus.wav 0:05.0 – 0:09.0"]);
  await page.keyboard.press("Control+Shift+z");
  await saw(["1. chorus.wav 0:00.0 – 0:04.0", "2. verse.wav 0:03.0 – 0:09.0"]);
  await page.keyboard.press("Control+z");
  await saw(["1. verse.wav 0:00.0 – 0:06.0", "2. chorus.wav 0:05.0 – 0:09.0"]);
  await page.reload();
  await saw(["1. verse.wav 0:00.0 – 0:06.0", "2. chorus.wav 0:05.0 – 0:09.0"]);
});

test("by mouse: a clip is dragged behind the other", { skip }, async () => {
  const lane = page.locator("canvas.clips");
  await lane.scrollIntoViewIfNeeded();
  const box = await lane.boundingBox();
  await page.mouse.move(box.x + 0.2 * box.width, box.y + 36);
  await page.mouse.down();
  await page.mouse.move(box.x + 0.9 * box.width, box.y + 36, { steps: 5 });
  await page.mouse.up();
  await saw(["1. chorus.wav 0:00.0 – 0:04.0", "2. verse.wav 0:03.0 – 0:09.0"]);
  await page.getByRole("button", { name: "Undo" }).click();
  await saw(["1. verse.wav 0:00.0 – 0:06.0", "2. chorus.wav 0:05.0 – 0:09.0"]);
});

test("what is saved is what timbre join makes of the same clips", { skip }, async () => {
  await page.getByRole("list", { name: "Clips" }).getByText("verse.wav").click();
  await page.getByLabel("Level, dB").fill("-3");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("#clip-gain").value === "-3");
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save as heard" }).click()]);
  assert.equal(file.suggestedFilename(), "Evening.wav");
  const made = samplesOf(readFileSync(await file.path()));
  for (const asset of (await server.json("/v1/assets")).assets) {
    writeFileSync(join(server.folder, asset.name), Buffer.from(await (await server.ask(`/v1/assets/${asset.id}/data`)).arrayBuffer()));
  }
  writeFileSync(join(server.folder, "song.yaml"), "crossfade: 1\nclips:\n  - {file: verse.wav, gain_db: -3}\n  - {file: chorus.wav, length: 4}\n");
  execFileSync(program, ["join", "--timeline", join(server.folder, "song.yaml"), "--normalise", "none", "--sample-rate", "44100", "--sample-format", "s24", "--quiet", "-o", join(server.folder, "joined.wav")]);
  const wanted = samplesOf(readFileSync(join(server.folder, "joined.wav")));
  assertAlike(made, wanted);
});

test("it is heard, and goes into the library", { skip }, async () => {
  await page.locator("main").focus();
  await plays(page);
  await page.getByRole("button", { name: "Into the library" }).click();
  await page.getByText("Evening.wav goes into the library").waitFor();
  await page.waitForFunction(async () => (await (await fetch("/v1/assets")).json()).assets.some((asset) => asset.name === "Evening.wav"), null, { polling: 200 });
});

test("the server's export has the presets in it, at the loudness that is asked for", { skip }, async () => {
  await page.getByLabel("Preset").last().selectOption("rock_master");
  await page.getByText("they are in what it exports").waitFor();
  // A chain can be changed, and is kept with the song.
  await page.getByRole("button", { name: "Change the chain" }).last().click();
  const dialog = page.getByRole("dialog", { name: "Chain" });
  await dialog.getByRole("group", { name: "Band 1", exact: true }).getByLabel("Hz").fill("45");
  await dialog.getByRole("button", { name: "Use it" }).click();
  await page.waitForFunction(() => document.querySelector("#master-chain").selectedOptions[0].text === "Rock Master, changed");
  const [{ id: song }] = (await server.json("/v1/projects")).projects;
  assert.equal((await server.json(`/v1/projects/${song}`)).timeline.master.bands[0].hz, 45);
  await page.getByLabel("Format").selectOption("flac");
  await page.getByLabel("Loudness").selectOption("-23");
  await page.getByRole("button", { name: "Export", exact: true }).click();
  const row = page.getByRole("list", { name: "Exports" }).getByRole("listitem").first();
  await row.getByText("Done").waitFor({ timeout: 30000 });
  const { jobs } = await server.json("/v1/jobs?kind=join");
  assert.equal(jobs[0].outputs[0].name, "Evening.flac");
  const measured = await server.done("loudness", [jobs[0].outputs[0].asset], {});
  const { report } = await server.json(`/v1/jobs/${measured.id}/result`);
  assert.ok(Math.abs(report.tracks[0].integrated_lufs + 23) <= 0.15, String(report.tracks[0].integrated_lufs));
});

test("somebody else's change is not overwritten", { skip }, async () => {
  const { projects } = await server.json("/v1/projects");
  const { id, revision } = projects[0];
  const headers = { "Content-Type": "application/json", "If-Match": `"${revision}"` };
  await server.json(`/v1/projects/${id}/operations`, { method: "POST", headers, body: JSON.stringify({ op: "mute", clip: (await server.json(`/v1/projects/${id}`)).timeline.clips[0].id, on: true }) });
  await page.getByRole("button", { name: "Duplicate" }).click();
  await page.getByRole("alert").getByText("the project is not what it was").waitFor();
  assert.equal((await clips()).length, 2);
  assert.equal(await page.getByRole("button", { name: "Mute" }).getAttribute("aria-pressed"), "true");
});

test("clips are told how alike they are, and the job leaves nothing behind", { skip }, async () => {
  await page.getByRole("button", { name: "How alike are they?" }).focus();
  await page.keyboard.press("Enter");
  const list = page.getByRole("list", { name: "Clips" });
  await list.getByText(/alike, \d+\.\d/).first().waitFor({ timeout: 60000 });
  const { timeline } = await server.json(`/v1/projects/${(await server.json("/v1/projects")).projects[0].id}`);
  const inputs = [...new Set(timeline.clips.map(({ asset }) => asset))];
  assert.equal(inputs.length, 2);
  assert.equal((await server.json("/v1/jobs?kind=style")).jobs.length, 0);
  const job = await server.done("style", inputs, {});
  const { report } = await server.json(`/v1/jobs/${job.id}/result`);
  for (const { distance } of report.clips) await list.getByText(`alike, ${distance.toFixed(1)}`).first().waitFor();
  // Of other sounds than were compared nothing is said.
  await page.getByRole("button", { name: "Remove", exact: true }).click();
  await list.getByText(/alike/).first().waitFor({ state: "detached" });
  assert.equal((await clips()).length, 1);
  await page.getByRole("button", { name: "Undo" }).click();
  await list.getByText(/alike, \d+\.\d/).first().waitFor();
});

test("nothing serious is found, and 320 pixels are enough, for long names too", { skip }, async () => {
  const name = `${"a very long name of a song ".repeat(4)}.wav`;
  await server.bring(name, song(1));
  await page.reload();
  await page.locator("option", { hasText: "a very long name" }).first().waitFor({ state: "attached" });
  await suits(page);
  await server.json("/v1/projects", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" });
  await page.getByRole("link", { name: "Another one" }).click();
  await page.getByRole("heading", { name: "Songs of clips" }).waitFor();
  // One without a name is called what its row says.
  await page.getByRole("link", { name: "Open Unnamed" }).waitFor();
  await page.getByRole("button", { name: "Remove Unnamed" }).waitFor();
  assert.deepEqual(await findings(page), []);
  assert.deepEqual(complaints(), []);
});
