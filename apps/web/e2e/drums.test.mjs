// Drums: hits are found, corrected by keyboard and by mouse, kept by the server, and saved as MIDI that says the same times.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { begin, end, installKit, missing, program, samplesOf, song, suits } from "./support.mjs";

const skip = missing() || false;
let server, page, complaints;

before(async () => {
  if (skip) return;
  ({ server, page, complaints } = await begin({ view: "Drums", prepare: installKit, fill: (one) => one.bring("beat.wav", song(8)) }));
});
after(end);

// Seconds, note and velocity of what sounds in a MIDI file, by its own tempi, in the order of time and of notes.
function notesOf(bytes) {
  const division = bytes.readUInt16BE(12);
  const events = [];
  for (let at = 14; at < bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at + 4);
    let tick = 0;
    for (at += 8; at < end; ) {
      let delta = 0;
      for (;;) {
        const byte = bytes[at++];
        delta = (delta << 7) | (byte & 0x7f);
        if (byte < 0x80) break;
      }
      tick += delta;
      const status = bytes[at++];
      if (status === 0xff) {
        const [type, length] = [bytes[at], bytes[at + 1]];
        if (type === 0x51) events.push({ tick, order: 0, tempo: bytes.readUIntBE(at + 2, 3) });
        at += 2 + length;
      } else {
        if (status >> 4 === 9) events.push({ tick, order: 1 + bytes[at], note: bytes[at], velocity: bytes[at + 1] });
        at += 2;
      }
    }
  }
  events.sort((a, b) => a.tick - b.tick || a.order - b.order);
  let [seconds, before, tempo] = [0, 0, 500000];
  const notes = [];
  for (const event of events) {
    seconds += ((event.tick - before) * tempo) / division / 1e6;
    before = event.tick;
    if (event.tempo) tempo = event.tempo;
    else notes.push({ seconds, note: event.note, velocity: event.velocity });
  }
  return notes;
}

const heading = () => page.getByRole("region", { name: "Hit", exact: true }).getByRole("heading").innerText();
const total = async () => Number(/(\d+)( hits)?$/.exec((await heading()).replace(/ hits$/, ""))[1]);
// A change is seen when the server has it.
const becomes = (count) =>
  page.waitForFunction((wanted) => Number(/(\d+)( hits)?$/.exec(document.querySelector('[aria-label="Hit"] h2')?.innerText)?.[1]) === wanted, count, { timeout: 60000 });
// The hits that the server keeps.
const keptHits = async () => {
  const [{ id }] = (await server.json("/v1/projects?kind=drums")).projects;
  return (await server.json(`/v1/projects/${id}`)).drums.hits;
};

test("hits are found by the form and shown over the wave", { skip }, async () => {
  await page.getByRole("button", { name: "Find the hits…" }).click();
  await page.waitForFunction(() => document.querySelector("dialog button[type=submit]:not(:disabled)"));
  assert.equal(await page.getByRole("dialog").getByLabel("Model", { exact: true }).inputValue(), "mdx23c-drumsep");
  await page.getByRole("dialog").getByRole("button", { name: "Start" }).click();
  await page.getByRole("region", { name: "Hit", exact: true }).waitFor({ timeout: 60000 });
  assert.ok((await total()) > 3);
});

test("hits that nobody has changed are saved as MIDI too, and leave neither a project nor a job", { skip }, async () => {
  const jobs = (await server.json("/v1/jobs")).jobs.length;
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "MIDI", exact: true }).click()]);
  assert.equal(notesOf(readFileSync(await download.path())).length, await total());
  await page.waitForFunction(() => document.querySelectorAll('[aria-label="Hit"] button.primary:not(:disabled)').length === 1);
  assert.equal((await server.json("/v1/jobs")).jobs.length, jobs);
  assert.deepEqual((await server.json("/v1/projects?kind=drums")).projects, []);
});

test("by keyboard: choose, change, add, delete, undo and redo", { skip }, async () => {
  const before = await total();
  await page.locator("main").focus();
  await page.keyboard.press(".");
  assert.match(await heading(), /^Hit 1 of/);
  await page.getByLabel("Time, seconds").fill("1.234");
  await page.keyboard.press("Enter");
  await page.getByLabel("Velocity").focus();
  await page.keyboard.press("Home");
  await page.locator("main").focus();
  await page.keyboard.press("n");
  await becomes(before + 1);
  await page.keyboard.press("Delete");
  await becomes(before);
  await page.keyboard.press("Control+z");
  await becomes(before + 1);
  await page.keyboard.press("Control+Shift+z");
  await becomes(before);
});

