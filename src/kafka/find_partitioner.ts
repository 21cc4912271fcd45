// transaction.partitioner=auto: which partitioner the producers of the transactions use. What was found once counts
// for ever, for the state depends on it: it is part of the fold parameters, whose hash every commit carries.

import { StopError } from "../log/mod.ts";
import { type PartitionerName, PARTITIONERS } from "../state/mod.ts";
import { partitionOf } from "../types/mod.ts";

/** Those that are tried, in this order. */
export const CANDIDATES = ["murmur2", "java-hash", "consistent", "fnv1a"] as const;

/** An item id, and the partition that it was found in. */
export interface PlacedItem {
  readonly id: Uint8Array;
  readonly partition: number;
}

/**
 * The first partitioner that puts items where they are, one in ten apart.
 *
 * @returns null when there are no items
 * @throws {StopError} when none does
 */
export function partitionerOf(
  items: readonly PlacedItem[],
  partitions: number,
  topic: string,
): PartitionerName | null {
  if (items.length === 0) return null;
  const fits = (name: PartitionerName) =>
    items.filter(({ id, partition }) =>
      partitionOf(PARTITIONERS[name], id, partitions) !== partition
    )
      .length <= items.length / 10;
  const found = CANDIDATES.find(fits);
  if (found) return found;
  throw new StopError(
    `No partitioner that is known here puts the first ${items.length} records of ${topic} where they are by ` +
      `their items: tried ${CANDIDATES.join(", ")}`,
    "all records of an item must be in one partition: let the producers use the item as the key, copy the " +
      "topic by item, or set transaction.partitioner and wrong.partition=deadletter",
  );
}

/**
 * The partitioner among those whose fold parameters have one of these hashes; null if none has.
 *
 * @param hashesOf those of fold parameters with a partitioner, under each version of the fold
 */
export function partitionerByHash(
  hashes: ReadonlySet<string>,
  hashesOf: (name: PartitionerName) => readonly string[],
): PartitionerName | null {
  return CANDIDATES.find((name) => hashesOf(name).some((hash) => hashes.has(hash))) ?? null;
}
