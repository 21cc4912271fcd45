import type { PartitionFigures } from "../engine/mod.ts";

const COUNTERS = ["accepted", "rejected", "duplicates", "late", "farAhead"] as const;

/**
 * The last known figures of every partition. One that is being recovered reports nothing, and then counts
 * again from its committed position: what was reported of it stays, and counters never go back.
 */
export class KnownPartitions {
  readonly #known = new Map<number, PartitionFigures>();

  update(figures: readonly PartitionFigures[]): void {
    for (const now of figures) {
      const before = this.#known.get(now.partition);
      this.#known.set(now.partition, before ? neverBack(before, now) : now);
    }
  }

  /** By partition. */
  get all(): PartitionFigures[] {
    return [...this.#known.values()].toSorted((a, b) => a.partition - b.partition);
  }
}

function neverBack(before: PartitionFigures, now: PartitionFigures): PartitionFigures {
  const counters = COUNTERS.map((name) => [name, Math.max(before[name], now[name])]);
  const invalid = now.invalid.map((n, i) => Math.max(n, before.invalid[i] ?? 0));
  // The duration of the last checkpoint is known to the one who took it alone.
  const checkpointMs = now.checkpointMs ?? before.checkpointMs;
  return { ...now, ...Object.fromEntries(counters), invalid, checkpointMs };
}
