// The studio: a track is mastered by mouse and by keyboard, and heard beside what it was at one loudness.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { begin, end, findings, missing, overflows, plays, song, suits } from "./support.mjs";

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

test("nothing serious is found, and 320 pixels are enough", { skip }, async () => {
  await suits(page);
  await page.getByRole("link", { name: "Another one" }).click();
  await page.getByRole("heading", { name: "Mastering" }).waitFor();
  assert.deepEqual(await overflows(page), []);
  assert.deepEqual(await findings(page), []);
  assert.deepEqual(complaints(), []);
});
