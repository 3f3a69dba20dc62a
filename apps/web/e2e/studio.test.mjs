// The studio: a track is mastered by mouse and by keyboard, and heard beside what it was at one loudness.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertAlike, begin, bundled, end, findings, missing, overflows, plays, song, suits } from "./support.mjs";

const skip = missing() || false;
let server, page, complaints;

before(async () => {
  if (skip) return;
  ({ server, page, complaints } = await begin({ view: "Studio", fill: (one) => one.bring("demo.wav", song(5)) }));
});
after(end);

test("a preset and a loudness are chosen by keyboard, and the result is shown with what was measured", { skip }, async () => {
  await page.getByRole("radio", { name: /Clean Master/ }).focus();
  await page.keyboard.press("ArrowDown");
  assert.ok(await page.getByRole("radio", { name: /Subtle Warmth/ }).isChecked());
  await page.getByLabel("Loudness", { exact: true }).selectOption("-23");
  await page.getByRole("button", { name: "Master", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "Before and after" }).waitFor({ timeout: 30000 });
  await page.getByText("Mastered · Subtle Warmth").waitFor();
  const cells = await page.getByRole("row", { name: /^After/ }).getByRole("cell").allInnerTexts();
  assert.ok(Math.abs(Number(cells[1].replace("−", "-")) + 23) <= 0.1, cells.join(" "));
  // What the report says is what a meter says of the file.
  const job = (await server.json("/v1/jobs?kind=master")).jobs[0];
  const measured = await server.done("loudness", [job.outputs[0].asset], {});
  const { report } = await server.json(`/v1/jobs/${measured.id}/result`);
  assert.ok(Math.abs(report.tracks[0].integrated_lufs + 23) <= 0.15, String(report.tracks[0].integrated_lufs));
});

test("before is turned to the loudness of after, by what was measured of the whole", { skip }, async () => {
  const apart = /\(([\d.]+) dB apart\)/.exec(await page.getByText("Both at one loudness").innerText());
  assert.ok(Number(apart[1]) > 1);
  await page.locator("main").focus();
  await page.keyboard.press("o");
  assert.equal(await page.getByRole("button", { name: "Before", exact: true }).getAttribute("aria-pressed"), "true");
  await plays(page);
});

test("its chain is changed and the track mastered again, from the original", { skip }, async () => {
  await page.getByRole("button", { name: "Change the chain…" }).click();
  const dialog = page.getByRole("dialog", { name: "Chain" });
  await dialog.getByRole("group", { name: "Band 2" }).getByLabel("dB").fill("-7.5");
  await dialog.getByRole("button", { name: "Master again" }).click();
  await page.getByText("Mastered · Subtle Warmth, changed").waitFor({ timeout: 30000 });
  const [again, first] = (await server.json("/v1/jobs?kind=master")).jobs;
  assert.deepEqual([again.inputs[0].asset, again.options.loudness], [first.inputs[0].asset, -23]);
  const [{ chain }, { chain: before }] = await Promise.all([again, first].map(async ({ id }) => (await server.json(`/v1/jobs/${id}/result`)).report));
  assert.equal(chain.bands[1].db, -7.5);
  assert.deepEqual([chain.bands[0], chain.compressor, chain.limiter], [before.bands[0], before.compressor, before.limiter]);
});

test("five bands, compressor and limiter are set by keyboard alone", { skip }, async () => {
  await page.getByRole("link", { name: "Another one" }).focus();
  await page.keyboard.press("Enter");
  const press = async (name) => {
    await page.getByRole("button", { name, exact: true }).focus();
    await page.keyboard.press("Enter");
  };
  const set = async (scope, label, text) => {
    await scope.getByLabel(label, { exact: true }).focus();
    await page.keyboard.press("Control+a");
    await page.keyboard.type(text);
    await page.keyboard.press("Tab");
  };
  await press("Change this chain");
  await press("Five flat bands");
  assert.equal(await page.getByRole("img", { name: /^Frequency response/ }).getAttribute("aria-label"), "Frequency response: flat");
  const band = (n) => page.getByRole("group", { name: `Band ${n}`, exact: true });
  await set(band(2), "Hz", "250");
  await set(band(2), "dB", "6");
  await set(band(2), "Q", "2");
  await set(band(5), "dB", "-99");
  assert.equal(await band(5).getByLabel("dB").inputValue(), "-24", "the nearest that is allowed");
  await set(band(5), "dB", "-3");
  await press("Remove band 1");
  const compressor = page.getByRole("group", { name: "Compressor" });
  for (const [label, text] of [["Threshold, dB", "-20"], ["Ratio, to 1", "3"], ["Knee, dB", "4"], ["Attack, ms", "10"], ["Release, ms", "80"]]) await set(compressor, label, text);
  await set(page.getByRole("group", { name: "Limiter of its own" }), "Ceiling, dBTP", "-2");
  assert.match(await page.getByRole("img", { name: /^Frequency response/ }).getAttribute("aria-label"), /to \+6\.0 dB at 25\d Hz$|to \+6\.0 dB at 24\d Hz$/);
  await press("Master");
  await page.getByText("Mastered · Clean Master, changed").waitFor({ timeout: 30000 });
  const [{ id }] = (await server.json("/v1/jobs?kind=master")).jobs;
  const { chain } = (await server.json(`/v1/jobs/${id}/result`)).report;
  assert.deepEqual(chain.bands.map(({ type, hz, db, q }) => [type, hz, db, q]), [["peak", 250, 6, 2], ["peak", 2000, 0, 1], ["peak", 5000, 0, 1], ["highshelf", 10000, -3, 0.7]]);
  assert.deepEqual(chain.compressor, { threshold_db: -20, ratio: 3, attack_ms: 10, release_ms: 80, knee_db: 4, makeup_db: 0 });
  assert.equal(chain.limiter.ceiling_db, -2);
});

