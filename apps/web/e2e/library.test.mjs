// From nothing to stems: the token, files brought in by mouse and by keyboard, jobs that run, fail, are cancelled and tried
// again, and what a reload, a server that is killed and an upload that breaks off leave of it.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server, findings, launch, missing, overflows, song, watched } from "./support.mjs";

const skip = missing() || false;
let server, browser, context, page, complaints;

before(async () => {
  if (skip) return;
  server = new Server();
  await server.start();
  browser = await launch();
  context = await browser.newContext({ reducedMotion: "reduce" });
  page = await context.newPage();
  complaints = watched(page);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const row = (section, text) => page.getByRole("region", { name: section }).getByRole("listitem").filter({ hasText: text });

test("a page without a token asks for it, refuses a wrong one and takes the right one", { skip }, async () => {
  await page.goto(server.origin + "/");
  await page.getByLabel("Token").fill("0".repeat(64));
  await page.getByRole("button", { name: "Enter" }).click();
  await page.getByText("the token is not one of this server's.").waitFor();
  await page.getByLabel("Token").fill(server.token);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Library" }).waitFor();
});

test("the address that the server prints opens the page, and the token does not stay in it", { skip }, async () => {
  await context.clearCookies();
  await page.goto("about:blank");
  await page.goto(server.address);
  await page.getByRole("heading", { name: "Library" }).waitFor();
  assert.ok(!page.url().includes(server.token));
});

test("a song is brought in, separated with options from the schema, and its stems are there to download", { skip }, async () => {
  await page.getByLabel("Files to bring in").setInputFiles({ name: "first song.wav", mimeType: "audio/wav", buffer: song(3) });
  const file = row("Files", "first song.wav");
  await file.getByText("0:03 · 44.1 kHz · stereo").waitFor();
  await file.getByRole("button", { name: /Separate first song/ }).click();
  const dialog = page.getByRole("dialog");
  // The usual model isn't here: the form says so and begins with one that is.
  assert.equal(await dialog.getByLabel("Model", { exact: true }).inputValue(), "hpss");
  assert.ok(await dialog.getByRole("option", { name: /htdemucs \(not here, 84 MB\)/ }).count());
  await dialog.getByText(/^More \(\d+\)/).click();
  await dialog.getByLabel("Overlap").fill("3");
  await dialog.getByRole("button", { name: "Start" }).click();
  const refused = await dialog.getByRole("alert").innerText();
  assert.match(refused, /overlap/);
  // The page's sentence is the server's, which is the command line's.
  const asset = (await server.json("/v1/assets")).assets[0].id;
  const said = await server.ask("/v1/jobs", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ kind: "separate", inputs: [asset], options: { model: "hpss", overlap: 3 } }),
  });
  assert.equal(refused, (await said.json()).detail);
  await dialog.getByLabel("Overlap").fill("");
  await dialog.getByRole("button", { name: "Start" }).click();
  const done = row("History", "first song.wav");
  await done.getByText("Done").waitFor();
  await done.getByText("2 files").click();
  const [download] = await Promise.all([page.waitForEvent("download"), done.getByRole("link", { name: "harmonic.wav" }).click()]);
  assert.equal(download.suggestedFilename(), "harmonic.wav");
  const [zip] = await Promise.all([page.waitForEvent("download"), done.getByRole("link", { name: /zip/ }).click()]);
  assert.match(zip.suggestedFilename(), /\.zip$/);
  assert.deepEqual(await findings(page), []);
});

test("a file that is no sound is refused with the server's sentence", { skip }, async () => {
  await page.getByLabel("Files to bring in").setInputFiles({ name: "words.wav", mimeType: "audio/wav", buffer: Buffer.from("no sound at all") });
  await row("Uploads", "words.wav").getByRole("alert").waitFor();
  await page.getByRole("button", { name: "Put the upload of words.wav away" }).click();
});

test("a dropped file is taken wherever it falls", { skip }, async () => {
  const bytes = [...song(1)];
  await page.evaluate((list) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(list)], "dropped.wav", { type: "audio/wav" }));
    const target = document.querySelector("h1");
    for (const type of ["dragenter", "dragover", "drop"]) target.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }, bytes);
  await row("Files", "dropped.wav").waitFor();
});

