// Whether a log is still the one that was read before. Where brokers have topic ids (KIP-516), those say whether the
// topic is; and the last batch that was read says whether its records are, everywhere: a topic that was created anew,
// or has lost records and was written to since, has another one at its offset, or none.

import { OtherLogError, StopError } from "../log/mod.ts";
import { ErrorCode } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import type { FetchedBatch } from "./batches.ts";
import { firstBatchBytes, readFetched } from "./batches.ts";
import type { BatchCrc } from "./committed_metadata.ts";
import { answeredFetch, endingBefore, ONE_BATCH } from "./look_at_log.ts";
import {
  type FetchedFrom,
  type FetchedPartition,
  type FetchedTopic,
  NO_EPOCH,
} from "./protocol/fetch.ts";
import type { TopicMetadata } from "./protocol/metadata.ts";
import { createdAnew, logCut } from "./topics_view.ts";

/** Bytes of each partition where many are asked for: producers fill batches of 16 KiB by default, some far larger ones. */
const BATCH_BYTES = 128 * 1024;

/** What is asked of a client to know a topic again. */
export type TopicReader = Pick<KafkaClient, "describe" | "fetch" | "leaderOf" | "offsets">;

/** An input topic, and whose it is. */
export interface InputTopic extends FetchedTopic {
  readonly groupId: string;
  /** Queries have no state that depends on the topic. */
  readonly isQueries: boolean;
  /** Its batches may not stay as they were read, and say nothing of the log: it is compacted, or that is not known. */
  readonly isCompacted?: boolean;
}

/** A batch that was read of a partition. */
export interface ReadBatch {
  readonly partition: number;
  readonly batch: BatchCrc;
  /** An offset that was committed with it, which lies in the batch or directly behind; null = none is known. */
  readonly committed: number | null;
  /** The epoch of the leader that is to answer; any, if it is not known. */
  readonly leaderEpoch?: number;
}

/**
 * The same as checkBatch of many partitions: one fetch for each leader, and one more for each partition whose batch is
 * too large to come with the others.
 */
export async function checkBatches(
  client: TopicReader,
  topic: InputTopic,
  read: readonly ReadBatch[],
): Promise<void> {
  const byLeader = Map.groupBy(read, ({ partition }) => client.leaderOf(topic.name, partition));
  await Promise.all([...byLeader].map(async ([nodeId, some]) => {
    const from = some.map(placeOf);
    const maxBytes = some.length * BATCH_BYTES;
    const options = { maxWaitMs: 0, maxBytes, partitionMaxBytes: BATCH_BYTES };
    const partitions = await answeredFetch(client, nodeId, topic, from, options);
    const fetched = new Map(partitions.map((p) => [p.partition, p]));
    await Promise.all(some.map(async (one) => {
      const found = fetched.get(one.partition);
      // Of what does not fit, brokers give nothing.
      if (found?.errorCode || (found && firstOf(found))) return judge(client, topic, one, found);
      await checkBatch(client, topic, one);
    }));
  }));
}

/**
 * Looks whether a partition holds a batch that was read of it: such a batch lies below the end of its log for ever, until
 * retention removes it.
 *
 * @throws {StopError} when it holds another one at that offset, or the committed offset was moved; nothing is said of one
 * that retention has removed
 * @throws {OtherLogError} when the log ends before it: whoever claims looks whether what is committed is there still
 * @throws an error to try again for, while the partition's leader does not show it yet
 */
export async function checkBatch(
  client: TopicReader,
  topic: InputTopic,
  read: ReadBatch,
): Promise<void> {
  const nodeId = client.leaderOf(topic.name, read.partition);
  const [fetched] = await answeredFetch(client, nodeId, topic, [placeOf(read)], ONE_BATCH);
  await judge(client, topic, read, fetched!);
}

/** What a broker says of a partition, which it does not name with it. */
function notComparable({ name }: InputTopic, partition: number, code: number): Error {
  const error = protocolError(code);
  return Object.assign(error, { message: `${name}-${partition}: ${error.message}` });
}

/** Of a partition, as metadata say it, which without epochs of leaders say none. */
export function leaderEpochOf(
  { leaderEpochs }: Pick<TopicMetadata, "leaderEpochs">,
  partition: number,
): number {
  return leaderEpochs[partition] ?? NO_EPOCH;
}

function placeOf({ partition, batch, leaderEpoch = NO_EPOCH }: ReadBatch): FetchedFrom {
  return { partition, offset: batch.baseOffset, leaderEpoch };
}

