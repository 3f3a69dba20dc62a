// The mixer: what is played and what is exported is, to the sample, what the stems and the faders make; by mouse and by keys.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { assertAlike, begin, bundled, end, findings, missing, song, suits } from "./support.mjs";

const skip = missing() || false;
const kSeconds = 9.3; // three slices, the last of which is short
let server, page, job, asset, complaints;
let exported; // samples of the mix that the page wrote

before(async () => {
  if (skip) return;
  const fill = async (one) => {
    const brought = await one.bring("evening.wav", song(kSeconds));
    return { asset: brought, job: await one.done("separate", [brought.id], { model: "hpss", sample_format: "f32" }) };
  };
  ({ server, page, complaints, filled: { asset, job } } = await begin({ fill }));
  await page.getByRole("link", { name: "Open in the mixer" }).click();
  await page.getByRole("button", { name: "Play" }).waitFor();
});
after(end);

const clock = async () => {
  const [minutes, seconds] = (await page.locator(".clock").innerText()).split(" ")[0].split(":").map(Number);
  return 60 * minutes + seconds;
};
const mixed = (name) => page.getByRole("group", { name, exact: true });

test("stems, their waves and the original are there", { skip }, async () => {
  await page.getByRole("heading", { name: "evening" }).waitFor();
  for (const name of ["harmonic", "percussive"]) await mixed(name).waitFor();
  await page.waitForFunction(() => {
    const drawn = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0);
    return [...document.querySelectorAll("canvas.wave")].length === 3 && [...document.querySelectorAll("canvas.wave")].every(drawn);
  });
});

test("Space plays and pauses, arrows and Home seek, a loop holds what plays", { skip }, async () => {
  await page.locator("main").focus();
  await page.keyboard.press("Space");
  await page.waitForFunction(() => parseFloat(document.querySelector(".clock").innerText.slice(2)) > 0.3);
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => parseFloat(document.querySelector(".clock").innerText.slice(2)) >= 5);
  await page.keyboard.press("Space");
  await page.getByRole("button", { name: "Play" }).waitFor();
  const at = await clock();
  await page.keyboard.press("Home");
  await page.waitForFunction(() => document.querySelector(".clock").innerText.startsWith("0:00.0"));
  assert.ok(at >= 5 && at < kSeconds);
  await page.keyboard.press("Shift+ArrowRight");
  await page.keyboard.press("b");
  await page.getByText("Loop 0:00.00 – 0:01.00").waitFor();
  await page.keyboard.press("Space");
  let highest = 0;
  for (let i = 0; i < 12; ++i) {
    await page.waitForTimeout(150);
    highest = Math.max(highest, await clock());
  }
  assert.ok(highest <= 1.05, `it went to ${highest} s`);
  await page.keyboard.press("x");
  await page.getByText(/^Loop 0/).waitFor({ state: "detached" });
  await page.keyboard.press("Space");
});

test("digits solo and mute; what a solo silences is seen", { skip }, async () => {
  await page.keyboard.press("1");
  assert.equal(await page.getByRole("button", { name: "Solo harmonic" }).getAttribute("aria-pressed"), "true");
  await page.waitForFunction(() => document.querySelectorAll(".lane.silent").length === 1);
  await page.keyboard.press("1");
  await page.keyboard.press("Shift+Digit2");
  assert.equal(await page.getByRole("button", { name: "Mute percussive" }).getAttribute("aria-pressed"), "true");
  await page.keyboard.press("Shift+Digit2");
});

test("zoom goes down to samples and back", { skip }, async () => {
  for (let i = 0; i < 40; ++i) await page.keyboard.press("+");
  await page.keyboard.press("0");
  await page.getByRole("button", { name: "Original" }).click();
  await page.getByText("The original is heard").waitFor();
  await page.keyboard.press("o");
});

