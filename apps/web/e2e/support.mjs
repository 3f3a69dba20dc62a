// What the tests share: a real server with a folder of its own, a browser, sound that is made here.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, request as httpRequest } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const web = join(dirname(fileURLToPath(import.meta.url)), "..");
export const root = join(web, "../..");
export const program = process.env.TIMBRE_PROGRAM ?? join(root, "build/release/bin/timbre");
const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));

const kTypes = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const kPolicy =
  "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self'; script-src 'self'; " +
  "worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

// Why the tests can't run here; empty where they can.
export function missing() {
  if (!chromium) return "there is no /usr/bin/chromium";
  if (!existsSync(program)) return `there is no ${program}`;
  if (!existsSync(join(web, "node_modules/playwright-core"))) return "apps/web/node_modules is missing: npm ci";
  return "";
}

// `timbre serve` with data of its own. kill() is SIGKILL; start() again gives the same port and data.
export class Server {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "timbre-page-"));
    this.port = 0;
  }
  async start(...more) {
    this.process = spawn(
      program,
      ["serve", "--listen", `127.0.0.1:${this.port}`, "--data", join(this.folder, "data"), "--reserve", "0", "--grace", "0", ...more],
      { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, TIMBRE_OFFLINE: "1", TIMBRE_CACHE: join(this.folder, "cache") } },
    );
    let text = "";
    await new Promise((resolve, reject) => {
      this.process.once("exit", (code) => reject(new Error(`timbre serve ended with ${code}: ${text}`)));
      this.process.stdout.on("data", (bytes) => {
        text += bytes;
        if (/serving at \S+/.test(text)) resolve();
      });
    });
    this.process.removeAllListeners("exit");
    this.port = Number(/serving at http:\/\/[^/]*:(\d+)/.exec(text)[1]);
    this.token = readFileSync(join(this.folder, "data/token"), "utf8").trim().split(" ")[1];
    this.own = `http://127.0.0.1:${this.port}`;
    this.origin = this.own;
    // The page that is in the program; with TIMBRE_PAGE=dist the one that was built since.
    if (process.env.TIMBRE_PAGE === "dist") this.origin = await this.front();
  }
  // dist/ and, behind it, the server.
  async front() {
    this.proxy ??= createServer((incoming, outgoing) => {
      const path = incoming.url.split("?")[0];
      const file = join(web, "dist", path === "/" ? "index.html" : path);
      if (!/^\/(v1\/|healthz|readyz|metrics)/.test(path)) {
        if (!existsSync(file)) return outgoing.writeHead(404).end();
        outgoing.writeHead(200, { "Content-Type": kTypes[extname(file)] ?? "text/plain", "Content-Security-Policy": kPolicy });
        return outgoing.end(readFileSync(file));
      }
      const headers = { ...incoming.headers, host: `127.0.0.1:${this.port}` };
      if (headers.origin) headers.origin = `http://127.0.0.1:${this.port}`;
      const onward = httpRequest({ host: "127.0.0.1", port: this.port, method: incoming.method, path: incoming.url, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode, answer.headers);
        answer.pipe(outgoing);
        answer.on("error", () => outgoing.destroy());
      });
      onward.on("error", () => outgoing.destroy());
      outgoing.on("close", () => onward.destroy());
      incoming.pipe(onward);
    });
    if (!this.proxy.listening) await new Promise((resolve) => this.proxy.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.proxy.address().port}`;
  }
  get address() {
    return `${this.origin}/#token=${this.token}`;
  }
  async kill() {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGKILL");
    await ended;
  }
  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const ended = new Promise((resolve) => this.process.once("exit", resolve));
      this.process.kill("SIGTERM");
      await ended;
    }
    this.proxy?.closeAllConnections();
    this.proxy?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
  ask(path, init = {}) {
    return fetch(this.origin + path, { ...init, headers: { Authorization: `Bearer ${this.token}`, ...init.headers } });
  }
  async json(path, init = {}) {
    const response = await this.ask(path, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }
  async bring(name, bytes) {
    return this.json(`/v1/assets?name=${encodeURIComponent(name)}`, { method: "POST", headers: { "Content-Type": "audio/wav" }, body: bytes });
  }
  async done(kind, inputs, options) {
    let job = await this.json("/v1/jobs", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ kind, inputs, options }) });
    while (!job.ended) job = await this.json(`/v1/jobs/${job.id}?wait=30`);
    if (job.state !== "succeeded") throw new Error(JSON.stringify(job.error));
    return job;
  }
}

export async function launch() {
  const { chromium: browser } = await import("playwright-core");
  const flags = ["--autoplay-policy=no-user-gesture-required", "--disable-gpu"];
  if (process.getuid() === 0) flags.push("--no-sandbox");
  return browser.launch({ executablePath: chromium, args: flags });
}

// The server, the browser and the page of a file of tests, and what must not happen there. `prepare` sees the server before it
// starts, `fill` when it has; `view` is the name of a link. Ended by end().
let browser, server;
export async function begin({ view, prepare, fill }) {
  server = new Server();
  prepare?.(server);
  await server.start();
  const filled = await fill?.(server);
  browser = await launch();
  const page = await (await browser.newContext({ reducedMotion: "reduce" })).newPage();
  const complaints = watched(page);
  await page.goto(server.address);
  if (view) await page.getByRole("link", { name: view, exact: true }).click();
  return { server, page, complaints, filled };
}
export async function end() {
  await browser?.close();
  await server?.stop();
}