test("by mouse: a double click adds, a drag moves", { skip }, async () => {
  const before = await total();
  const lane = page.locator("canvas.hits").first();
  await lane.scrollIntoViewIfNeeded();
  const box = await lane.boundingBox();
  const x = box.x + 0.77 * box.width;
  await page.mouse.dblclick(x, box.y + 20);
  await becomes(before + 1);
  const time = async () => Number(await page.getByLabel("Time, seconds").inputValue());
  assert.ok(Math.abs((await time()) - 0.77 * 8) < 0.05, String(await time()));
  await page.mouse.move(x, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(x + 0.05 * box.width, box.y + 20, { steps: 4 });
  await page.mouse.up();
  await page.waitForFunction((least) => Number(document.querySelector("#hit-time").value) > least, 0.8 * 8);
});

test("a change that a killed server did not answer waits for it, and happens once", { skip }, async () => {
  const before = await total();
  await server.kill();
  await page.locator("main").focus();
  await page.keyboard.press("n");
  await page.getByRole("alert").filter({ hasText: "The change waits here until it does." }).waitFor();
  assert.equal(await total(), before);
  await server.start();
  await becomes(before + 1);
  await page.keyboard.press("Delete");
  await becomes(before);
  assert.equal(await page.getByRole("region", { name: "Hit", exact: true }).getByRole("alert").count(), 0);
});

test("the MIDI file has the hits as they are shown, to a millisecond, and a reload keeps them", { skip }, async () => {
  const before = await total();
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await page.getByRole("region", { name: "Hit", exact: true }).waitFor();
  assert.equal(await total(), before);
  assert.ok(await page.getByRole("button", { name: "Undo" }).isEnabled());
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "MIDI", exact: true }).click()]);
  assert.equal(download.suggestedFilename(), "beat.mid");
  const saved = notesOf(readFileSync(await download.path()));
  const shown = await keptHits();
  assert.equal(saved.length, before);
  shown.forEach((hit, i) => {
    assert.ok(Math.abs(saved[i].seconds - hit.seconds) < 1e-3, `${saved[i].seconds} and ${hit.seconds}`);
    assert.deepEqual([saved[i].note, saved[i].velocity], [hit.note, hit.velocity]);
  });
  assert.ok(shown.some((hit) => hit.velocity === 1 && Math.abs(hit.seconds - 1.234) < 1e-9));
});

test("on a swung grid the MIDI file is what timbre drums --hits --quantise makes", { skip }, async () => {
  await page.getByLabel("In the MIDI file").selectOption("1/8");
  await page.getByLabel("Swing").selectOption("0.6");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "MIDI", exact: true }).click()]);
  const made = readFileSync(await download.path());
  const { jobs } = await server.json("/v1/jobs?kind=drums");
  const { drums } = (await server.json(`/v1/jobs/${jobs.at(-1).id}/result`)).report.tracks[0];
  const hits = await keptHits();
  const [first, ...others] = drums.stems;
  const stems = [{ name: first.name, hits: hits.map(({ seconds, note, velocity }) => ({ seconds, note, velocity })) }, ...others.map(({ name }) => ({ name, hits: [] }))];
  writeFileSync(join(server.folder, "beat.hits.json"), JSON.stringify({ ...drums, stems }));
  execFileSync(program, ["drums", "--hits", join(server.folder, "beat.hits.json"), "--quantise", "1/8", "--swing", "0.6", "--quiet", "-o", server.folder]);
  assert.ok(made.length > 100);
  assert.ok(made.equals(readFileSync(join(server.folder, "beat.mid"))));
});

