import type { CommittedPosition } from "../log/mod.ts";
import { StopError } from "../job/errors.ts";
import type { Clock } from "../types/mod.ts";
import { ErrorCode } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { callCoordinator } from "./client/retry.ts";
import { decodeMetadata } from "./committed_metadata.ts";
import { offsetFetchExchange, type TopicPartitions } from "./protocol/offsets.ts";

/** Committed positions by topic and partition; partitions without one are not in it. */
export type CommittedPositions = ReadonlyMap<string, ReadonlyMap<number, CommittedPosition>>;

/**
 * The committed positions of a group, once no open transaction can change them any more.
 *
 * @throws {StopError} when an offset was committed by something else
 */
export async function fetchCommitted(
  client: KafkaClient,
  clock: Clock,
  groupId: string,
  topics: readonly TopicPartitions<number>[],
): Promise<CommittedPositions> {
  const exchange = offsetFetchExchange(groupId, topics);
  const answer = await callCoordinator(client, clock, "group", groupId, async (coordinator) => {
    const answer = await coordinator.connectionPool.send(exchange);
    const codes = answer.topics.flatMap((t) => t.partitions.map((p) => p.errorCode));
    const failed = codes.find((c) => c !== 0 && c !== ErrorCode.UnstableOffsetCommit) ??
      codes.find((c) => c !== 0);
    if (failed) throw protocolError(failed);
    return answer;
  });
  const positions = new Map<string, Map<number, CommittedPosition>>();
  for (const { topic, partitions } of answer.topics) {
    const found = new Map<number, CommittedPosition>();
    for (const { partition, offset, metadata } of partitions) {
      if (offset < 0) continue;
      found.set(partition, read(groupId, topic, partition, offset, metadata));
    }
    positions.set(topic, found);
  }
  return positions;
}

function read(
  groupId: string,
  topic: string,
  partition: number,
  offset: number,
  metadata: string,
): CommittedPosition {
  const position = decodeMetadata(offset, metadata);
  if (position) return position;
  throw new StopError(
    `The committed offset ${offset} of group ${groupId} for ${topic}-${partition} is not of this job: ` +
      `its metadata is ${JSON.stringify(metadata)}`,
    "a tool has set it, and so the state up to there is not known; use another kafka.group.id with an " +
      "empty file for the state, or remove the group's offsets to start from the beginning",
  );
}
