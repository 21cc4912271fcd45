import type { Clock } from "../types/mod.ts";
import type { HotItemFigures } from "./figures.ts";

/** Items that are counted at a time. */
const KEPT = 512;
/** From so many on those that were sampled least are forgotten. */
const ITEMS_MAX = 2048;
const HALF_LIFE_MS = 60_000;

/**
 * Counts samples of items (lossy counting): what is hot stays, what came once or twice is forgotten when there are too
 * many. The counts halve every minute, so the list is of what is hot now.
 */
export class HotItems {
  readonly #counts = new Map<string, number>();
  #samples = 0;
  #halvedAt: number;

  constructor(readonly clock: Clock) {
    this.#halvedAt = clock.monotonic();
  }

  add(ids: readonly string[]): void {
    if (ids.length === 0) return;
    this.#halve();
    for (const id of ids) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    this.#samples += ids.length;
    if (this.#counts.size > ITEMS_MAX) this.#forget();
  }

  /** The hottest items. */
  top(count: number): HotItemFigures {
    this.#halve();
    const items = this.#sorted().slice(0, count)
      .map(([itemId, samples]) => ({ itemId, samples }));
    return { samples: this.#samples, items };
  }

  #sorted(): [string, number][] {
    return [...this.#counts].sort(([, a], [, b]) => b - a);
  }

  /** Those that were sampled least go, in passes over all: sorting them would cost more than all else. */
  #forget(): void {
    for (let least = 1; this.#counts.size > KEPT; least *= 2) {
      for (const [id, count] of this.#counts) if (count <= least) this.#counts.delete(id);
    }
  }

  #halve(): void {
    const halvings = Math.floor((this.clock.monotonic() - this.#halvedAt) / HALF_LIFE_MS);
    if (halvings <= 0) return;
    this.#halvedAt += halvings * HALF_LIFE_MS;
    const factor = 2 ** -halvings;
    this.#samples *= factor;
    for (const [id, count] of this.#counts) {
      if (count * factor < 0.25) this.#counts.delete(id);
      else this.#counts.set(id, count * factor);
    }
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