test("tempo, bar and metre are set right, by keyboard and by mouse, and what is kept and drawn follows", { skip }, async () => {
  const grid = async () => {
    const [{ id }] = (await server.json("/v1/projects?kind=drums")).projects;
    return (await server.json(`/v1/projects/${id}`)).drums.grid;
  };
  const follows = (text) => page.waitForFunction((wanted) => document.querySelector("main h1")?.parentElement.innerText.includes(wanted), text);
  const beats = page.getByRole("region", { name: "Beats" });
  const drawn = () => page.locator("canvas.hits").first().evaluate((canvas) => canvas.toDataURL());
  assert.equal(await grid(), null);
  const before = await drawn();
  await beats.getByLabel("Tempo, beats a minute").focus();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("90");
  await page.keyboard.press("Tab");
  await follows("90.0 beats a minute");
  assert.notEqual(await drawn(), before);
  await beats.getByLabel("Metre").selectOption("3/4");
  await follows("90.0 beats a minute, 3/4");
  await page.locator("main").focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("f");
  await page.waitForFunction(() => document.querySelector("#beat-first").value === "1.000");
  const { beats: seconds, downbeat } = await grid();
  assert.ok(Math.abs(seconds[downbeat] - 1) < 1e-4 && Math.abs(seconds[1] - seconds[0] - 2 / 3) < 2e-4, String(seconds));
  await beats.getByRole("button", { name: "Twice as many" }).click();
  await follows("180.0 beats a minute, 3/4");
  await beats.getByRole("button", { name: "Click", exact: true }).click();
  assert.equal(await beats.getByRole("button", { name: "Click", exact: true }).getAttribute("aria-pressed"), "true");
  await page.keyboard.press("m");
  // What is refused leaves what is, and says why.
  await beats.getByLabel("Tempo, beats a minute").fill("5");
  await page.keyboard.press("Tab");
  await page.getByRole("region", { name: "Hit", exact: true }).getByRole("alert").waitFor();
  assert.equal(await beats.getByLabel("Tempo, beats a minute").inputValue(), "180.00");
  await page.locator("main").focus();
  await page.keyboard.press("Control+z");
  await follows("90.0 beats a minute, 3/4");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "MIDI", exact: true }).click()]);
  const midi = readFileSync(await download.path());
  assert.ok(midi.includes(Buffer.from([0xff, 0x51, 3, 0x0a, 0x2c, 0x2b])), "90 beats a minute");
  assert.ok(midi.includes(Buffer.from([0xff, 0x58, 4, 3, 2])), "3/4");
  await page.reload();
  await follows("90.0 beats a minute, 3/4");
});

test("the server draws them as a video and learns from them", { skip }, async () => {
  const further = page.getByRole("region", { name: "Further" });
  await further.getByRole("button", { name: "Video of falling notes" }).click();
  await further.getByRole("button", { name: "Learn from the corrections" }).click();
  await page.waitForFunction(() => document.querySelectorAll('[aria-label="Made of these hits"] .badge.succeeded').length === 2, null, { timeout: 90000 });
  const { jobs } = await server.json("/v1/jobs");
  const names = jobs.slice(0, 2).flatMap((job) => job.outputs.map((output) => output.name));
  for (const ending of [".mid", ".mp4", ".yaml"]) assert.ok(names.some((name) => name.endsWith(ending)), names.join(", "));
});

test("a video has the sound of another mix that was added", { skip }, async () => {
  await server.bring("without drums.wav", song(4));
  await page.reload();
  const further = page.getByRole("region", { name: "Further" });
  await further.getByLabel("Another mix of the song").selectOption({ label: "without drums.wav" });
  await further.getByRole("button", { name: "Add as a mix" }).focus();
  await page.keyboard.press("Enter");
  await further.getByLabel("Sound of the video").selectOption({ label: "without drums" });
  await further.getByRole("button", { name: "Video of falling notes" }).click();
  await page.waitForFunction(() => document.querySelectorAll('[aria-label="Made of these hits"] .badge.succeeded').length === 1, null, { timeout: 90000 });
  const [job] = (await server.json("/v1/jobs")).jobs;
  const [mix] = (await server.json("/v1/assets")).assets.filter((one) => one.name === "without drums.wav");
  assert.equal(job.options.video_audio.asset, mix.id);
});

test("how it listens is changed, what is wrong there is said, and the song is heard anew by it, which can be undone", { skip }, async () => {
  const before = await total();
  const { hash } = new URL(page.url());
  const listening = page.getByRole("region", { name: "Listening" });
  await listening.getByRole("button", { name: "Show" }).focus();
  await page.keyboard.press("Enter");
  const text = listening.getByRole("textbox");
  await text.waitFor();
  assert.match(await text.inputValue(), /stems:/);
  await text.fill("stems:\n  kick:\n    bent: 1\n");
  await listening.getByRole("button", { name: "Keep" }).click();
  await listening.getByRole("alert").filter({ hasText: "bent" }).waitFor();
  // Nothing is loud enough to be kept.
  const strict = ["kick", "snare", "toms", "hihat", "cymbals"].map((stem) => `  ${stem}: {keep: {level_db: {min: 20}}}`);
  await text.fill(`stems:\n${strict.join("\n")}\n`);
  await listening.getByRole("button", { name: "Listen again" }).click();
  await becomes(0);
  await page.getByRole("button", { name: "Undo" }).click();
  await becomes(before);
  await page.getByRole("link", { name: /as a zip archive/ }).waitFor();
  const [{ id }] = (await server.json("/v1/projects?kind=drums")).projects;
  const zip = Buffer.from(await (await server.ask(`/v1/projects/${id}/files.zip`)).arrayBuffer()).toString("latin1");
  for (const name of ["beat.wav", "mixes/without drums.wav", "made/beat.mid", "made/beat.mp4", "drums.yaml"]) assert.ok(zip.includes(name), name);
  await page.evaluate((to) => (location.hash = to), hash);
  await becomes(before);
});

