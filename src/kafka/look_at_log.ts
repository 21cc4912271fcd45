// What is asked of logs by those who do not read on in them. Each partition has its answer.

import { ErrorCode } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import type {
  FetchedFrom,
  FetchedPartition,
  FetchedTopic,
  FetchOptions,
} from "./protocol/fetch.ts";

/** Bytes that a fetch asks for when one batch is enough: brokers give a whole one at least. */
export const ONE_BATCH = { maxWaitMs: 0, maxBytes: 1, partitionMaxBytes: 1 } as const;

/** So often a fetch may be held back by a quota before others try again; kafkajs waits in between as long as it is to. */
const HELD_BACK_MAX = 10;

/**
 * Fetches until there is an answer: where a quota is used up, brokers give nothing of any partition (KIP-219), which
 * says nothing of their logs.
 *
 * @param patienceMs of waits that the broker asks for; who is waited for may not have as much time as a job has
 * @throws an error to try again for, when a quota holds it back for longer
 */
export async function answeredFetch(
  client: Pick<KafkaClient, "fetch">,
  nodeId: string,
  topic: FetchedTopic,
  from: readonly FetchedFrom[],
  options: FetchOptions,
  patienceMs = Infinity,
): Promise<readonly FetchedPartition[]> {
  for (let asked = 1, waitedMs = 0;; asked++) {
    const answer = await client.fetch(nodeId, topic, from, options);
    const { errorCode, partitions, clientSideThrottleTime: throttledMs } = answer;
    if (errorCode) throw protocolError(errorCode);
    if (partitions.length > 0) return partitions;
    waitedMs += throttledMs;
    if (asked === HELD_BACK_MAX || waitedMs > patienceMs) throw heldBack(throttledMs);
  }
}

/** A broker whose quota an answer would exceed gives an empty one, and its time. */
export function heldBack(ms: number): Error {
  return Object.assign(protocolError(ErrorCode.OffsetNotAvailable), {
    message:
      `a quota of the broker holds this client back for ${ms} ms (consumer_byte_rate, request_percentage)`,
  });
}

/**
 * Those partitions whose logs end before an offset. A leader that was elected just now holds what is committed, and does
 * not show it before its followers have it too: fetched from an offset that it holds, it answers with nothing, and says
 * that the offset is out of range only if its log ends before (Apache Kafka: Log.read of 2.5, LocalLog.read since 3.0; it
 * compares with the log's end, and what is not to be shown yet, also as a transaction is open, is an empty answer).
 *
 * @param from offsets that do not lie before the start of the log
 * @throws an error to try again for, while a leader does not answer, or is another one than was thought
 */
export async function endingBefore(
  client: Pick<KafkaClient, "fetch" | "leaderOf">,
  topic: FetchedTopic,
  from: readonly FetchedFrom[],
): Promise<ReadonlySet<number>> {
  const byLeader = Map.groupBy(from, ({ partition }) => client.leaderOf(topic.name, partition));
  const answers = await Promise.all(
    [...byLeader].map(([nodeId, some]) => answeredFetch(client, nodeId, topic, some, ONE_BATCH)),
  );
  const ending = new Set<number>();
  for (const { partition, errorCode } of answers.flat()) {
    if (errorCode === ErrorCode.OffsetOutOfRange) ending.add(partition);
    else if (errorCode) throw protocolError(errorCode);
  }
  return ending;
}

/** Where the log of a partition begins and ends. */
export interface LogBounds {
  readonly start: number;
  readonly end: number;
}

/** Where logs begin and end, which brokers do not say when they refuse an offset that lies outside. */
export async function logBounds(
  client: Pick<KafkaClient, "offsets">,
  topic: string,
  partitions: readonly number[],
): Promise<ReadonlyMap<number, LogBounds>> {
  const starts = await client.offsets(topic, partitions, "earliest");
  const ends = await client.offsets(topic, partitions, "latest");
  return new Map(partitions.map((p) => [p, { start: starts.get(p)!, end: ends.get(p)! }]));
}
