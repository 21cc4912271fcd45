// One stream of the service's status per tab. It is closed while nobody looks, opened again afterwards, and tried again
// when it breaks.

import { ApiError, askJson, type JobStatus, type SeriesPoint, streamLines } from "./api.ts";
import type { StatusHistory } from "./api.ts";

export type ConnectionState =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  | { readonly kind: "paused" }
  /** The service answers, and cannot say more now. */
  | { readonly kind: "refused"; readonly reason: string; readonly message: string }
  | { readonly kind: "disconnected"; readonly since: number }
  | { readonly kind: "token"; readonly isWrong: boolean };

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 8000;
/** A stream that says nothing for so long is taken for broken. */
const SILENT_MS = 6000;
/** Points that are kept: ten minutes by the second, an hour by ten. */
const SECONDS_KEPT = 600;
const TENS_KEPT = 360;

export class Connection {
  state: ConnectionState = { kind: "connecting" };
  status: JobStatus | null = null;
  seconds: SeriesPoint[] = [];
  tens: SeriesPoint[] = [];
  #isPaused = false;
  #needsToken = false;
  #attempt = new AbortController();
  #wake: () => void = () => {};
  readonly #listeners: (() => void)[] = [];

  start(): void {
    document.addEventListener("visibilitychange", () => this.#again());
    addEventListener("online", () => this.#again());
    void this.#run();
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  set isPaused(value: boolean) {
    this.#isPaused = value;
    this.#again();
  }

  /** A token is needed: nothing is tried until there is one. */
  needToken(isWrong: boolean): void {
    this.#needsToken = true;
    this.#set({ kind: "token", isWrong });
  }

  tokenGiven(): void {
    this.#needsToken = false;
    this.#set({ kind: "connecting" });
    this.#again();
  }

  #set(state: ConnectionState): void {
    this.state = state;
    for (const listener of this.#listeners) listener();
  }

  /** Ends the stream and the wait for the next attempt. */
  #again(): void {
    this.#attempt.abort();
    this.#wake();
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (true) {
      if (document.hidden || this.#isPaused || this.#needsToken) {
        if (this.#isPaused && !this.#needsToken) this.#set({ kind: "paused" });
        await this.#sleep(null);
        continue;
      }
      const wasLive = await this.#stream();
      failures = wasLive ? 0 : failures + 1;
      if (document.hidden || this.#isPaused || this.#needsToken) continue;
      await this.#sleep(Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** failures));
    }
  }

  #sleep(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === null ? null : setTimeout(resolve, ms);
      this.#wake = () => {
        if (timer !== null) clearTimeout(timer);
        resolve();
      };
    });
  }

  /** @returns whether it brought a status */
  async #stream(): Promise<boolean> {
    const attempt = this.#attempt = new AbortController();
    let wasLive = false;
    let silence = setTimeout(() => attempt.abort(), SILENT_MS);
    try {
      await this.#readHistory(attempt.signal);
      for await (const { status, point } of streamLines(attempt.signal)) {
        clearTimeout(silence);
        silence = setTimeout(() => attempt.abort(), SILENT_MS);
        wasLive = true;
        // Another life of the service has a history of its own.
        const isAnother = this.status !== null && this.status.startedAt !== status.startedAt;
        if (isAnother) await this.#readHistory(attempt.signal);
        this.status = status;
        if (point) this.#add(point);
        this.#set({ kind: "live" });
      }
    } catch (error) {
      if (error instanceof ApiError) {
        const { status, reason, message } = error;
        if (status !== 401) this.#set({ kind: "refused", reason, message });
        return wasLive;
      }
    } finally {
      clearTimeout(silence);
    }
    if (!document.hidden && !this.#isPaused && !this.#needsToken) this.#lost();
    return wasLive;
  }

  async #readHistory(signal: AbortSignal): Promise<void> {
    const history = await askJson<StatusHistory>("/status/history", { signal });
    this.seconds = [...history.seconds];
    this.tens = [...history.tens];
  }

  #lost(): void {
    const since = this.state.kind === "disconnected" ? this.state.since : Date.now();
    this.#set({ kind: "disconnected", since });
  }

  #add(point: SeriesPoint): void {
    if (this.seconds.at(-1)?.at === point.at) return;
    this.seconds.push(point);
    if (this.seconds.length > SECONDS_KEPT) this.seconds.shift();
    // The coarse line goes on with the newest point until the next one in its step.
    const last = this.tens.at(-1);
    if (last && point.at - last.at < 10_000) return;
    this.tens.push(point);
    if (this.tens.length > TENS_KEPT) this.tens.shift();
  }
}
