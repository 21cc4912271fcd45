import type { CommittedPosition } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import { ErrorCode } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { callCoordinator } from "./client/retry.ts";
import { type CommittedEntry, decodeMetadata, notReadable } from "./committed_metadata.ts";
import {
  type CommittedOffset,
  offsetFetchExchange,
  type TopicPartitions,
} from "./protocol/offsets.ts";
import { createdAnew, type TopicsView } from "./topics_view.ts";

/** What was committed by topic and partition; partitions without an offset are not in it. */
export type CommittedEntries = ReadonlyMap<string, ReadonlyMap<number, CommittedEntry>>;

export interface FetchCommittedOptions {
  readonly groupId: string;
  readonly topics: readonly TopicPartitions<number>[];
  /** What the topics are now. */
  readonly view: TopicsView;
  /** Whether a topic is that of queries, which has no state. */
  readonly isQueries: (topic: string) => boolean;
  /** Leaves out what was committed of another topic of queries. */
  readonly acceptsNewQueries?: boolean;
}

/** The offsets of a group, -1 = none, once no open transaction can change them any more. */
export async function fetchStable(
  client: KafkaClient,
  clock: Clock,
  groupId: string,
  topics: readonly TopicPartitions<number>[],
): Promise<readonly TopicPartitions<CommittedOffset>[]> {
  return await fetchOffsets(client, clock, groupId, topics, true);
}

/** Whether a group has an offset of any of some partitions, whatever transactions under way will change. */
export async function hasOffsets(
  client: KafkaClient,
  clock: Clock,
  groupId: string,
  topics: readonly TopicPartitions<number>[],
): Promise<boolean> {
  const found = await fetchOffsets(client, clock, groupId, topics, false);
  return found.some(({ partitions }) => partitions.some(({ offset }) => offset >= 0));
}

async function fetchOffsets(
  client: KafkaClient,
  clock: Clock,
  groupId: string,
  topics: readonly TopicPartitions<number>[],
  isStable: boolean,
): Promise<readonly TopicPartitions<CommittedOffset>[]> {
  const exchange = offsetFetchExchange(groupId, topics, isStable);
  return await callCoordinator(client, clock, "group", groupId, async (coordinator) => {
    const answer = await coordinator.connectionPool.send(exchange);
    const codes = answer.topics.flatMap((t) => t.partitions.map((p) => p.errorCode));
    const failed = codes.find((c) => c !== 0 && c !== ErrorCode.UnstableOffsetCommit) ??
      codes.find((c) => c !== 0);
    if (failed) throw protocolError(failed);
    return answer.topics;
  });
}

/**
 * What a group has committed, once no open transaction can change it any more.
 *
 * @throws {StopError} when an offset was committed by something else, or is of another topic of the name
 */
export async function fetchCommitted(
  client: KafkaClient,
  clock: Clock,
  { groupId, topics, view, isQueries, acceptsNewQueries = false }: FetchCommittedOptions,
): Promise<CommittedEntries> {
  const stable = await fetchStable(client, clock, groupId, topics);
  const entries = new Map<string, Map<number, CommittedEntry>>();
  for (const { topic, partitions } of stable) {
    const found = new Map<number, CommittedEntry>();
    for (const { partition, offset, metadata } of partitions) {
      if (offset < 0) continue;
      const entry = read(groupId, topic, partition, offset, metadata);
      const was = entry.identity.topicId;
      const is = view.topics[topic]?.id ?? null;
      if (was !== null && is !== null && was !== is) {
        if (acceptsNewQueries && isQueries(topic)) continue;
        throw createdAnew(topic, `group ${groupId} has committed offset ${offset} of ${was}`, is, {
          groupId,
          isQueries: isQueries(topic),
        });
      }
      found.set(partition, entry);
    }
    entries.set(topic, found);
  }
  return entries;
}

/** The positions of entries alone. */
export function positionsOf(
  entries: ReadonlyMap<number, CommittedEntry> | undefined,
): Map<number, CommittedPosition> {
  return new Map([...entries ?? []].map(([partition, { position }]) => [partition, position]));
}

function read(
  groupId: string,
  topic: string,
  partition: number,
  offset: number,
  metadata: string,
): CommittedEntry {
  const entry = decodeMetadata(offset, metadata);
  if (entry) return entry;
  throw notReadable(
    `The committed offset ${offset} of group ${groupId} for ${topic}-${partition}`,
    metadata,
  );
}
