// transaction.partitioner=auto: which partitioner the producers of the transactions use. What was found once counts
// for ever, for the state depends on it: it is part of the fold parameters, whose hash every commit carries.

import { StopError } from "../job/mod.ts";
import { type PartitionerName, PARTITIONERS } from "../state/mod.ts";
import { type Codec, decodeBatch, encodeUtf8, partitionOf } from "../types/mod.ts";
import { readFetched } from "./batches.ts";
import { protocolError } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { decompressBatch } from "./codecs.ts";
import type { FetchedTopic } from "./protocol/fetch.ts";

/** Those that are tried, in this order. */
export const CANDIDATES = ["murmur2", "java-hash", "consistent", "fnv1a"] as const;
/** So many of the first records of a partition are looked at. */
const RECORDS_MAX = 1000;
const FETCH = { maxWaitMs: 0, maxBytes: 262_144, partitionMaxBytes: 262_144 } as const;

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

/** The partitioner among those whose fold parameters have one of these hashes; null if none has. */
export function partitionerByHash(
  hashes: ReadonlySet<string>,
  hashOf: (name: PartitionerName) => string,
): PartitionerName | null {
  return CANDIDATES.find((name) => hashes.has(hashOf(name))) ?? null;
}

/** The items of the first records of a topic, as far as they can be read. */
export async function firstItems(
  client: KafkaClient,
  topic: FetchedTopic,
  partitions: number,
  { codec, batchBytesMax }: { readonly codec: Codec; readonly batchBytesMax: number },
): Promise<PlacedItem[]> {
  const numbers = Array.from({ length: partitions }, (_, p) => p);
  const starts = await client.offsets(topic.name, numbers, "earliest");
  const byLeader = Map.groupBy(numbers, (p) => client.leaderOf(topic.name, p));
  const items: PlacedItem[] = [];
  for (const [leader, led] of byLeader) {
    // One at a time: the bytes of an answer go to the first partitions.
    for (const partition of led) {
      const from = [{ partition, offset: starts.get(partition)! }];
      const { errorCode, partitions: [fetched] } = await client.fetch(leader, topic, from, FETCH);
      const failed = errorCode || fetched?.errorCode;
      if (failed) throw protocolError(failed);
      const ids = fetched ? itemIds(fetched.records, fetched.aborted, codec, batchBytesMax) : [];
      items.push(...ids.map((id) => ({ id, partition })));
    }
  }
  return items;
}

function itemIds(
  records: Uint8Array,
  aborted: Parameters<typeof readFetched>[1],
  codec: Codec,
  batchBytesMax: number,
): Uint8Array[] {
  const ids: Uint8Array[] = [];
  for (const { bytes } of readFetched(records, aborted)) {
    for (const { value } of decodeBatch(decompressBatch(bytes, batchBytesMax))) {
      if (ids.length === RECORDS_MAX) return ids;
      try {
        ids.push(encodeUtf8(codec.parseTransactionBytes(value!).itemId));
      } catch {
        // Not a transaction: it says nothing about items.
      }
    }
  }
  return ids;
}
