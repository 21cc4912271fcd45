import type { Clock } from "../types/mod.ts";
import type { Core } from "../wasm/mod.ts";
import type { HotItemFigures } from "./figures.ts";

const HALF_LIFE_MS = 60_000;
const LOOK_RECORDS = 4096;

/** The items of which a core samples most; the counts halve every minute, so they are those that are hot now. */
export class HotItems {
  #halvedAt: number;
  /** Records since the clock was looked at. */
  #folded = 0;

  constructor(
    readonly core: Pick<Core, "samples" | "readSamples" | "coolSamples">,
    readonly clock: Clock,
  ) {
    this.#halvedAt = clock.monotonic();
  }

  /**
   * Halves the counts when it is time. Looks at the clock once in some thousand records: for a batch of few it would
   * cost more than their samples do.
   */
  afterFold(records: number): void {
    this.#folded += records;
    if (this.#folded >= LOOK_RECORDS) this.#cool();
  }

  #cool(): void {
    this.#folded = 0;
    const halvings = Math.floor((this.clock.monotonic() - this.#halvedAt) / HALF_LIFE_MS);
    if (halvings <= 0) return;
    this.#halvedAt += halvings * HALF_LIFE_MS;
    this.core.coolSamples(2 ** -halvings);
  }

  /** The hottest items. */
  top(count: number): HotItemFigures {
    this.#cool();
    const items = this.core.readSamples().sort((a, b) => b.samples - a.samples).slice(0, count);
    return { samples: this.core.samples, items };
  }
}

/** The hottest items of several workers. */
export function hottestOf(figures: readonly HotItemFigures[], count: number): HotItemFigures {
  return {
    samples: figures.reduce((n, { samples }) => n + samples, 0),
    // An item belongs to one partition, and so to one worker.
    items: figures.flatMap(({ items }) => items).sort((a, b) => b.samples - a.samples)
      .slice(0, count),
  };
}
