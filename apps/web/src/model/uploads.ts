// Files on their way to the server, by tus 1.0.0: in pieces, so that a broken connection, a server that starts anew, or a
// page that was reloaded costs the last piece at most. After a reload the same file, dropped again, is gone on with.
import { signal } from "@preact/signals";
import { ApiError, problemOf, request, sentence } from "./api";

export interface Upload {
  key: number;
  file: File;
  name: string;
  sent: number; // bytes that the server has, or that are on their way
  state: "waiting" | "sending" | "interrupted" | "done" | "failed" | "given-up";
  error: string;
  asset: string;
}

export const uploads = signal<readonly Upload[]>([]);

const kPiece = 8 << 20; // bytes; what the server brings to the disk at once
const kAtOnce = 2; // of the four unfinished uploads that a client may have
const kStore = "timbre.uploads"; // addresses of unfinished uploads by what tells a file from another
const kTus = { "Tus-Resumable": "1.0.0" };

let nextKey = 1;
const aborts = new Map<number, AbortController>();

function change(key: number, part: Partial<Upload>): void {
  uploads.value = uploads.value.map((upload) => (upload.key === key ? { ...upload, ...part } : upload));
}

function fingerprint(file: File): string {
  return `${file.name}|${file.size}|${file.lastModified}`;
}

function remembered(): Record<string, string> {
  try {
    return JSON.parse(localStorage.getItem(kStore) ?? "{}") as Record<string, string>;
  } catch {
    return {};
  }
}

function remember(file: File, address: string | null): void {
  const all = remembered();
  if (address === null) delete all[fingerprint(file)];
  else all[fingerprint(file)] = address;
  localStorage.setItem(kStore, JSON.stringify(all));
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

async function create(file: File, signal: AbortSignal): Promise<string> {
  const response = await request("/v1/uploads", {
    method: "POST",
    headers: { ...kTus, "Upload-Length": String(file.size), "Upload-Metadata": `filename ${base64(file.name)}` },
    signal,
  });
  return response.headers.get("Location") ?? "";
}

// How many bytes the server has; null where it knows of no such upload.
async function offsetOf(address: string, signal: AbortSignal): Promise<number | null> {
  try {
    const response = await request(address, { method: "HEAD", headers: kTus, signal });
    return Number(response.headers.get("Upload-Offset"));
  } catch (error) {
    if (error instanceof ApiError && error.status > 0 && error.status !== 423) return null;
    throw error;
  }
}

// One piece. XMLHttpRequest, because fetch tells nothing of how far a body is.
function sendPiece(address: string, piece: Blob, offset: number, signal: AbortSignal, told: (sent: number) => void): Promise<{ offset: number; asset: string }> {
  return new Promise((resolve, reject) => {
    const http = new XMLHttpRequest();
    http.open("PATCH", address);
    http.setRequestHeader("Tus-Resumable", "1.0.0");
    http.setRequestHeader("Upload-Offset", String(offset));
    http.setRequestHeader("Content-Type", "application/offset+octet-stream");
    http.upload.onprogress = (event) => told(event.loaded);
    http.onerror = () => reject(new ApiError("The server does not answer.", 0));
    http.onabort = () => reject(new DOMException("given up", "AbortError"));
    http.onload = () => {
      if (http.status >= 200 && http.status < 300) {
        resolve({ offset: Number(http.getResponseHeader("Upload-Offset")), asset: http.getResponseHeader("Timbre-Asset") ?? "" });
      } else {
        void problemOf(new Response(http.responseText, { status: http.status, statusText: http.statusText })).then(reject);
      }
    };
    signal.addEventListener("abort", () => http.abort(), { once: true });
    http.send(piece);
  });
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("given up", "AbortError"));
    });
  });
}