test("the curve is what the chain does to an impulse, and a band is dragged on it", { skip }, async () => {
  const bands = [
    { type: "highpass", hz: 40, db: 0, q: 0.7071 },
    { type: "lowshelf", hz: 120, db: 4, q: 0.6 },
    { type: "peak", hz: 900, db: -6, q: 1.5 },
    { type: "highshelf", hz: 6000, db: 5, q: 0.7 },
    { type: "lowpass", hz: 15000, db: 0, q: 0.9 },
  ];
  const impulse = song(1, 48000);
  impulse.fill(0, 44);
  for (const channel of [0, 2]) impulse.writeInt16LE(3277, 44 + 4 * 4800 + channel);
  const asset = await server.bring("impulse.wav", impulse);
  const made = await server.done("master", [asset.id], { chain: { text: JSON.stringify({ bands }) }, sample_format: "f32" });
  const bytes = Buffer.from(await (await server.ask(`/v1/assets/${made.outputs[0].asset}/data`)).arrayBuffer());
  const at = bytes.indexOf("data") + 8;
  const heard = Array.from({ length: 48000 }, (_, i) => bytes.readFloatLE(at + 8 * i) / (3277 / 32768));
  const responseAt = new Function(`${await bundled('export { responseAt } from "../src/model/chain";')}; return tested.responseAt;`)();
  for (const hz of [25, 60, 150, 400, 900, 1800, 5000, 9000, 14000, 18000]) {
    let [re, im] = [0, 0];
    heard.forEach((value, i) => {
      re += value * Math.cos((2 * Math.PI * hz * i) / 48000);
      im += value * Math.sin((2 * Math.PI * hz * i) / 48000);
    });
    const db = 10 * Math.log10(re * re + im * im);
    assert.ok(Math.abs(db - responseAt(bands, hz)) < 0.02, `${hz} Hz: ${db} and ${responseAt(bands, hz)} dB`);
  }
  await page.getByRole("link", { name: "Another one" }).click();
  await page.getByRole("button", { name: "Change this chain" }).click();
  await page.getByRole("button", { name: "Five flat bands" }).click();
  const curve = page.locator("canvas.response");
  await curve.scrollIntoViewIfNeeded();
  const box = await curve.boundingBox();
  const across = (hz) => box.x + (Math.log(hz / 20) / Math.log(1000)) * box.width;
  await page.mouse.move(across(2000), box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(across(3000), box.y + 0.3 * box.height, { steps: 5 });
  await page.mouse.up();
  const band = page.getByRole("group", { name: "Band 3", exact: true });
  assert.ok(Math.abs(Number(await band.getByLabel("Hz").inputValue()) - 3000) < 60);
  assert.ok(Math.abs(Number(await band.getByLabel("dB").inputValue()) - 6) < 0.3);
});

test("a chain is heard while it is being changed, beside the sound at the same level, by keyboard", { skip }, async () => {
  const press = async (name) => {
    await page.getByRole("button", { name, exact: true }).focus();
    await page.keyboard.press("Enter");
  };
  await page.getByLabel("File to master").selectOption({ label: "demo.wav" });
  await press("Hear demo.wav with it");
  const preview = page.getByRole("group", { name: "Preview of demo.wav" });
  await preview.waitFor();
  await page.waitForFunction(() => document.querySelector('[aria-label="Position of the preview"]').value > 0.3);
  // Everything below 2 kHz, where the tones are, 9 dB up.
  const shelf = page.getByRole("group", { name: "Band 1", exact: true });
  const set = async (label, text) => {
    await shelf.getByLabel(label, { exact: true }).focus();
    await page.keyboard.press("Control+a");
    await page.keyboard.type(text);
    await page.keyboard.press("Tab");
  };
  await set("Hz", "2000");
  await set("dB", "9");
  await page.getByRole("group", { name: "Limiter of its own" }).getByRole("checkbox").uncheck();
  await page.waitForFunction(() => /\+[5-9]\.\d dB$/.test(document.querySelector('[aria-label="Preview of demo.wav"]').innerText));
  await press("Without the chain");
  assert.equal(await preview.getByRole("button", { name: "Without the chain" }).getAttribute("aria-pressed"), "true");
  await set("dB", "0");
  await page.waitForFunction(() => !/\+[2-9]\.\d dB$/.test(document.querySelector('[aria-label="Preview of demo.wav"]').innerText));
  await press("Pause the preview");
  assert.equal(await page.getByText("can't be heard").count(), 0);
  assert.equal((await server.json("/v1/jobs?kind=master&state=queued")).jobs.length, 0, "nothing is computed by the server for it");
});

// The page's own chain against the server's; blocks come as the browser makes them.
test("what is heard of a chain is what the server makes of it", { skip }, async () => {
  const [asset] = (await server.json("/v1/assets")).assets.filter((one) => one.name === "demo.wav");
  const bands = [
    { type: "highpass", hz: 60, db: 0, q: 0.7071 },
    { type: "lowshelf", hz: 250, db: -4, q: 0.7 },
    { type: "peak", hz: 330, db: 5, q: 2 },
    { type: "highshelf", hz: 5000, db: -3, q: 0.7 },
  ];
  const compressor = { threshold_db: -24, ratio: 3, knee_db: 6, attack_ms: 4, release_ms: 90, makeup_db: 1 };
  const code = await bundled('export { Player } from "../src/audio/player"; export { trackOf } from "../src/ui/console"; export { Mastering } from "../src/audio/mastering";');
  const compare = async (chain) => {
    const made = await server.done("master", [asset.id], { chain: { text: JSON.stringify(chain) }, sample_format: "f32" });
    const bytes = Buffer.from(await (await server.ask(`/v1/assets/${made.outputs[0].asset}/data`)).arrayBuffer());
    const data = bytes.indexOf("data") + 8;
    const wanted = Array.from({ length: 2 * 4 * 44100 }, (_, i) => bytes.readFloatLE(data + 4 * i));
    const heard = await page.evaluate(
      async ({ code, asset, chain }) => {
        const { Player, trackOf, Mastering } = new Function(`${code}; return tested;`)();
        const offline = new OfflineAudioContext(2, 5 * 44100, 44100);
        const player = new Player(offline, [trackOf({ asset, name: "demo" })], 5 * 44100);
        await player.setChain(chain);
        player.begin();
        await player.schedule(5 * 44100);
        const buffer = await offline.startRendering();
        const { latency } = new Mastering(44100);
        const planes = [0, 1].map((channel) => buffer.getChannelData(channel).subarray(latency, latency + 4 * 44100));
        return Array.from({ length: 8 * 44100 }, (_, i) => planes[i % 2][i >> 1]);
      },
      { code, asset: asset.id, chain },
    );
    return { heard, wanted };
  };
  const { heard, wanted } = await compare({ bands, compressor });
  assertAlike(heard, wanted);
  // A limiter as well: the server measures what is left above the ceiling and goes lower by that, by a fraction of a decibel.
  const limited = await compare({ bands, compressor, limiter: { ceiling_db: -12, release_ms: 60 } });
  const [peak, peakThere] = [limited.heard, limited.wanted].map((samples) => samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
  assert.ok(peak <= 10 ** (-12 / 20) && peak > 10 ** (-12.2 / 20), String(peak));
  assert.ok(Math.abs(20 * Math.log10(peak / peakThere)) < 0.5, `${peak} and ${peakThere}`);
  const powers = [limited.heard, limited.wanted].map((samples) => samples.reduce((sum, value) => sum + value * value, 0));
  assert.ok(Math.abs(10 * Math.log10(powers[0] / powers[1])) < 0.3, String(powers));
});

test("nothing serious is found, and 320 pixels are enough", { skip }, async () => {
  await suits(page);
  await page.setViewportSize({ width: 1200, height: 900 });
  await page.getByRole("button", { name: "Back to the presets" }).click();
  await page.setViewportSize({ width: 320, height: 700 });
  assert.deepEqual(await overflows(page), []);
  assert.deepEqual(await findings(page), []);
  assert.deepEqual(complaints(), []);
});
