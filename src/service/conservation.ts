// Whether nothing was lost or doubled: pairs of figures that are counted apart must be equal, for ever.

import type { ConditionReporter, PartitionFigures } from "../engine/mod.ts";
import type { Check, Conservation } from "./status.ts";

/** Compares the figures of each partition whenever they are looked at. A disagreement stays. */
export class ConservationChecks {
  readonly #broken = new Map<number, { readonly at: number; readonly text: string }>();
  #at = 0;

  constructor(readonly conditions: ConditionReporter) {}

  /** @param at Clock.now() */
  look(partitions: readonly PartitionFigures[], at: number): void {
    this.#at = at;
    for (const figures of partitions) {
      if (this.#broken.has(figures.partition)) continue;
      const text = disagreementOf(figures);
      if (text === null) continue;
      this.#broken.set(figures.partition, { at, text });
      this.conditions.set("conservation", { reason: text, blocks: "nothing" });
    }
  }

  of({ partition, records, stocks }: PartitionFigures): Conservation {
    return {
      records: checkOf(records.outcomes, records.consumed, this.#at),
      stocks: stocks && checkOf(stocks.stock, stocks.accepted, stocks.at),
      broken: this.#broken.get(partition) ?? null,
    };
  }
}

function checkOf(left: number | bigint, right: number | bigint, at: number): Check {
  return { agrees: left === right, left: String(left), right: String(right), at };
}

/** What is wrong, in a sentence; null = both checks agree. */
function disagreementOf({ partition, records, stocks }: PartitionFigures): string | null {
  if (records.outcomes !== records.consumed) {
    return `Partition ${partition} does not add up: ${records.consumed} records were consumed, ` +
      `${records.outcomes} have an outcome; keep its log and checkpoints, and report it`;
  }
  if (stocks && stocks.stock !== stocks.accepted) {
    return `Partition ${partition} does not add up: its stocks are ${stocks.stock} in sum, the ` +
      `accepted quantities ${stocks.accepted}; keep its log and checkpoints, and report it`;
  }
  return null;
}
