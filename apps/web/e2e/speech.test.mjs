// Speech: a file is cleaned, heard before, after and what was taken away; the limit of the page is that of the command.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, findings, launch, missing, overflows, root, song, watched } from "./support.mjs";

const weights = join(root, "../shared/goldens/gtcrn/gtcrn-dns3.tar");
const skip = missing() || (existsSync(weights) ? false : `there is no ${weights}`);
let server, browser, page, complaints, asset;

before(async () => {
  if (skip) return;
  server = new Server();
  const folder = join(server.folder, "cache/models/gtcrn-dns3");
  mkdirSync(folder, { recursive: true });
  copyFileSync(weights, join(folder, "model_trained_on_dns3.tar"));
  await server.start();
  asset = await server.bring("call.wav", song(4, 16000));
  browser = await launch();
  page = await (await browser.newContext({ reducedMotion: "reduce" })).newPage();
  complaints = watched(page);
  await page.goto(server.address);
  await page.getByRole("link", { name: "Speech" }).click();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

// Samples of a WAV file of 16 or 24 bits, and the place of a channel's.
function samples(bytes) {
  let at = 12;
  let bits = 16;
  while (bytes.toString("latin1", at, at + 4) !== "data") {
    if (bytes.toString("latin1", at, at + 4) === "fmt ") bits = bytes.readUInt16LE(at + 22);
    at += 8 + bytes.readUInt32LE(at + 4);
  }
  const size = bits / 8;
  const count = bytes.readUInt32LE(at + 4) / size;
  return Array.from({ length: count }, (_, i) => bytes.readIntLE(at + 8 + i * size, size) / 2 ** (bits - 1));
}

test("a file is cleaned by keyboard alone, and heard before and after", { skip }, async () => {
  await page.getByLabel("File to clean").focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  const start = page.getByRole("dialog").getByRole("button", { name: "Start" });
  await page.waitForFunction(() => document.querySelector("dialog button[type=submit]:not(:disabled)"));
  await start.focus();
  await page.keyboard.press("Enter");
  // The job is shown, and when it is done, so is what came of it.
  await page.getByRole("group", { name: "After", exact: true }).waitFor({ timeout: 30000 });
  await page.locator("main").focus();
  for (const [key, name] of [["1", "Before"], ["3", "What was taken away"], ["2", "After"]]) {
    await page.keyboard.press(key);
    assert.equal(await page.getByRole("button", { name, exact: true }).getAttribute("aria-pressed"), "true");
  }
  await page.keyboard.press("Space");
  await page.waitForFunction(() => parseFloat(document.querySelector(".clock").innerText.slice(2)) > 0.3);
  await page.keyboard.press("Space");
});

test("what is saved at 12 dB is what the job makes with --atten-lim 12", { skip }, async () => {
  await page.getByLabel("Lower noise by at most").fill("12");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save what is heard" }).click()]);
  const made = samples(readFileSync(await download.path()));
  const job = await server.done("denoise", [asset.id], { model: "gtcrn-dns3", atten_lim: 12, sample_format: "s24" });
  const wanted = samples(Buffer.from(await (await server.ask(job.outputs[0].link)).arrayBuffer()));
  assert.equal(made.length, wanted.length);
  let signal = 0;
  let error = 0;
  wanted.forEach((value, i) => {
    signal += value * value;
    error += (value - made[i]) ** 2;
  });
  const db = 10 * Math.log10(signal / Math.max(error, 1e-30));
  assert.ok(signal > 1 && db > 60, `${db} dB`);
});

test("nothing serious is found, and 320 pixels are enough", { skip }, async () => {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await findings(page), [], colorScheme);
  }
  await page.setViewportSize({ width: 320, height: 700 });
  assert.deepEqual(await overflows(page), []);
  await page.goBack();
  assert.deepEqual(await overflows(page), []);
  assert.deepEqual(complaints(), []);
});