// Puts a file where the program of a server looks for a model of the catalogue.
export function installModel({ folder }, model, files) {
  const place = join(folder, "cache/models", model);
  mkdirSync(place, { recursive: true });
  for (const [from, to] of files) copyFileSync(from, join(place, to));
}

// A small network with the parts of a kit, whose weights mean nothing, stands in for the one of the catalogue.
export function installKit(server) {
  const official = join(root, "tests/data/official");
  installModel(server, "mdx23c-drumsep", [
    [join(official, "mdx23c-tiny.ckpt"), "drumsep_5stems_mdx23c_jarredou.ckpt"],
    [join(official, "mdx23c-tiny.yaml"), "config_mdx23c.yaml"],
  ]);
}

// Weights that are kept beside the checkout, where they are.
export const voice = join(root, "../shared/goldens/gtcrn/gtcrn-dns3.tar");
export const installVoice = (server) => installModel(server, "gtcrn-dns3", [[voice, "model_trained_on_dns3.tar"]]);

// A 16-bit stereo file: a beat every half second over two tones, so that there is something to part.
export function song(seconds, rate = 44100) {
  const frames = Math.round(seconds * rate);
  const bytes = Buffer.alloc(44 + frames * 4);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(36 + frames * 4, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(2, 22);
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(rate * 4, 28);
  bytes.writeUInt16LE(4, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write("data", 36);
  bytes.writeUInt32LE(frames * 4, 40);
  let seed = 1;
  for (let i = 0; i < frames; ++i) {
    const beat = (i % (rate / 2)) / rate;
    seed = (seed * 1103515245 + 12345) % 2147483648;
    const hit = 0.5 * Math.exp(-beat * 40) * (seed / 1073741824 - 1);
    const left = hit + 0.2 * Math.sin((2 * Math.PI * 220 * i) / rate);
    const right = hit + 0.2 * Math.sin((2 * Math.PI * 330 * i) / rate);
    bytes.writeInt16LE(Math.round(left * 32000), 44 + 4 * i);
    bytes.writeInt16LE(Math.round(right * 32000), 46 + 4 * i);
  }
  return bytes;
}

const require = createRequire(import.meta.url);
const axeSource = () => readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

// What axe finds that is serious or critical, a line each.
export async function findings(page) {
  await page.evaluate(axeSource());
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return result.violations
    .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
    .map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.target.join(" ")} (${node.failureSummary})`).join("; ")}`);
}

// What lies outside the window to the right, or is cut off by its own box.
export function overflows(page) {
  return page.evaluate(async () => {
    // What follows the window's size by script does so in the next frame, before anything of it is seen.
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const wide = [];
    for (const element of document.querySelectorAll("body *")) {
      if (element.closest(".scroll, .hidden, .skip, .rail ul, svg")) continue;
      const box = element.getBoundingClientRect();
      if (box.width > 0 && box.right > innerWidth + 1) wide.push(`${element.tagName}.${element.className} ${Math.round(box.right)}`);
    }
    return wide;
  });
}

// Nothing serious is found in light and in dark, and 320 pixels are enough.
export async function suits(page) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await findings(page), [], colorScheme);
  }
  await page.setViewportSize({ width: 320, height: 700 });
  assert.deepEqual(await overflows(page), []);
  // A long label squeezes no tick.
  const ticks = await page.locator("input[type=checkbox]").evaluateAll((list) => list.map((one) => one.getBoundingClientRect()).map(({ width, height }) => [width, height]));
  for (const [width, height] of ticks) assert.equal(width, height);
}

// Space begins, the clock goes on from the start, and Space ends it.
export async function plays(page) {
  await page.keyboard.press("Space");
  await page.waitForFunction(() => parseFloat(document.querySelector(".clock").innerText.slice(2)) > 0.3);
  await page.keyboard.press("Space");
}

// Samples of a WAV file of 16 or 24 bits, its channels interleaved.
export function samplesOf(bytes) {
  let at = 12;
  let bits = 16;
  while (bytes.toString("latin1", at, at + 4) !== "data") {
    if (bytes.toString("latin1", at, at + 4) === "fmt ") bits = bytes.readUInt16LE(at + 22);
    at += 8 + bytes.readUInt32LE(at + 4);
  }
  const size = bits / 8;
  return Array.from({ length: bytes.readUInt32LE(at + 4) / size }, (_, i) => bytes.readIntLE(at + 8 + i * size, size) / 2 ** (bits - 1));
}

// Of two lists of samples: as long as each other, not silent, and 60 dB alike.
export function assertAlike(made, wanted) {
  assert.equal(made.length, wanted.length);
  let signal = 0;
  let error = 0;
  wanted.forEach((value, i) => {
    signal += value * value;
    error += (value - made[i]) ** 2;
  });
  const db = 10 * Math.log10(signal / Math.max(error, 1e-30));
  assert.ok(signal > 1 && db > 60, `${db} dB`);
}

// Watches a page for what must not happen: requests to elsewhere, breaches of the policy, errors that nobody caught.
export function watched(page) {
  const wrong = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol.startsWith("http") && url.hostname !== "127.0.0.1") wrong.push(`a request to ${url.host}`);
  });
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security Policy|Content-Security-Policy/.test(message.text())) wrong.push(message.text());
  });
  return () => wrong;
}

// A module of the page's own sources as a script that leaves its exports in `tested`.
export async function bundled(contents) {
  const { build } = await import("esbuild");
  const result = await build({
    stdin: { contents, resolveDir: join(web, "e2e"), loader: "ts" },
    bundle: true,
    format: "iife",
    globalName: "tested",
    jsx: "automatic",
    jsxImportSource: "preact",
    write: false,
  });
  return result.outputFiles[0].text;
}
