// Where a sink in the process goes on in each partition of its topic, as long as they are the logs that it was given.

import { getLogger } from "@logtape/logtape";
import type { OffsetReset } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import { logEnds } from "./claimed_partitions.ts";
import type { BatchCrc, LogIdentity } from "./committed_metadata.ts";
import {
  checkBatch,
  type InputTopic,
  leaderEpochOf,
  lookAtTopic,
  type TopicReader,
} from "./log_identity.ts";
import { ReplacedLogError } from "./topics_view.ts";

const log = getLogger(["stockflow", "kafka"]);

/** What a sink has committed of a partition. */
export interface SinkOffset {
  /** Next offset to be delivered. */
  readonly offset: number;
  /** Of the log that it is of. */
  readonly identity: LogIdentity;
}

/** Where it goes on. */
export interface SinkPlace {
  readonly partition: number;
  /** Next offset to be delivered. */
  readonly offset: number;
  /** Where the log ends. */
  readonly end: number;
  /** Its leader's epoch from before the log was looked at: an election since then is noticed by the first fetch. */
  readonly leaderEpoch: number;
  /** The last batch below the offset; null = none is known. */
  readonly last: BatchCrc | null;
  /** It begins there: nothing that was delivered before is of this log. */
  readonly isBegun: boolean;
}

export interface SinkPlacesOptions {
  readonly client: TopicReader;
  readonly clock: Clock;
  readonly topic: InputTopic;
  readonly partitions: readonly number[];
  /** Name of the sink. */
  readonly name: string;
  /** Where it begins if it has committed nothing of any partition. */
  readonly offsetReset: OffsetReset;
  readonly committed: ReadonlyMap<number, SinkOffset>;
}

/**
 * Where a sink goes on: at its committed offset, if the log is still the one that the offset is of; else with the first
 * record, which is logged. What it was not given of the log before is not there any more, and nothing of the new one is
 * passed over. A partition that has come to the topic begins with its first record, too.
 *
 * @throws {ReplacedLogError} when the topic was created anew just now
 * @throws {OtherLogError} when a log has lost records just now
 * @throws an error to try again for, while a leader is not there
 */
export async function sinkPlaces(options: SinkPlacesOptions): Promise<SinkPlace[]> {
  const { client, clock, topic, partitions, committed } = options;
  const found = await lookAtTopic(client, topic);
  const starts = await client.offsets(topic.name, partitions, "earliest");
  const reached = partitions.map((partition): [number, number] => {
    const known = committed.get(partition);
    return [partition, known && isOfTopic(known, topic) ? known.offset : 0];
  });
  const ends = await logEnds(client, clock, topic, new Map(reached));
  const isNew = committed.size === 0;
  return await Promise.all(partitions.map(async (partition): Promise<SinkPlace> => {
    const leaderEpoch = leaderEpochOf(found, partition);
    const end = ends.get(partition)!;
    const known = committed.get(partition);
    const why = known ? await whyAnother(options, partition, known, end, leaderEpoch) : null;
    if (known && why === null) {
      const { offset, identity: { last } } = known;
      return { partition, offset, end, leaderEpoch, last, isBegun: false };
    }
    if (known) reportAnother(options, partition, known, why!);
    const offset = isNew && options.offsetReset === "latest" ? end : starts.get(partition)!;
    return { partition, offset, end, leaderEpoch, last: null, isBegun: true };
  }));
}

function isOfTopic({ identity: { topicId } }: SinkOffset, { id }: InputTopic): boolean {
  return topicId === null || id === null || topicId === id;
}

/** Why a partition is not the log that an offset is of; null = it is, as far as that is known. */
async function whyAnother(
  { client, topic }: SinkPlacesOptions,
  partition: number,
  known: SinkOffset,
  end: number,
  leaderEpoch: number,
): Promise<string | null> {
  const { offset, identity: { topicId, last } } = known;
  if (!isOfTopic(known, topic)) {
    return `the topic was created anew: its id was ${topicId}, and is ${topic.id} now`;
  }
  if (offset > end) return `it ends at offset ${end}`;
  if (!last || topic.isCompacted) return null;
  try {
    // Tools may set the offset, as long as it is one of this log.
    await checkBatch(client, topic, { partition, batch: last, committed: null, leaderEpoch });
    return null;
  } catch (error) {
    if (error instanceof ReplacedLogError) return error.message;
    throw error;
  }
}

function reportAnother(
  { name, topic: { name: topic } }: SinkPlacesOptions,
  partition: number,
  { offset }: SinkOffset,
  reason: string,
): void {
  log.error(
    "Sink {name}: {topic}-{partition} is not the log any more that it was given up to offset {offset}: {reason}. What " +
      "it was not given of that one is gone; it begins with the first record of this one",
    { name, topic, partition, offset, reason },
  );
}
