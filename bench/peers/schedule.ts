// Sending at an even rate, and how long what was sent waited to become visible. A latency counts from the moment when
// something was due to be sent: one who is late does not stop the clock (no coordinated omission).

import { sleep } from "./measure.ts";

const TICK_MS = 5;

/** When each of what is sent at an even rate is due, and how long it waited. */
export class Stopwatch {
  /** In ms by number; NaN = not visible yet. */
  readonly #waited: number[] = [];
  seen = 0;
  doubled = 0;

  /** @param from when the first is due, nearly, as performance.now() says */
  constructor(readonly perSecond: number, readonly from: number) {}

  /** Numbers of those that are due by now and were not taken before. */
  takeDue(until: number): { readonly first: number; readonly count: number } {
    const first = this.sent;
    const count = Math.floor((until - this.from) * this.perSecond / 1000) - first;
    for (let i = 0; i < count; i++) this.#waited.push(NaN);
    return { first, count: Math.max(0, count) };
  }

  get sent(): number {
    return this.#waited.length;
  }

  dueAt(n: number): number {
    return this.from + 1000 * (n + 1) / this.perSecond;
  }

  visible(n: number): void {
    if (!Number.isNaN(this.#waited[n]!)) {
      this.doubled++;
      return;
    }
    this.seen++;
    this.#waited[n] = performance.now() - this.dueAt(n);
  }

  /** Latencies in ms of what is visible and was due from a moment on. */
  latenciesSince(at: number): number[] {
    return this.#waited.filter((ms, n) => !Number.isNaN(ms) && this.dueAt(n) >= at);
  }

  /** Calls with each that is visible: when it was due, and its latency. */
  forEach(of: (dueAt: number, ms: number) => void): void {
    for (const [n, ms] of this.#waited.entries()) if (!Number.isNaN(ms)) of(this.dueAt(n), ms);
  }
}

/**
 * Whether more waits than comes in two commits or checkpoints of an engine, or in a second where that is more: then it
 * is behind, and what is measured is a backlog.
 */
export function isBehind(
  { sent, seen, perSecond }: Pick<Stopwatch, "sent" | "seen" | "perSecond">,
  intervalMs: number,
): boolean {
  return sent - seen > perSecond * Math.max(2 * intervalMs, 1000) / 1000;
}

/** Sends what is due, until a moment; it may change meanwhile. */
export async function send(
  watch: Stopwatch,
  end: number | (() => number),
  some: (first: number, count: number) => Promise<void>,
): Promise<void> {
  const sending: Promise<void>[] = [];
  const endsAt = typeof end === "number" ? () => end : end;
  while (performance.now() < endsAt()) {
    const { first, count } = watch.takeDue(Math.min(endsAt(), performance.now()));
    if (count > 0) sending.push(some(first, count));
    await sleep(TICK_MS);
  }
  await Promise.all(sending);
}