test("they are there when the job is not, by keyboard", { skip }, async () => {
  const before = await total();
  const { jobs } = await server.json("/v1/jobs?kind=drums");
  const first = jobs.find((job) => job.id === new URL(page.url()).hash.split("/").at(-1));
  await server.ask(`/v1/jobs/${first.id}`, { method: "DELETE" });
  await page.getByRole("link", { name: "Drums", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "Open the hits of beat" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "Hit", exact: true }).waitFor();
  assert.equal(await total(), before);
  await page.locator("main").focus();
  await page.keyboard.press("n");
  await becomes(before + 1);
  await page.keyboard.press("Control+z");
  await becomes(before);
});

test("notes fall while it plays", { skip }, async () => {
  const picture = () => page.locator("canvas.falling").evaluate((canvas) => canvas.toDataURL());
  await page.locator("canvas.falling").scrollIntoViewIfNeeded();
  await page.locator("main").focus();
  await page.keyboard.press("Home");
  const first = await picture();
  await page.keyboard.press("Space");
  await page.waitForFunction(() => parseFloat(document.querySelector(".clock").innerText.slice(2)) > 0.5);
  assert.notEqual(await picture(), first);
  await page.keyboard.press("Space");
});

test("the mixer clicks on their beats and counts in, in its export as well", { skip }, async () => {
  const [asset] = (await server.json("/v1/assets")).assets.filter((one) => one.name === "beat.wav");
  const [{ id }] = (await server.json("/v1/projects?kind=drums")).projects;
  const { beats, downbeat, metre } = (await server.json(`/v1/projects/${id}`)).drums.grid; // as they were set right
  const bar = Number(metre.split("/")[0]);
  assert.deepEqual([bar, beats.length > 8], [3, true], `${beats.length} beats`);
  await page.evaluate((id) => (location.hash = `#/mixer/file/${id}`), asset.id);
  const beatsOn = page.getByRole("button", { name: "On the beats" });
  await beatsOn.waitFor();
  await page.locator("main").focus();
  await page.keyboard.press("m");
  assert.equal(await beatsOn.getAttribute("aria-pressed"), "true");
  await page.keyboard.press("m");
  assert.equal(await beatsOn.getAttribute("aria-pressed"), "false");
  await beatsOn.focus();
  await page.keyboard.press("Enter");
  await page.getByLabel("Count-in").selectOption("1");
  await page.getByRole("button", { name: "Export…" }).click();
  await page.getByLabel("Samples of the WAV file").selectOption("f32");
  await page.getByText(/beat, Click\. .* It begins with the count-in\./).waitFor();
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save the mix" }).click()]);
  await page.keyboard.press("Escape");
  const made = readFileSync(await file.path());
  const left = (i) => made.readFloatLE(44 + 8 * i);
  const plain = samplesOf(Buffer.from(await (await server.ask(`/v1/assets/${asset.id}/data`)).arrayBuffer()));
  const lead = (made.length - 44) / 8 - plain.length / 2;
  const period = beats[1] - beats[0];
  const ahead = beats[0] < 1.5 * period ? beats[0] : 0;
  assert.ok(Math.abs(lead / 44100 - (bar * period - ahead)) < 1e-3, `${lead} frames before the sound`);
  const loudest = (from, to, value) => Math.max(...Array.from({ length: to - from }, (_, i) => Math.abs(value(from + i))));
  for (let k = 0; k < bar; ++k) assert.ok(loudest(Math.round(k * period * 44100), Math.round((k * period + 0.01) * 44100), left) > 0.2, `beat ${k} of the count-in`);
  // What was added to the sound: a click on each beat, the first of a bar louder, and nothing between them.
  const added = (i) => left(lead + i) - plain[2 * i];
  const firsts = [];
  const others = [];
  beats.slice(0, -1).forEach((seconds, i) => {
    const at = Math.round(seconds * 44100);
    ((i - downbeat) % bar === 0 ? firsts : others).push(loudest(at, at + 400, added));
    const middle = Math.round(((seconds + beats[i + 1]) / 2) * 44100);
    assert.ok(loudest(middle, middle + 400, added) < 1e-6, `between beats ${i} and ${i + 1}`);
  });
  assert.ok(Math.min(...firsts) > 1.3 * Math.max(...others) && Math.min(...others) > 0.2, `${firsts} and ${others}`);
});

test("nothing serious is found, and 320 pixels are enough", { skip }, async () => {
  await suits(page);
  assert.deepEqual(complaints(), []);
});
