// The form of a song: words and parts typed, kept through a reload, sent as they stand; a model that is not here is said to
// be missing, in the server's words. (What makes songs takes gigabytes of weights, which no test has.)
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { begin, end, missing, song, suits } from "./support.mjs";

const skip = missing() || false;
let server, page, complaints;

before(async () => {
  if (skip) return;
  ({ server, page, complaints } = await begin({ view: "Song", fill: (one) => one.bring("like this.wav", song(2)) }));
});
after(end);

test("words and parts are typed, by keyboard, and a reload keeps them", { skip }, async () => {
  await page.getByRole("button", { name: "[verse]", exact: true }).focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.id === "lyrics");
  await page.keyboard.type("Rain on the window");
  await page.getByLabel("Style in words").fill("slow piano ballad");
  await page.getByText("Have words written").click();
  await page.getByLabel("What the song is about").fill("summer rain");
  await page.reload();
  assert.equal(await page.getByLabel("Lyrics").inputValue(), "[verse]\nRain on the window");
  assert.equal(await page.getByLabel("Style in words").inputValue(), "slow piano ballad");
  assert.equal(await page.getByLabel("What the song is about").inputValue(), "summer rain");
});

test("two songs are asked for, of one after the other seed, and say what is missing", { skip }, async () => {
  await page.getByLabel("Style like that of").selectOption({ label: "like this.wav" });
  await page.getByLabel("How many to choose from").selectOption("2");
  await page.getByRole("button", { name: "Make 2 of them" }).click();
  const rows = page.getByRole("region", { name: "Songs to choose from" }).getByRole("listitem");
  await rows.filter({ hasText: "seed 1" }).getByText("can't be fetched without network").waitFor({ timeout: 20000 });
  await rows.filter({ hasText: "seed 0" }).getByText("can't be fetched without network").waitFor();
  const { jobs } = await server.json("/v1/jobs?kind=song");
  assert.equal(jobs.length, 2);
  const asset = (await server.json("/v1/assets")).assets.find((one) => one.name === "like this.wav").id;
  for (const job of jobs) {
    assert.equal(job.options.style_text, "slow piano ballad");
    assert.equal(job.options.style_audio.asset, asset);
    const words = await (await server.ask(`/v1/assets/${job.options.lyrics.asset}/data`)).text();
    assert.equal(words, "[verse]\nRain on the window");
  }
});

test("the words are the jobs', and no files of the library", { skip }, async () => {
  await page.getByRole("link", { name: "Library" }).click();
  await page.getByRole("region", { name: "Files" }).getByText("like this.wav").waitFor();
  assert.equal(await page.getByRole("region", { name: "Files" }).getByRole("listitem").count(), 1);
  await page.getByRole("link", { name: "Song", exact: true }).click();
});

test("words can be asked for, and say what is missing", { skip }, async () => {
  await page.getByText("Have words written").click();
  await page.getByLabel("What the song is about").fill("summer rain");
  await page.getByRole("button", { name: "Write", exact: true }).click();
  await page.getByRole("list", { name: "Words being written" }).getByText("can't be fetched without network").waitFor({ timeout: 20000 });
});

test("nothing serious is found, and 320 pixels are enough", { skip }, async () => {
  await suits(page);
  assert.deepEqual(complaints(), []);
});
