import type { Clock } from "../types/mod.ts";

/** So far apart two looks at a log may be: what was between them is not known otherwise. A loop looks every two seconds. */
const APART_MS_MAX = 5000;

/** For how long a partition has had no record, as far as that was known throughout. */
export class Idleness {
  #since: number | null = null;
  #lookedAt = 0;

  constructor(readonly clock: Pick<Clock, "monotonic">) {}

  /** There was a record, or it is not known that there was none: the time begins anew. */
  over(): void {
    this.#since = null;
  }

  /** There was none, up to now. @returns ms since when that is so */
  look(): number {
    const now = this.clock.monotonic();
    if (this.#since === null || now - this.#lookedAt > APART_MS_MAX) this.#since = now;
    this.#lookedAt = now;
    return now - this.#since;
  }
}
