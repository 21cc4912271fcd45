// What the page asks the service for. The token, if there is one, travels in a header alone: URLs stand in histories
// and logs.

import type { CheckpointEvent } from "../state/checkpoint_event.ts";
import type { HotItemFigures } from "../engine/figures.ts";
import type { JobStatus, SeriesPoint, StatusHistory } from "../service/status.ts";

export type { CheckpointEvent, HotItemFigures, JobStatus, SeriesPoint, StatusHistory };

/** A line of /status/stream. */
export interface Line {
  readonly status: JobStatus;
  readonly point: SeriesPoint | null;
}

export interface Savepoint {
  readonly name: string;
  readonly at: number;
  readonly partitions: readonly ({ sequence: number; offset: number; items: number } | null)[];
}

export interface ConfigurationEntry {
  readonly key: string;
  /** Null = a secret that is set. */
  readonly value: string | null;
  readonly default: string;
  readonly help: string;
  readonly allowed: string;
}

/** Bytes that are text, or not. */
export type Text = string | { readonly base64: string } | null;

export interface LogRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Text;
  readonly value: Text;
  readonly headers: readonly { readonly key: string; readonly value: Text }[];
}

export interface LogPage {
  readonly start: number;
  readonly end: number;
  readonly next: number;
  readonly records: readonly LogRecord[];
}

export interface LogTopic {
  readonly topic: string;
  readonly partitions: readonly { readonly start: number; readonly end: number }[];
}

/** An answer other than 200, with its reason for programs. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(readonly status: number, readonly reason: string, message: string) {
    super(message);
  }
}

const TOKEN = "stockflow-token";

/** The token of this tab, kept until the tab is closed. */
export const token = {
  get(): string | null {
    return sessionStorage.getItem(TOKEN);
  },
  set(value: string): void {
    sessionStorage.setItem(TOKEN, value);
  },
  forget(): void {
    sessionStorage.removeItem(TOKEN);
  },
};

/** Is called when the service asks for a token, or refuses the one it was given. */
let onTokenNeeded: (isWrong: boolean) => void = () => {};

export function whenTokenIsNeeded(call: (isWrong: boolean) => void): void {
  onTokenNeeded = call;
}

/** @throws {ApiError} for an answer that is not a success; {TypeError} when nobody answers */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const own = token.get();
  const headers = new Headers(init.headers);
  if (own !== null) headers.set("authorization", `Bearer ${own}`);
  const response = await fetch(path, { ...init, headers, credentials: "omit", cache: "no-store" });
  if (response.ok) return response;
  if (response.status === 401) {
    token.forget();
    onTokenNeeded(own !== null);
  }
  const text = await response.text();
  let error = { reason: "unknown", message: `The service answered ${response.status}` };
  try {
    error = { ...error, ...JSON.parse(text).error };
  } catch {
    // A proxy in between speaks otherwise.
  }
  throw new ApiError(response.status, error.reason, error.message);
}

export async function askJson<T>(path: string, init: RequestInit = {}): Promise<T> {
  return await (await ask(path, init)).json();
}

/** Reads the lines of /status/stream until they end or the signal is aborted. */
export async function* streamLines(signal: AbortSignal): AsyncGenerator<Line> {
  const response = await ask("/status/stream", { signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (text + value).split("\n");
    text = lines.pop()!;
    // Only the newest of those that came together is of use.
    const last = lines.at(-1);
    if (last !== undefined) yield JSON.parse(last);
  }
}