async function run(upload: Upload): Promise<void> {
  const { key, file } = upload;
  const abort = new AbortController();
  aborts.set(key, abort);
  change(key, { state: "sending", error: "" });
  let address = remembered()[fingerprint(file)] ?? "";
  let broken = 0; // times in a row that no answer came
  try {
    for (;;) {
      try {
        let offset = address ? await offsetOf(address, abort.signal) : null;
        if (offset === null) {
          address = await create(file, abort.signal);
          remember(file, address);
          offset = 0;
        }
        let asset = "";
        // A file whose last piece was sent though its answer was lost is gone there; it is sent anew and found to be known.
        do {
          const from: number = offset;
          change(key, { state: "sending", sent: from });
          const answer = await sendPiece(address, file.slice(from, from + kPiece), from, abort.signal, (sent) =>
            change(key, { sent: from + sent }),
          );
          broken = 0;
          offset = answer.offset;
          asset = answer.asset;
        } while (offset < file.size);
        remember(file, null);
        change(key, { state: "done", sent: file.size, asset });
        return;
      } catch (error) {
        // No answer, another that writes to it, or too many at once: later. All else is an answer.
        const passing = error instanceof ApiError && (error.status === 0 || error.status === 423 || error.status === 409 || error.status === 429 || error.status === 503);
        if (!passing) throw error;
        change(key, { state: "interrupted" });
        await wait(Math.min(500 * 2 ** broken++, 8000), abort.signal);
      }
    }
  } catch (error) {
    if (abort.signal.aborted) {
      remember(file, null);
      if (address) void request(address, { method: "DELETE", headers: kTus }).catch(() => undefined);
      change(key, { state: "given-up" });
    } else {
      remember(file, null);
      change(key, { state: "failed", error: sentence(error) });
    }
  } finally {
    aborts.delete(key);
  }
}

const listeners = new Set<(upload: Upload) => void>();
export function onUploaded(listener: (upload: Upload) => void): void {
  listeners.add(listener);
}

let active = 0;
function pump(): void {
  while (active < kAtOnce) {
    const next = uploads.value.find((upload) => upload.state === "waiting");
    if (!next) return;
    ++active;
    void run(next).finally(() => {
      --active;
      const done = uploads.value.find((upload) => upload.key === next.key);
      if (done?.state === "done") for (const listener of listeners) listener(done);
      pump();
    });
  }
}

export function addFiles(files: readonly File[]): void {
  const added = files.map((file): Upload => ({ key: nextKey++, file, name: file.name, sent: 0, state: "waiting", error: "", asset: "" }));
  uploads.value = [...uploads.value.filter((upload) => upload.state !== "done"), ...added];
  pump();
}

export function giveUp(key: number): void {
  const abort = aborts.get(key);
  if (abort) abort.abort();
  else change(key, { state: "given-up" });
}

export function sendAgain(key: number): void {
  change(key, { state: "waiting", error: "" });
  pump();
}

export function dismiss(key: number): void {
  uploads.value = uploads.value.filter((upload) => upload.key !== key);
}

const kMedia = /\.(wav|wave|aiff?|flac|mp3|m4a|aac|ogg|oga|opus|wma|alac|caf|au|mp4|mkv|mov|webm|avi|m4v|mpe?g|ts|w64|amr|ac3|mka)$/i;

function readAll(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  return new Promise((resolve, reject) => {
    const all: FileSystemEntry[] = [];
    const more = () =>
      reader.readEntries((entries) => {
        if (entries.length === 0) resolve(all);
        else {
          all.push(...entries);
          more();
        }
      }, reject);
    more();
  });
}

async function filesBelow(entry: FileSystemEntry, found: File[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    if (kMedia.test(file.name)) found.push(file);
  } else if (entry.isDirectory) {
    for (const inner of await readAll((entry as FileSystemDirectoryEntry).createReader())) await filesBelow(inner, found);
  }
}

// The files of a drop; of folders, those whose names say that they hold sound.
export async function filesOf(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const plain = [...transfer.files];
  if (!entries.some((entry) => entry?.isDirectory)) return plain;
  const found: File[] = [];
  for (const entry of entries) {
    if (!entry) continue;
    if (entry.isFile) found.push(await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
    else await filesBelow(entry, found);
  }
  return found;
}

export function soundFiles(files: FileList): File[] {
  return [...files].filter((file) => kMedia.test(file.name));
}