test("the export is what an OfflineAudioContext makes of stems and faders", { skip }, async () => {
  await page.getByLabel("Level of harmonic").fill("-6");
  await page.getByLabel("Panorama of harmonic").fill("-0.5");
  await page.getByLabel("Level of percussive").fill("2");
  await page.getByLabel("Panorama of percussive").fill("0.75");
  await page.getByLabel("Level of the mix").fill("-3");
  await page.getByRole("button", { name: "Export…" }).click();
  await page.getByLabel("Samples of the WAV file").selectOption("f32");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save the mix" }).click()]);
  assert.equal(download.suggestedFilename(), "evening - mix.wav");
  const made = readFileSync(await download.path());
  exported = Array.from({ length: (made.length - 44) / 4 }, (_, i) => made.readFloatLE(44 + 4 * i));
  await page.route("**/made.wav", (route) => route.fulfill({ body: made }));
  await page.getByText(/^Its peak is|above full scale/).waitFor();
  assert.deepEqual(await findings(page), []);
  await page.keyboard.press("Escape");
  // The browser's own nodes, whole files and no scheduling at all.
  const db = await page.evaluate(
    async ({ stems, rate, frames }) => {
      const bytes = await (await fetch("/made.wav")).arrayBuffer();
      const offline = new OfflineAudioContext(2, frames, rate);
      for (const { asset, gain, pan } of stems) {
        const source = offline.createBufferSource();
        source.buffer = await offline.decodeAudioData(await (await fetch(`/v1/assets/${asset}/data`)).arrayBuffer());
        const volume = offline.createGain();
        volume.gain.value = 10 ** ((gain - 3) / 20);
        const panner = offline.createStereoPanner();
        panner.pan.value = pan;
        source.connect(volume).connect(panner).connect(offline.destination);
        source.start();
      }
      const wanted = await offline.startRendering();
      const view = new DataView(bytes);
      let signal = 0;
      let error = 0;
      for (let channel = 0; channel < 2; ++channel) {
        wanted.getChannelData(channel).forEach((value, i) => {
          signal += value * value;
          error += (value - view.getFloat32(44 + 8 * i + 4 * channel, true)) ** 2;
        });
      }
      return { signal, db: 10 * Math.log10(signal / Math.max(error, 1e-30)), bytes: bytes.byteLength };
    },
    {
      rate: 44100,
      frames: Math.round(kSeconds * 44100),
      stems: job.outputs.map((output) => (output.name.includes("harmonic") ? { asset: output.asset, gain: -6, pan: -0.5 } : { asset: output.asset, gain: 2, pan: 0.75 })),
    },
  );
  assert.equal(db.bytes, 44 + 8 * Math.round(kSeconds * 44100));
  assert.ok(db.signal > 1 && db.db > 60, `${db.db} dB`);
});

test("a loop is dragged on the ruler, and each of its ends", { skip }, async () => {
  const ruler = page.locator("canvas.ruler");
  await ruler.scrollIntoViewIfNeeded();
  await page.locator("main").focus();
  await page.keyboard.press("0");
  const seconds = Number(/\/ 0:([\d.]+)/.exec(await page.locator(".clock").innerText())[1]);
  const drag = async (from, to) => {
    const box = await ruler.boundingBox(); // lower, once there is a loop
    await page.mouse.move(box.x + from * box.width, box.y + 10);
    await page.mouse.down();
    await page.mouse.move(box.x + to * box.width, box.y + 10, { steps: 4 });
    await page.mouse.up();
  };
  const loop = async () => /Loop 0:([\d.]+) – 0:([\d.]+)/.exec(await page.locator(".transport").innerText()).slice(1).map((text) => Number(text) / seconds);
  const near = (got, wanted) => got.forEach((share, i) => assert.ok(Math.abs(share - wanted[i]) < 0.02, `${got} and ${wanted}`));
  await drag(0.2, 0.6);
  near(await loop(), [0.2, 0.6]);
  await drag(0.6, 0.8);
  near(await loop(), [0.2, 0.8]);
  await drag(0.2, 0.4);
  near(await loop(), [0.4, 0.8]);
  await page.locator("main").focus();
  await page.keyboard.press("x");
  assert.equal(await page.getByText("Loop 0:").count(), 0);
});

