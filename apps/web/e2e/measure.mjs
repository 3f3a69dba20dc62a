// Figures, for docs/page.md: how soon a job is heard, how long a wave takes, frames while zooming, and what three hours cost.
// node e2e/measure.mjs [--hours]
import { createReadStream, createWriteStream, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Server, installKit, launch, song } from "./support.mjs";

const server = new Server();
installKit(server);
await server.start();
const browser = await launch();
const page = await (await browser.newContext({ viewport: { width: 1280, height: 1000 } })).newPage();
const session = await page.context().newCDPSession(page);
await session.send("Performance.enable");

async function heap() {
  await session.send("HeapProfiler.collectGarbage");
  const { metrics } = await session.send("Performance.getMetrics");
  return metrics.find(({ name }) => name === "JSHeapUsedSize").value;
}
// What the browser's processes hold together, shared pages divided among them.
function resident() {
  const pids = new Set();
  const children = (pid) => {
    pids.add(pid);
    for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean)) children(Number(child));
  };
  for (const child of readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").split(" ").filter(Boolean)) {
    if (readFileSync(`/proc/${child}/cmdline`, "utf8").includes("chromium")) children(Number(child));
  }
  let sum = 0;
  for (const pid of pids) {
    try {
      sum += 1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]);
    } catch {
      // it has ended meanwhile
    }
  }
  return sum;
}
const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`;

async function stems() {
  const asset = await server.bring("four minutes.wav", song(240));
  const job = await server.done("separate", [asset.id], { model: "mdx23c-drumsep" });
  await page.goto(server.address);
  await page.getByText("Done").first().waitFor();
  const open = () =>
    page.evaluate(async (id) => {
      const drawn = (canvas) => canvas.width > 0 && canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0);
      const frame = () => new Promise(requestAnimationFrame);
      const start = performance.now();
      location.hash = `#/mixer/${id}`;
      let play;
      while (!(play = document.querySelector('button[aria-label="Play"]'))) await frame();
      play.click();
      let sound = 0;
      let wave = 0;
      while (!sound || !wave) {
        await frame();
        const bars = [...document.querySelectorAll(".meter .bar")];
        if (!sound && bars.some((bar) => !/scaleX\(0\)|^$/.test(bar.style.transform))) sound = performance.now() - start;
        const waves = [...document.querySelectorAll(".lane canvas.wave")];
        if (!wave && waves.length > 0 && waves.every(drawn)) wave = performance.now() - start;
      }
      return { sound: Math.round(sound), wave: Math.round(wave) };
    }, job.id);
  console.log("opened for the first time (peaks are computed):", await open());
  for (let i = 0; i < 3; ++i) {
    await page.evaluate(() => (location.hash = "#/library"));
    await page.getByRole("heading", { name: "Library" }).waitFor();
    console.log("opened again, ms to the first sound and to all waves:", await open());
  }
  const zoom = await page.evaluate(async () => {
    const stage = document.querySelector(".stage");
    const box = stage.getBoundingClientRect();
    const frame = () => new Promise(requestAnimationFrame);
    const start = performance.now();
    const times = [];
    for (let i = 0; performance.now() - start < 4000; ++i) {
      stage.dispatchEvent(new WheelEvent("wheel", { deltaY: i % 120 < 60 ? -20 : 20, ctrlKey: true, clientX: box.left + 700, clientY: box.top + 60, bubbles: true, cancelable: true }));
      const before = performance.now();
      await frame();
      times.push(performance.now() - before);
    }
    times.sort((a, b) => a - b);
    return { frames_a_second: Math.round(times.length / 4), median_ms: times[times.length >> 1].toFixed(1), of_100_the_95th_ms: times[Math.floor(0.95 * times.length)].toFixed(1) };
  });
  console.log("zooming over five stems while they play:", zoom);
  await page.getByRole("button", { name: "Pause" }).click();
}

// 44.1 kHz, two channels: just below what one upload may have.
async function hours() {
  const path = join(server.folder, "hours.wav");
  const minute = song(60);
  const out = createWriteStream(path);
  const bytes = (minute.length - 44) * 180;
  const head = Buffer.from(minute.subarray(0, 44));
  head.writeUInt32LE(bytes + 36, 4);
  head.writeUInt32LE(bytes, 40);
  out.write(head);
  for (let i = 0; i < 180; ++i) if (!out.write(minute.subarray(44))) await new Promise((resolve) => out.once("drain", resolve));
  await new Promise((resolve) => out.end(resolve));
  const asset = await server.json("/v1/assets?name=hours.wav", {
    method: "POST",
    headers: { "Content-Type": "audio/wav", "Content-Length": String(statSync(path).size) },
    body: createReadStream(path),
    duplex: "half",
  });
  await page.goto(server.address);
  await page.getByRole("heading", { name: "Library" }).waitFor();
  await page.evaluate((id) => (location.hash = `#/mixer/file/${id}`), asset.id);
  await page.getByRole("button", { name: "Play" }).waitFor({ timeout: 120000 });
  await page.getByRole("button", { name: "Play" }).click();
  await page.locator("main").focus();
  // Twice over it: what the second time costs more than the first is what is never given back.
  for (let i = 0; i <= 25; ++i) {
    await page.getByLabel("Position").fill(String(830 * (i % 13) + (i > 12 ? 415 : 0)));
    for (let k = 0; k < 12; ++k) await page.keyboard.press("+");
    await page.waitForTimeout(3000);
    await page.keyboard.press("0");
    await page.waitForTimeout(500);
    console.log(`at ${(await page.locator(".clock").innerText()).split(" ")[0]}: ${megabytes(await heap())} of scripts, ${megabytes(resident())} of the browser`);
  }
}

await stems();
if (process.argv.includes("--hours")) await hours();
await browser.close();
await server.stop();
