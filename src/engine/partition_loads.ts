import type { Clock } from "../types/mod.ts";
import type { PartitionFigures } from "./figures.ts";

/** What was folded so long ago counts half. */
const HALF_LIFE_MS = 60_000;
/** A load is known when a partition was looked at for so long. */
const KNOWN_MS = 1000;

interface Load {
  /** As counted at the last look. */
  recordsIn: number;
  lookedAt: number;
  /** Records and time, of which those of long ago count little. */
  records: number;
  ms: number;
}

/**
 * How much is folded of each partition lately, as measured, by which partitions are divided among the workers of a
 * process.
 */
export class PartitionLoads {
  readonly #loads = new Map<number, Load>();
  #lookedAt = -Infinity;

  constructor(readonly clock: Pick<Clock, "monotonic">) {}

  /** Takes figures of the partitions that run now; to be called again and again. */
  look(figures: Iterable<Pick<PartitionFigures, "partition" | "recordsIn">>): void {
    const now = this.clock.monotonic();
    for (const { partition, recordsIn } of figures) {
      const load = this.#loads.get(partition) ?? { recordsIn, lookedAt: now, records: 0, ms: 0 };
      this.#loads.set(partition, load);
      const passedMs = now - load.lookedAt;
      // Who was away for a while, at another process or in recovery, has done nothing that says what its load is.
      if (passedMs > 0 && load.lookedAt === this.#lookedAt) {
        const left = 2 ** (-passedMs / HALF_LIFE_MS);
        // The count begins anew with each recovery.
        const folded = recordsIn < load.recordsIn ? recordsIn : recordsIn - load.recordsIn;
        load.records = load.records * left + folded;
        load.ms = load.ms * left + passedMs;
      }
      load.recordsIn = recordsIn;
      load.lookedAt = now;
    }
    this.#lookedAt = now;
  }

  /** Records of a partition that are folded a second; null = not known, as it was not here for long enough. */
  of(partition: number): number | null {
    const load = this.#loads.get(partition);
    return load && load.ms >= KNOWN_MS ? 1000 * load.records / load.ms : null;
  }
}
