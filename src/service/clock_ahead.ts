// Partitions whose records are of the future: one of them moves windows, and with them what is late, for all that follow.

import type { ConditionReporter, PartitionFigures } from "../engine/mod.ts";

/** A clock that is wrong by no more is a time zone. */
const AHEAD_MS_MAX = 86_400_000;

/** How far the largest record timestamp of a partition is ahead of the clock, in ms. */
export function clockAheadOf({ largestTimestamp }: PartitionFigures, now: number): number {
  return Math.max(0, (largestTimestamp ?? 0) - now);
}

/** Sets the condition "clock" while a partition is more than a day ahead of the clock. */
export function lookAtClocks(
  conditions: ConditionReporter,
  partitions: readonly PartitionFigures[],
  now: number,
): void {
  const ahead = partitions.filter((p) => clockAheadOf(p, now) > AHEAD_MS_MAX);
  if (ahead.length === 0) return conditions.clear("clock");
  const [{ partition, largestTimestamp }] = ahead as [PartitionFigures];
  const others = ahead.length > 1 ? `, and ${ahead.length - 1} others` : "";
  conditions.set("clock", {
    reason:
      `a record of partition ${partition}${others} is of ${
        dateOf(largestTimestamp!)
      }, more than a day ahead: ` +
      "windows by record timestamps have moved there, and summaries wait until then; look at the producers' clocks",
    blocks: "nothing",
  });
}

/** Versions before took what no date can be. */
function dateOf(ms: number): string {
  const date = new Date(ms);
  return isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
}
