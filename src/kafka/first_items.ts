// The first records of a topic: by them it is found which partitioner its producers use (find_partitioner.ts).

import { type Codec, decodeBatch, encodeUtf8 } from "../types/mod.ts";
import { readFetched } from "./batches.ts";
import { protocolError } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { decompressBatch } from "./codecs.ts";
import type { PlacedItem } from "./find_partitioner.ts";
import { answeredFetch } from "./look_at_log.ts";
import { partitionNumbers } from "./partition_numbers.ts";
import type { FetchedTopic } from "./protocol/fetch.ts";

/** So many of the first records of a partition are looked at. */
const RECORDS_MAX = 1000;
const FETCH = { maxWaitMs: 0, maxBytes: 262_144, partitionMaxBytes: 262_144 } as const;

/** The items of the first records of a topic, as far as they can be read. */
export async function firstItems(
  client: Pick<KafkaClient, "fetch" | "leaderOf" | "offsets">,
  topic: FetchedTopic,
  partitions: number,
  { codec, batchBytesMax }: { readonly codec: Codec; readonly batchBytesMax: number },
): Promise<PlacedItem[]> {
  const numbers = partitionNumbers(partitions);
  const starts = await client.offsets(topic.name, numbers, "earliest");
  const byLeader = Map.groupBy(numbers, (p) => client.leaderOf(topic.name, p));
  const items: PlacedItem[] = [];
  for (const [leader, led] of byLeader) {
    // One at a time: the bytes of an answer go to the first partitions.
    for (const partition of led) {
      const from = [{ partition, offset: starts.get(partition)! }];
      const [fetched] = await answeredFetch(client, leader, topic, from, FETCH);
      const { errorCode, records, aborted } = fetched!;
      if (errorCode) throw protocolError(errorCode);
      const ids = itemIds(records, aborted, codec, batchBytesMax);
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
