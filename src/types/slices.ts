import type { Clock } from "./clock.ts";

/** How long work may hold up all else that runs in its thread. */
const SLICE_MS = 4;
/** Work after which the clock is looked at; about as much as takes half a millisecond. */
const LOOK_UNITS = 32_768;
/** Work after which a slice is over, whatever the clock says. */
const SLICE_UNITS_MAX = 1_048_576;

/**
 * Cuts long work into slices of a few ms, between which the other events of the thread have their turn. A unit of
 * work is about a byte that is looked at once or twice.
 *
 * ```ts
 * import { systemClock } from "./clock.ts";
 * const slices = new Slices(systemClock);
 * for (const line of ["a", "b"]) {
 *   if (slices.isDue(line.length)) await slices.next();
 * }
 * ```
 */
export class Slices {
  #units = 0;
  #unlooked = 0;
  #from: number;

  constructor(readonly clock: Clock) {
    this.#from = clock.monotonic();
  }

  /** Whether the slice is over after so much more work. */
  isDue(units: number): boolean {
    this.#unlooked += units;
    if (this.#unlooked < LOOK_UNITS) return false;
    this.#units += this.#unlooked;
    this.#unlooked = 0;
    return this.#units >= SLICE_UNITS_MAX || this.clock.monotonic() - this.#from >= SLICE_MS;
  }

  /** Lets others have their turn, and begins the next slice. */
  async next(): Promise<void> {
    await this.clock.yield();
    this.#units = this.#unlooked = 0;
    this.#from = this.clock.monotonic();
  }
}
