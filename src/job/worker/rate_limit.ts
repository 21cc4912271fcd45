import type { Clock } from "../../types/mod.ts";

const INTERVAL_MS = 5000;

/** Lets repeats through once in five seconds per key, and tells how many were held back meanwhile. */
export class RateLimit {
  readonly #last = new Map<string, { at: number; held: number }>();

  constructor(readonly clock: Clock) {}

  /** Null = hold it back; else the number of repeats that were held back since the last one. */
  pass(key: string): number | null {
    const now = this.clock.monotonic();
    const last = this.#last.get(key);
    if (last && now - last.at < INTERVAL_MS) {
      last.held++;
      return null;
    }
    this.#last.set(key, { at: now, held: 0 });
    return last?.held ?? 0;
  }
}