// Of what a job made, its channels interleaved.
async function samplesMade({ outputs }, frames) {
  const bytes = Buffer.from(await (await server.ask(`/v1/assets/${outputs[0].asset}/pcm?from=0&frames=${frames}&format=f32`)).arrayBuffer());
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

test("what the server exports is the same mix, all of it and a loop, by keyboard", { skip }, async () => {
  const exportIt = async () => {
    await page.getByRole("button", { name: "Export…" }).focus();
    await page.keyboard.press("Enter");
    await page.getByLabel("Format").selectOption("flac");
    assert.ok(await page.getByLabel("Samples of the WAV file").isDisabled());
    await page.getByRole("button", { name: "Save the mix" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("list", { name: "Mixes of the server" }).getByText("Done").waitFor({ timeout: 30000 });
    assert.deepEqual(await findings(page), []);
    await page.keyboard.press("Escape");
    return (await server.json("/v1/jobs?kind=combine")).jobs[0];
  };
  const whole = await exportIt();
  assert.equal(whole.outputs[0].name, "evening - mix.flac");
  assertAlike(await samplesMade(whole, exported.length / 2), exported);
  await page.locator("main").focus();
  for (const key of ["Home", "Shift+ArrowRight", "a", "Shift+ArrowRight", "b"]) await page.keyboard.press(key);
  await page.getByText("Loop 0:01.00 – 0:02.00").waitFor();
  assertAlike(await samplesMade(await exportIt(), 441000), exported.slice(2 * 44100, 4 * 44100));
  await page.keyboard.press("x");
  await page.keyboard.press("Home");
});

test("what the player schedules is the stems to the sample, over the joints of slices and through a loop", { skip }, async () => {
  const code = await bundled('export { Player } from "../src/audio/player"; export { trackOf } from "../src/ui/console";');
  const result = await page.evaluate(
    async ({ code, stems, frames }) => {
      const { Player, trackOf } = new Function(`${code}; return tested;`)();
      const rate = 44100;
      const whole = [];
      for (const asset of stems) {
        const offline = new OfflineAudioContext(2, 1, rate);
        whole.push(await offline.decodeAudioData(await (await fetch(`/v1/assets/${asset}/data`)).arrayBuffer()));
      }
      // Where the sound stands at each frame of the clock, and what the stems add up to there.
      const compare = async (loop, start, length, at, lead = 0) => {
        const offline = new OfflineAudioContext(2, length, rate);
        const player = new Player(offline, stems.map((asset) => trackOf({ asset, name: asset })), frames);
        if (loop) player.loop.value = loop;
        player.seek(start);
        player.begin();
        player.lead(new Float32Array(lead).fill(0.25)); // a count-in
        await player.schedule(length);
        const heard = await offline.startRendering();
        let signal = 0;
        let error = 0;
        for (let channel = 0; channel < 2; ++channel) {
          heard.getChannelData(channel).forEach((value, i) => {
            const wanted = i < lead ? 0.25 : whole.reduce((sum, stem) => sum + (stem.getChannelData(channel)[at(i)] ?? 0), 0);
            signal += wanted * wanted;
            error += (value - wanted) ** 2;
          });
        }
        return signal > 1 ? 10 * Math.log10(signal / Math.max(error, 1e-30)) : 0;
      };
      const loop = { from: 170000, to: 190001 }; // over a joint of slices at 176400
      return {
        counted: await compare(null, 5000, 30000, (i) => i - 7777 + 5000, 7777),
        through: await compare(null, 1001, frames - 1001, (i) => i + 1001),
        looped: await compare(loop, 160000, 150000, (i) => {
          const position = 160000 + i;
          return position < loop.to ? position : loop.from + ((position - loop.to) % (loop.to - loop.from));
        }),
      };
    },
    { code, stems: job.outputs.map((output) => output.asset), frames: Math.round(kSeconds * 44100) },
  );
  assert.ok(result.counted > 100, `${result.counted} dB`);
  assert.ok(result.through > 100, `${result.through} dB`);
  assert.ok(result.looped > 100, `${result.looped} dB`);
});

// A sound of one channel keeps its power wherever it is put, and is in the middle as it is; what is saved is what is heard.
test("mono goes to a side at equal power, in what is heard and in what is saved", { skip }, async () => {
  const code = await bundled('export { Player } from "../src/audio/player"; export { mixdown } from "../src/audio/mixdown"; export { trackOf } from "../src/ui/console";');
  const worst = await page.evaluate(async (code) => {
    const { Player, mixdown, trackOf } = new Function(`${code}; return tested;`)();
    const rate = 44100;
    const frames = 10000;
    const plane = Float32Array.from({ length: frames }, (_, i) => 0.25 * Math.sin(0.05 * i));
    let worst = 0;
    for (const pan of [-1, -0.4, 0, 0.7, 1]) {
      const track = { ...trackOf({ asset: "none", name: "mono" }), slices: async () => [plane, plane] };
      track.pan.value = pan;
      const offline = new OfflineAudioContext(2, frames, rate);
      const player = new Player(offline, [track], frames);
      player.begin();
      await player.schedule(frames);
      const heard = await offline.startRendering();
      const { blob } = await mixdown([track], { span: { from: 0, to: frames }, rate, master: 0, format: "f32", progress: () => {}, signal: new AbortController().signal });
      const saved = new Float32Array((await blob.arrayBuffer()).slice(44));
      const angle = ((pan + 1) * Math.PI) / 4;
      [Math.cos(angle), Math.sin(angle)].forEach((gain, channel) => {
        const samples = heard.getChannelData(channel);
        for (let i = 0; i < frames; ++i) {
          const wanted = Math.SQRT2 * gain * plane[i];
          worst = Math.max(worst, Math.abs(samples[i] - wanted), Math.abs(saved[2 * i + channel] - wanted));
        }
      });
    }
    return worst;
  }, code);
  assert.ok(worst < 1e-5, `${worst}`);
});

// Hertz of a tone, by where it rises through zero.
function pitchOf(samples, rate = 44100) {
  const rises = [];
  for (let i = 1; i < samples.length; ++i) if (samples[i - 1] < 0 && samples[i] >= 0) rises.push(i - samples[i] / (samples[i] - samples[i - 1]));
  return ((rises.length - 1) * rate) / (rises.at(-1) - rises[0]);
}

test("the shifter changes pitches and keeps times, levels and stereo, by blocks of any size", { skip }, async () => {
  const { PitchShifter, kPitchLatency } = new Function(`${await bundled('export * from "../src/audio/pitch";')}; return tested;`)();
  const run = (ratio, left, right = left, block = 128) => {
    const shifter = new PitchShifter(ratio);
    const out = [new Float32Array(left.length), new Float32Array(left.length)];
    for (let at = 0; at < left.length; at += block) {
      const part = (plane) => plane.subarray(at, at + block);
      shifter.process(part(left), part(right), part(out[0]), part(out[1]));
    }
    return out;
  };
  const tone = (hz) => Float32Array.from({ length: 44100 }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / 44100));
  const low = tone(331);
  const same = run(1, low)[0];
  assert.ok(same.subarray(kPitchLatency).every((value, i) => Math.abs(value - low[i]) < 1e-6));
  for (const semitones of [-12, -7, -1, 1, 4, 12]) {
    const ratio = 2 ** (semitones / 12);
    const [left, right] = run(ratio, low, tone(440));
    const wanted = [331 * ratio, 440 * ratio];
    [left, right].forEach((plane, channel) => {
      const steady = plane.subarray(8000, 40000);
      assert.ok(Math.abs(pitchOf(steady) / wanted[channel] - 1) < 4e-3, `${pitchOf(steady)} Hz, not ${wanted[channel]}`);
      const level = Math.sqrt(steady.reduce((sum, value) => sum + value * value, 0) / steady.length);
      assert.ok(Math.abs(20 * Math.log10(level / (0.5 / Math.SQRT2))) < 1, `${semitones} semitones: ${level}`);
    });
    assert.deepEqual(run(ratio, low, tone(440), 1000), [left, right]);
  }
  // What begins at once is there at once.
  for (const ratio of [0.25, 0.5, 2]) assert.ok(Math.max(...run(ratio, tone(2000))[0].subarray(kPitchLatency, kPitchLatency + 100)) > 0.45, `${ratio}`);
  // Where something begins, it begins still.
  const late = tone(500).map((value, i) => (i < 20000 ? 0 : value));
  for (const ratio of [0.5, 2]) {
    const begins = run(ratio, late)[0].findIndex((value) => Math.abs(value) > 0.1) - kPitchLatency;
    assert.ok(Math.abs(begins - 20000) < 0.03 * 44100, `${begins}`);
  }
});

test("all but drums are transposed, in what is heard and in what is exported", { skip }, async () => {
  const save = async () => {
    await page.getByRole("button", { name: "Export…" }).click();
    await page.getByLabel("Format").selectOption("here");
    await page.getByLabel("Samples of the WAV file").selectOption("f32");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save the mix" }).click()]);
    await page.keyboard.press("Escape");
    const made = readFileSync(await download.path());
    return Array.from({ length: (made.length - 44) / 4 }, (_, i) => made.readFloatLE(44 + 4 * i));
  };
  const right = (samples) => samples.filter((_, i) => i % 2 === 1).slice(44100, 3 * 44100); // one tone alone
  await page.locator("main").focus();
  await page.keyboard.press("1");
  const before = await save();
  await page.getByLabel("Transpose").focus();
  for (let i = 0; i < 7; ++i) await page.keyboard.press("ArrowUp");
  assert.equal(await page.getByLabel("Transpose").inputValue(), "7");
  const raised = await save();
  assert.equal(raised.length, before.length);
  assert.ok(Math.abs(pitchOf(right(raised)) / pitchOf(right(before)) / 2 ** (7 / 12) - 1) < 5e-3, `${pitchOf(right(before))} and ${pitchOf(right(raised))} Hz`);
  await page.locator("main").focus();
  await page.keyboard.press("1");
  await page.keyboard.press("2");
  const beats = await save();
  assert.equal(beats.length, raised.length);
  await page.locator("main").focus();
  await page.keyboard.press("2");
  // The server's is the same, drums and all.
  const byServer = async (more = async () => undefined) => {
    await page.getByRole("button", { name: "Export…" }).click();
    await more();
    await page.getByLabel("Format").selectOption("wav");
    await page.getByLabel("Samples of the WAV file").selectOption("f32");
    await page.getByRole("button", { name: "Save the mix" }).click();
    await page.getByRole("list", { name: "Mixes of the server" }).getByText("Done").waitFor({ timeout: 30000 });
    await page.keyboard.press("Escape");
    return (await server.json("/v1/jobs?kind=combine")).jobs[0];
  };
  const both = await save();
  const made = await byServer();
  assert.deepEqual(made.options.semitones, ["7", "0"]);
  assertAlike(await samplesMade(made, both.length / 2), both);
  // And as fast as it is heard: the pitch of before in twice the time.
  await page.getByLabel("Transpose").selectOption("0");
  await page.locator("main").focus();
  await page.keyboard.press("1");
  await page.getByLabel("Keep pitch").check();
  await page.getByLabel("Speed").selectOption("0.5");
  const slow = await byServer(async () => assert.ok(await page.getByLabel("At the speed that is heard, 0.5 ×").isChecked()));
  const slowed = await samplesMade(slow, 441000);
  assert.ok(Math.abs(pitchOf(right(slowed)) / pitchOf(right(before)) - 1) < 5e-3, `${pitchOf(right(slowed))} Hz`);
  assert.equal((await server.json(`/v1/jobs/${slow.id}/result`)).report.combined.samples, before.length);
  await page.getByLabel("Keep pitch").uncheck();
  const tape = await samplesMade(await byServer(), 441000);
  assert.ok(Math.abs(pitchOf(right(tape)) / pitchOf(right(before)) - 0.5) < 3e-3, `${pitchOf(right(tape))} Hz`);
  await page.getByLabel("Speed").selectOption("1");
  await page.locator("main").focus();
  await page.keyboard.press("1");
  await page.keyboard.press("2");
  assertAlike(beats, await save());
  await page.locator("main").focus();
  await page.keyboard.press("2");
  // Heard: the same shifter on the thread of the sound, and at half the speed the pitch that it has.
  const code = await bundled('export { Player } from "../src/audio/player"; export { trackOf } from "../src/ui/console";');
  const heard = await page.evaluate(
    async ({ code, asset }) => {
      const { Player, trackOf } = new Function(`${code}; return tested;`)();
      const render = async (semitones, keeps, speed) => {
        const offline = new OfflineAudioContext(2, 3 * 44100, 44100);
        const player = new Player(offline, [trackOf({ asset, name: "harmonic" })], 6 * 44100);
        player.speed.value = speed;
        await player.setPitch(semitones, keeps);
        player.begin();
        await player.schedule(3 * 44100);
        return [...(await offline.startRendering()).getChannelData(1).subarray(44100, 2.5 * 44100)];
      };
      return { plain: await render(0, false, 1), raised: await render(7, false, 1), slow: await render(0, true, 0.5), tape: await render(0, false, 0.5) };
    },
    { code, asset: job.outputs.find((output) => output.name.includes("harmonic")).asset },
  );
  const hz = Object.fromEntries(Object.entries(heard).map(([name, samples]) => [name, pitchOf(samples)]));
  assert.ok(Math.abs(hz.raised / hz.plain / 2 ** (7 / 12) - 1) < 5e-3, JSON.stringify(hz));
  assert.ok(Math.abs(hz.slow / hz.plain - 1) < 5e-3 && Math.abs(hz.tape / hz.plain - 0.5) < 5e-3, JSON.stringify(hz));
  await page.getByLabel("Keep pitch").check();
  await page.getByLabel("Speed").selectOption("0.5");
  await page.locator("main").focus();
  await page.keyboard.press("Space");
  await page.waitForFunction(() => parseFloat(document.querySelector(".clock").innerText.slice(2)) > 0.3);
  await page.keyboard.press("Space");
  assert.equal(await page.getByText("can't be changed").count(), 0);
  await page.getByLabel("Keep pitch").uncheck();
  await page.getByLabel("Speed").selectOption("1");
});

test("faders are where they were after a reload", { skip }, async () => {
  await page.reload();
  await page.getByLabel("Level of harmonic").waitFor();
  await page.waitForFunction(() => document.querySelector('[aria-label="Level of harmonic"]').value === "-6");
});

test("a file alone can be heard", { skip }, async () => {
  await page.evaluate((id) => (location.hash = `#/mixer/file/${id}`), asset.id);
  await mixed("evening").waitFor();
});

test("320 pixels are enough, and nothing serious is found, in light and in dark", { skip }, async () => {
  await page.evaluate((id) => (location.hash = `#/mixer/${id}`), job.id);
  await mixed("harmonic").waitFor();
  await suits(page);
  assert.deepEqual(complaints(), []);
});
