import type { PartitionFigures } from "../engine/mod.ts";

/** Outcomes of the partitions of this process while it had them; they only grow. */
export interface Outcomes {
  readonly accepted: number;
  readonly rejected: number;
  readonly invalid: number;
}

/** What was known of a partition at the last look. */
interface Known extends Outcomes {
  /** Records folded with outputs since the partition was taken over. */
  readonly recordsIn: number;
  readonly isReady: boolean;
}

/** What of a partition's figures is counted. */
export type CountedFigures = Pick<
  PartitionFigures,
  "partition" | "recordsIn" | "isReady" | "accepted" | "rejected" | "invalid"
>;

/**
 * Adds up the outcomes that were folded here, for rates. A partition's own counts are over restarts: what it brings
 * when it is recovered, or comes from another process, was no work of this moment.
 */
export class OutcomeCounts {
  #counts: Outcomes = { accepted: 0, rejected: 0, invalid: 0 };
  #known: ReadonlyMap<number, Known> = new Map();

  get counts(): Outcomes {
    return this.#counts;
  }

  /** @param present the partitions that this process has now */
  update(present: readonly CountedFigures[]): void {
    const known = new Map<number, Known>();
    for (const { partition, ...figures } of present) {
      const now = { ...figures, invalid: invalidOf(figures) };
      known.set(partition, now);
      const before = this.#known.get(partition);
      // Until it is ready, or folds with outputs, its checkpoint is restored and what was committed is replayed.
      const counts = before && (before.isReady || before.recordsIn > 0);
      if (counts && now.recordsIn >= before.recordsIn) this.#add(before, now);
    }
    // One that is not here now begins anew when it comes back.
    this.#known = known;
  }

  #add(before: Known, now: Known): void {
    const { accepted, rejected, invalid } = this.#counts;
    this.#counts = {
      accepted: accepted + Math.max(0, now.accepted - before.accepted),
      rejected: rejected + Math.max(0, now.rejected - before.rejected),
      invalid: invalid + Math.max(0, now.invalid - before.invalid),
    };
  }
}

/** Invalid records of a partition, for whatever reason. */
export function invalidOf({ invalid }: Pick<PartitionFigures, "invalid">): number {
  return invalid.reduce((a, b) => a + b, 0);
}
