// Requests to the server that gave this page. Errors carry its sentence, which is the command line's.
import { signal } from "@preact/signals";

export interface ProblemPart {
  pointer: string;
  message: string;
}

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number, // 0: no answer came
    readonly parts: readonly ProblemPart[] = [],
  ) {
    super(message);
  }
}

// Whether the server wants a token that this page has not shown it.
export const locked = signal(false);

const kNoAnswer = "The server does not answer.";
const kMostTries = 8; // of a request that came too soon

function pause(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

export async function problemOf(response: Response): Promise<ApiError> {
  try {
    const problem = (await response.json()) as { detail?: string; errors?: ProblemPart[] };
    return new ApiError(problem.detail ?? response.statusText, response.status, problem.errors ?? []);
  } catch {
    return new ApiError(`${response.status} ${response.statusText}`, response.status);
  }
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  for (let attempt = 1; ; ++attempt) {
    let response: Response;
    try {
      response = await fetch(path, { credentials: "same-origin", ...init });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError(kNoAnswer, 0);
    }
    if (response.ok) return response;
    // Too many at once, or what is asked for is still being computed.
    const later = response.status === 429 || (response.status === 503 && response.headers.has("Retry-After"));
    if (later && attempt < kMostTries && (init.method ?? "GET") === "GET") {
      await pause(Number(response.headers.get("Retry-After") ?? 1));
      continue;
    }
    if (response.status === 401) locked.value = true;
    throw await problemOf(response);
  }
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await request(path, signal ? { signal } : {})).json()) as T;
}

export async function sendJson<T>(method: string, path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> {
  const response = await request(path, {
    method,
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export async function send(method: string, path: string): Promise<void> {
  await request(path, { method });
}

// Shows the server a token; the cookie that it answers with is what an EventSource can show.
export async function openSession(token: string): Promise<void> {
  await request("/v1/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  locked.value = false;
}

export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
