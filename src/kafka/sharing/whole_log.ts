import { StopError } from "../../log/mod.ts";
import type { Clock } from "../../types/mod.ts";
import type { KafkaClient } from "../client/kafka_client.ts";
import { fetchCommitted } from "../committed_offsets.ts";
import type { TopicsView } from "../topics_view.ts";

/**
 * Checks that a partition can go to a process without checkpoints of it: that one folds the log from where the state
 * began.
 *
 * @throws {StopError} when the log does not go back so far
 */
export async function checkWholeLog(
  client: KafkaClient,
  clock: Clock,
  groupId: string,
  topic: string,
  view: TopicsView,
): Promise<void> {
  const partitions = Array.from({ length: view.topics[topic]!.partitions }, (_, p) => p);
  const committed = await fetchCommitted(client, clock, {
    groupId,
    topics: [{ topic, partitions }],
    view,
    isQueries: () => false,
  });
  const starts = await client.offsets(topic, partitions, "earliest");
  for (const [partition, { position: { start } }] of committed.get(topic) ?? []) {
    const logStart = starts.get(partition)!;
    if (start !== null && start >= logStart) continue;
    const began = start === null ? "did not begin in this log" : `began at offset ${start}`;
    throw new StopError(
      `Partition ${partition} of ${topic} cannot go from one process to another: its state ${began}, and its log now ` +
        `begins at ${logStart}`,
      "start with kafka.partitions.shared=false; each process has checkpoints in a file of its own, so whoever gets a " +
        "partition folds its log from the start: keep all of it (retention.ms=-1, retention.bytes=-1) from the first " +
        "record on",
    );
  }
}
