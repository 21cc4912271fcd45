import { getLogger } from "@logtape/logtape";
import type { ReadTopicIds } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { hasOffsets } from "./committed_offsets.ts";
import { partitionNumbers } from "./partition_numbers.ts";
import { createdAnew } from "./topics_view.ts";

const log = getLogger(["stockflow", "kafka"]);

export interface QueryTopicOptions {
  readonly topic: string;
  /** Its name in the store of checkpoints. */
  readonly name: string;
  readonly groupId: string;
  readonly readTopics: ReadTopicIds;
  /** Goes on with another topic than before. */
  readonly acceptOffset: boolean;
  readonly clock: Clock;
}

/**
 * Which topic of queries the job has read. What is committed says so, but brokers forget it with the topic; so the
 * store of checkpoints keeps it as well.
 */
export class QueryTopic {
  /** The id that the store is known to have. */
  #kept: string | null = null;

  constructor(readonly options: QueryTopicOptions) {}

  /**
   * Looks whether the topic is still the one that was read, and keeps its id. The store is asked once; later calls
   * take no time.
   *
   * @param id of the topic now; null where brokers have none
   * @throws {StopError} when it is another one than before, of which the group has committed nothing
   * @throws {LostError} when the store does not answer
   */
  async check(
    id: string | null,
    partitions: number,
    client: () => Promise<KafkaClient>,
  ): Promise<void> {
    if (id === null || id === this.#kept) return;
    const { topic, name, groupId, readTopics, acceptOffset } = this.options;
    const before = await readTopics.idOf(name);
    if (before !== id) {
      // What the group has committed names its topic, and whoever claims it looks at that.
      if (before !== null && !await this.#isOfGroup(await client(), partitions)) {
        const was = `its id was ${before} when its queries were read last`;
        const error = createdAnew(topic, was, id, { groupId, isQueries: true });
        if (!acceptOffset) throw error;
        log.warn("Accepted: {message}", { message: error.message });
      }
      try {
        await readTopics.keep(name, id);
      } catch (error) {
        log.warn("The id of topic {topic} is not kept yet: {reason}", {
          topic,
          reason: (error as Error).message,
        });
        return;
      }
    }
    this.#kept = id;
  }

  /** Whether the group has committed offsets of the topic, as it does when another process has accepted it. */
  #isOfGroup(client: KafkaClient, partitions: number): Promise<boolean> {
    const { topic, groupId, clock } = this.options;
    const all = partitionNumbers(partitions);
    return hasOffsets(client, clock, groupId, [{ topic, partitions: all }]);
  }
}
