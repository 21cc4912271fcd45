// Where the partitions of a claim stand: what the group has committed, and where their logs begin and end.

import { getLogger } from "@logtape/logtape";
import { type ClaimedPartition, firstPosition, LostError, StopError } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import type { BatchCrc } from "./committed_metadata.ts";
import { fetchCommitted } from "./committed_offsets.ts";
import {
  checkBatches,
  type InputTopic,
  leaderEpochOf,
  lookAtTopic,
  type ReadBatch,
  type TopicReader,
} from "./log_identity.ts";
import { endingBefore } from "./look_at_log.ts";
import type { TopicsView } from "./topics_view.ts";

const log = getLogger(["stockflow", "kafka"]);

/** After a restart of its broker a log may seem to end early for a moment. */
const END_LOOKS = 50;
const END_LOOK_MS = 100;
/** After so many looks it is asked whether records are hidden: whoever claims anew reports what is waited for. */
const HIDDEN_LOOKS = 10;

export interface ClaimOptions {
  readonly facts: { readonly groupId: string };
  /** The topics as they were when it was claimed. */
  readonly view: TopicsView;
  readonly clock: Clock;
  readonly input: string;
  /** Queries: partitions without a committed offset are read from their first record; else that is an error. */
  readonly isQueries: boolean;
}

/**
 * Ends of the logs of partitions. One that is shown only up to before what was committed is looked at for a while; if
 * it reaches that, its records are hidden, and whoever claims waits for them as for a leader. Apache Kafka since 2.2
 * refuses to say an end while a leader does not show all that it was elected with (KIP-207,
 * Partition.fetchOffsetForTimestamp; LEADER_NOT_AVAILABLE to clients like this one), which is waited for as well.
 *
 * @param committed by partition: next offset that the group would read
 * @returns ends, one before what was committed if the log really ends there
 * @throws {LostError} while a log reaches what was committed and does not show it
 */
export async function logEnds(
  client: TopicReader,
  clock: Clock,
  topic: InputTopic,
  committed: ReadonlyMap<number, number>,
): Promise<ReadonlyMap<number, number>> {
  const partitions = [...committed.keys()];
  for (let look = 0;; look++) {
    const ends = await client.offsets(topic.name, partitions, "latest");
    const early = partitions.filter((p) => committed.get(p)! > ends.get(p)!);
    if (early.length === 0) return ends;
    if (look > 0 && look % HIDDEN_LOOKS === 0) {
      await checkNotHidden(client, topic, early.map((p) => [p, committed.get(p)!, ends.get(p)!]));
    }
    if (look === END_LOOKS) return ends;
    await clock.sleep(END_LOOK_MS);
  }
}

/** @param early partitions with what was committed, and up to where their logs are shown */
async function checkNotHidden(
  client: TopicReader,
  topic: InputTopic,
  early: readonly (readonly [partition: number, committed: number, end: number])[],
): Promise<void> {
  // A leader of an epoch that is over may be elsewhere with its log.
  const found = await lookAtTopic(client, topic);
  const from = early.map(([partition, offset]) => ({
    partition,
    offset,
    leaderEpoch: leaderEpochOf(found, partition),
  }));
  const lost = await endingBefore(client, topic, from);
  const hidden = early.filter(([partition]) => !lost.has(partition));
  if (hidden.length === 0) return;
  const which = hidden.map(([partition, offset, end]) =>
    `partition ${partition} up to ${end} alone, where ${offset} was committed`
  );
  throw new LostError(
    `The leaders of ${topic.name} show ${
      which.join(", ")
    }: they have the records, and will show them when their ` +
      "followers have them, too",
  );
}

/** A claimed partition, with the last batch below its offset, as far as it is known. */
export interface KafkaPartition extends ClaimedPartition {
  readonly last: BatchCrc | null;
  /** Its leader's epoch from before the log was looked at: an election since then is noticed by the first fetch. */
  readonly leaderEpoch: number;
}

export function topicOf({ facts: { groupId }, view, input, isQueries }: ClaimOptions): InputTopic {
  return { name: input, id: view.topics[input]?.id ?? null, groupId, isQueries };
}

/**
 * Where partitions stand, except those that are offline.
 *
 * @throws {StopError} when the group has committed nothing of one, or what it committed is not of its log
 */
export async function claimed(
  options: ClaimOptions,
  client: KafkaClient,
  wanted: readonly number[],
  offline: ReadonlyMap<number, unknown>,
): Promise<KafkaPartition[]> {
  const { facts: { groupId }, view, clock, input, isQueries } = options;
  const partitions = wanted.filter((p) => !offline.has(p));
  if (partitions.length === 0) return [];
  const [entries, found] = await Promise.all([
    fetchCommitted(client, clock, {
      groupId,
      topics: [{ topic: input, partitions }],
      view,
      isQueries: (topic) => isQueries && topic === input,
    }),
    lookAtTopic(client, topicOf(options)),
  ]);
  const epochOf = (partition: number) => leaderEpochOf(found, partition);
  const starts = await client.offsets(input, partitions, "earliest");
  const entryOf = (partition: number) => entries.get(input)?.get(partition);
  const committedOf = (partition: number) => entryOf(partition)?.position;
  const offsets = new Map(partitions.map((p) => [p, committedOf(p)?.offset ?? 0]));
  const ends = await logEnds(client, clock, topicOf(options), offsets);
  const read = partitions.flatMap((partition): ReadBatch[] => {
    const entry = entryOf(partition);
    // Recovery stops at a log that ends before what was committed.
    if (!entry?.identity.last || entry.position.offset > ends.get(partition)!) return [];
    return [{
      partition,
      batch: entry.identity.last,
      committed: entry.position.offset,
      leaderEpoch: epochOf(partition),
    }];
  });
  await checkBatches(client, topicOf(options), read);
  return partitions.map((partition): KafkaPartition => {
    const [logStart, logEnd] = [starts.get(partition)!, ends.get(partition)!];
    const committed = committedOf(partition);
    if (!committed && !isQueries) {
      throw new StopError(
        `Group ${groupId} has no committed offset for ${input}-${partition}`,
        "it may have expired; or the topic was created anew; or partitions were added, by which items " +
          "have changed partitions; use another kafka.group.id with an empty file for the state",
      );
    }
    if (isQueries && committed && committed.offset > logEnd) {
      throw new StopError(
        `Queries of ${input}-${partition} were answered up to offset ${committed.offset}, but its log ends at ${logEnd}`,
        "the log lost records: restore it from a copy, or start with --accept-offset, which goes on at its end",
      );
    }
    const first = firstPosition(logStart);
    const isGone = isQueries && committed !== undefined && committed.offset < logStart;
    if (isGone) {
      log.warn(
        "The records of {input}-{partition} from offset {offset} to {last} were removed before they were read: " +
          "they get no answer",
        { input, partition, offset: committed.offset, last: logStart - 1 },
      );
    }
    return {
      partition,
      committed: committed && !isGone ? committed : first,
      logStart,
      logEnd,
      last: isGone ? null : entryOf(partition)?.identity.last ?? null,
      leaderEpoch: epochOf(partition),
    };
  });
}
