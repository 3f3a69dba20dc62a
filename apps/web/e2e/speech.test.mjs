// Speech: a file is cleaned, heard before, after and what was taken away; the limit of the page is that of the command.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { assertAlike, begin, end, installVoice, missing, overflows, plays, samplesOf, song, suits, voice } from "./support.mjs";

const skip = missing() || (existsSync(voice) ? false : `there is no ${voice}`);
let server, page, complaints, asset;

before(async () => {
  if (skip) return;
  ({ server, page, complaints, filled: asset } = await begin({ view: "Speech", prepare: installVoice, fill: (one) => one.bring("call.wav", song(4, 16000)) }));
});
after(end);

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
  await plays(page);
});

test("what is saved at 12 dB is what the job makes with --atten-lim 12", { skip }, async () => {
  await page.getByLabel("Lower noise by at most").fill("12");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save what is heard" }).click()]);
  const made = samplesOf(readFileSync(await download.path()));
  const job = await server.done("denoise", [asset.id], { model: "gtcrn-dns3", atten_lim: 12, sample_format: "s24" });
  const wanted = samplesOf(Buffer.from(await (await server.ask(job.outputs[0].link)).arrayBuffer()));
  assertAlike(made, wanted);
});

test("nothing serious is found, and 320 pixels are enough", { skip }, async () => {
  await suits(page);
  await page.goBack();
  assert.deepEqual(await overflows(page), []);
  assert.deepEqual(complaints(), []);
});