async function judge(
  client: TopicReader,
  topic: InputTopic,
  { partition, batch: { baseOffset, crc }, committed }: ReadBatch,
  fetched: FetchedPartition,
): Promise<void> {
  const { errorCode } = fetched;
  if (errorCode === ErrorCode.OffsetOutOfRange) {
    // Brokers do not say with it where the log begins; and a leader holds all below its end, shown or not.
    const logStart = (await client.offsets(topic.name, [partition], "earliest")).get(partition)!;
    if (logStart > baseOffset) return;
    throw new OtherLogError(
      `The log of ${topic.name}-${partition} ends before offset ${baseOffset}, of which a batch was read`,
    );
  }
  if (errorCode) throw notComparable(topic, partition, errorCode);
  const found = firstOf(fetched);
  // Its leader does not show it yet.
  if (!found) throw notComparable(topic, partition, ErrorCode.OffsetNotAvailable);
  if (found.baseOffset === baseOffset && found.crc === crc) {
    if (committed === null || isBehind(found, committed)) return;
    throw new StopError(
      `The committed offset ${committed} of group ${topic.groupId} for ${topic.name}-${partition} was moved: its ` +
        `metadata is that of an offset from ${baseOffset + 1} to ${found.lastOffset + 1}`,
      "set it back to where the job stood; the records between would be lost, or executed twice",
    );
  }
  const what =
    `partition ${partition} holds another batch at offset ${baseOffset} than was read there`;
  throw topic.id === null
    ? createdAnew(topic.name, what, null, topic)
    : logCut(topic.name, what, topic);
}

/**
 * Of logs that were shown farther than they are now: a leader that was elected just now shows them as far again once its
 * followers have them.
 *
 * @param shown up to where they were shown
 * @throws {OtherLogError} when one ends before: who waits for what it held waits in vain, and whoever claims looks where it
 * ends
 */
export async function checkEnds(
  client: TopicReader,
  topic: FetchedTopic,
  shown: readonly FetchedFrom[],
): Promise<void> {
  if (shown.length === 0) return;
  const cut = await endingBefore(client, topic, shown);
  const lost = shown.find(({ partition }) => cut.has(partition));
  if (!lost) return;
  throw new OtherLogError(
    `The log of ${topic.name}-${lost.partition} ends before offset ${lost.offset}, up to which it was shown`,
  );
}

/** The first batch that was fetched, if it is whole; what follows is not looked at. */
function firstOf({ records }: FetchedPartition): FetchedBatch | null {
  return readFetched(records.subarray(0, firstBatchBytes(records)), [])[0] ?? null;
}

/** Whether an offset lies in a batch behind its first record, or directly behind the batch. */
function isBehind({ baseOffset, lastOffset }: FetchedBatch, offset: number): boolean {
  return offset > baseOffset && offset <= lastOffset + 1;
}

/**
 * What brokers know of the topic now.
 *
 * @throws {StopError} when it has another id now; an error to try again for when it is not there
 */
export async function lookAtTopic(client: TopicReader, topic: InputTopic): Promise<TopicMetadata> {
  const found = (await client.describe([topic.name])).get(topic.name);
  if (!found) throw protocolError(ErrorCode.UnknownTopicOrPartition);
  if (found.errorCode) throw protocolError(found.errorCode);
  const is = found.id;
  if (topic.id === null || is === null || is === topic.id) return found;
  throw createdAnew(topic.name, `its id was ${topic.id}`, is, topic);
}

/** The batches that were read of partitions, for the last one below an offset. */
export class LastBatches {
  readonly #read = new Map<number, { readonly end: number; readonly batch: BatchCrc }[]>();
  /** Nothing is asked for below, where many batches may be read again before the next commit. */
  readonly #begun = new Map<number, number>();

  /** @param batch the last one below the offset, from which on it is asked for; null = it is not known */
  begin(partition: number, offset: number, batch: BatchCrc | null): void {
    this.#begun.set(partition, offset);
    if (batch) this.set(partition, offset, batch);
  }

  add(partition: number, { baseOffset, lastOffset, crc }: FetchedBatch): void {
    this.set(partition, lastOffset + 1, { baseOffset, crc });
  }

  /** @param end next offset behind the batch */
  set(partition: number, end: number, batch: BatchCrc): void {
    const read = this.#read.get(partition) ?? [];
    const isBelow = end <= (this.#begun.get(partition) ?? -1); // so are those before it
    while (read.length > 0 && (isBelow || read.at(-1)!.end >= end)) read.pop(); // or it was read again
    read.push({ end, batch });
    this.#read.set(partition, read);
  }

  forget(partition: number): void {
    this.#read.delete(partition);
    this.#begun.delete(partition);
  }

  /**
   * The last batch that begins below an offset, which may lie in the middle of it; those before it are forgotten.
   */
  below(partition: number, offset: number): BatchCrc | null {
    const read = this.#read.get(partition) ?? [];
    const at = read.findLastIndex(({ batch }) => batch.baseOffset < offset);
    if (at < 0) return null;
    read.splice(0, at);
    return read[0]!.batch;
  }
}