test("by keyboard alone: choose two files, start their jobs, cancel one, try it again", { skip }, async () => {
  await page.getByLabel("Files to bring in").setInputFiles({ name: "long song.wav", mimeType: "audio/wav", buffer: song(150) });
  await row("Files", "long song.wav").waitFor({ timeout: 20000 });
  const press = (locator, key = "Enter") => locator.press(key);
  await press(page.getByRole("checkbox", { name: "Choose long song.wav" }), "Space");
  await press(page.getByRole("checkbox", { name: "Choose dropped.wav" }), "Space");
  await press(page.getByRole("button", { name: /Do something with them/ }));
  // What is made of all of them is one job.
  await page.getByLabel("What to do").selectOption("combine");
  await page.getByRole("dialog").getByRole("button", { name: "Start", exact: true }).waitFor();
  await page.getByLabel("What to do").selectOption("separate");
  await page.getByRole("dialog").getByLabel("Model", { exact: true }).waitFor();
  await press(page.getByRole("dialog").getByRole("button", { name: "Start 2 jobs" }));
  await press(page.getByRole("button", { name: "Cancel long song.wav" }));
  const long = row("History", "long song.wav");
  await long.getByText("Cancelled").waitFor();
  await row("History", "dropped.wav").getByText("Done").waitFor();
  await press(long.getByRole("button", { name: "Try again: long song.wav" }));
  await row("Queue", "long song.wav").getByRole("progressbar").waitFor();
});

test("a killed server is said to be gone; the page comes back by itself with the job that ran, and after a reload too", { skip }, async () => {
  await server.kill();
  await page.getByText("The connection to the server is lost").waitFor();
  await server.start();
  await page.getByText("The connection to the server is lost").waitFor({ state: "detached", timeout: 20000 });
  await page.reload();
  await row("History", "long song.wav").getByText("Done").waitFor({ timeout: 60000 });
  await row("History", "first song.wav").getByText("Done").waitFor();
});

test("an upload that breaks off with the server goes on where it was", { skip }, async () => {
  // Three pieces; the server goes when the second is on its way, and what it has by then isn't sent again.
  const folder = join(server.folder, "more");
  mkdirSync(folder);
  writeFileSync(join(folder, "huge.wav"), song(110));
  let patches = 0;
  const sent = [];
  await page.route("**/v1/uploads/*", async (route) => {
    if (route.request().method() !== "PATCH") return route.continue();
    sent.push(Number(route.request().headers()["upload-offset"]));
    if (++patches === 2) {
      await server.kill();
      await route.abort("connectionreset");
      setTimeout(() => server.start(), 300);
      return undefined;
    }
    return route.continue();
  });
  await page.getByLabel("Files to bring in").setInputFiles(join(folder, "huge.wav"));
  await page.getByText("Interrupted; goes on by itself").waitFor();
  await row("Files", "huge.wav").waitFor({ timeout: 30000 });
  await page.unroute("**/v1/uploads/*");
  assert.equal(sent.filter((offset) => offset === 0).length, 1, `sent from ${sent}`);
});

test("a job that waits is put first, and back, by keyboard", { skip }, async () => {
  const huge = (await server.json("/v1/assets")).assets.find(({ name }) => name === "huge.wav");
  const submit = (name) =>
    server.json("/v1/jobs", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ kind: "separate", inputs: [{ asset: huge.id, name }], options: { model: "hpss" } }),
    });
  const made = [];
  for (const name of ["one.wav", "two.wav", "three.wav", "four.wav"]) made.push(await submit(name));
  const queue = page.getByRole("region", { name: "Queue" });
  const four = queue.getByRole("listitem").filter({ hasText: "four.wav" });
  await four.getByText(/Waiting, [23] before it/).waitFor();
  await page.getByRole("button", { name: "Do four.wav first" }).focus();
  await page.keyboard.press("Enter");
  await four.getByText("Next in the queue").waitFor();
  await page.getByRole("button", { name: "Put four.wav back among the others" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Put four.wav back among the others" }).waitFor({ state: "detached" });
  for (const { id } of made) await server.ask(`/v1/jobs/${id}`, { method: "DELETE" });
  await four.waitFor({ state: "detached" });
});

test("search finds files and jobs; a job can be removed", { skip }, async () => {
  await page.getByLabel("Search files and jobs").fill("dropped");
  await row("Files", "long song.wav").waitFor({ state: "detached" });
  await page.getByRole("button", { name: /Remove the job .* dropped.wav/ }).click();
  await row("History", "dropped.wav").waitFor({ state: "detached" });
  await page.getByLabel("Search files and jobs").fill("");
});

test("320 pixels are enough, in light and in dark", { skip }, async () => {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width: 320, height: 640 });
    for (const view of ["library", "machine"]) {
      await page.evaluate((to) => (location.hash = `#/${to}`), view);
      await page.getByRole("heading", { level: 1, name: new RegExp(view, "i") }).waitFor();
      assert.deepEqual(await overflows(page), [], view);
      assert.deepEqual(await findings(page), [], `${view}, ${colorScheme}`);
    }
  }
});

test("nothing was asked of another origin, and nothing broke the policy", { skip }, () => {
  assert.deepEqual(complaints(), []);
});
