import { getLogger } from "@logtape/logtape";
import {
  type ConsumerSpec,
  LostError,
  type ReadAnswer,
  type ReadOptions,
  type TopicConsumer,
} from "../log/mod.ts";
import type { Waits } from "../engine/mod.ts";
import type { Clock } from "../types/mod.ts";
import { KafkaClient } from "./client/kafka_client.ts";
import { callCoordinator } from "./client/retry.ts";
import { decompressBatch } from "./codecs.ts";
import { fetchStable } from "./committed_offsets.ts";
import { Fetcher } from "./fetcher.ts";
import { type SessionFacts, toJobError } from "./kafka_session.ts";
import { partitionNumbers } from "./partition_numbers.ts";
import { offsetCommitExchange } from "./protocol/offset_commit.ts";
import type { TopicsView } from "./topics_view.ts";

const log = getLogger(["stockflow", "kafka"]);

/** Brokers forget the offsets of a group without members after days without a commit. */
const COMMIT_AGAIN_MS = 3_600_000;

export interface KafkaConsumerOptions {
  readonly facts: SessionFacts;
  readonly view: TopicsView;
  readonly spec: ConsumerSpec;
  readonly clock: Clock;
  readonly waits: Waits;
  /** Aborted when another process is the active one; its reason is what the consumer ends with. */
  readonly ended: AbortSignal;
}

/** The group that keeps the offsets of a sink in the process. */
function sinkGroup(groupId: string, name: string): string {
  return `${groupId}-${name}`;
}

/**
 * Consumes an output topic of the job in its active process. Offsets are those of a group of their own, without members:
 * who may consume is decided by the group of the job. A process that was replaced and does not know yet commits only
 * what it has delivered, so nothing is passed over.
 */
export class KafkaConsumer implements TopicConsumer {
  readonly #fetcher: Fetcher;
  readonly #closed = new AbortController();
  readonly #offsets: Map<number, number>;

  private constructor(
    readonly options: KafkaConsumerOptions,
    readonly client: KafkaClient,
    readonly committed: ReadonlyMap<number, number>,
    ends: ReadonlyMap<number, number>,
  ) {
    const { facts: { groupId, paceMs }, spec: { topic, name }, view, clock } = options;
    this.#offsets = new Map(committed);
    const id = view.topics[topic]?.id ?? null;
    const input = { name: topic, id, groupId: sinkGroup(groupId, name), isQueries: true };
    this.#fetcher = new Fetcher({ client, topic: input, clock, ends, paceMs });
  }

  /**
   * @throws {LostError} when the brokers are not there at the moment
   * @throws {StopError} when only a person can help
   */
  static async open(options: KafkaConsumerOptions): Promise<KafkaConsumer> {
    const { facts, clock, waits, view, spec } = options;
    const client = new KafkaClient(facts.connection, clock, waits);
    try {
      await client.connect([spec.topic]);
      const count = view.topics[spec.topic]?.partitions ?? 0;
      const partitions = partitionNumbers(count);
      const ends = await client.offsets(spec.topic, partitions, "latest");
      const found = await fetchOffsets(options, client, partitions);
      const missing = partitions.filter((p) => !found.has(p));
      const first = spec.offsetReset === "latest"
        ? ends
        : await client.offsets(spec.topic, partitions, "earliest");
      for (const partition of missing) found.set(partition, first.get(partition)!);
      const consumer = new KafkaConsumer(options, client, found, ends);
      if (missing.length > 0) await consumer.commit(found);
      void consumer.#commitAgain();
      return consumer;
    } catch (error) {
      void client.close().catch(() => {});
      throw toJobError(error);
    }
  }

  get ended(): AbortSignal {
    return this.options.ended;
  }

  async read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    try {
      const { batches, endOffset } = await this.#fetcher.read(partition, offset, options);
      const max = this.options.facts.inputBatchBytesMax;
      return { batches: batches.map((batch) => decompressBatch(batch, max)), endOffset };
    } catch (error) {
      throw toJobError(error);
    }
  }

  endOf(partition: number): number | null {
    return this.#fetcher.endOf(partition);
  }

  async commit(offsets: ReadonlyMap<number, number>): Promise<void> {
    const { facts, spec: { topic, name }, view, clock, ended } = this.options;
    ended.throwIfAborted();
    const groupId = sinkGroup(facts.groupId, name);
    const metadata = view.topics[topic]?.id ?? "";
    const exchange = offsetCommitExchange(
      groupId,
      topic,
      [...offsets].map(([partition, offset]) => ({ partition, offset, metadata })),
    );
    try {
      await callCoordinator(
        this.client,
        clock,
        "group",
        groupId,
        (coordinator) => coordinator.connectionPool.send(exchange),
      );
    } catch (error) {
      throw toJobError(error);
    }
    for (const [partition, offset] of offsets) this.#offsets.set(partition, offset);
  }

  async #commitAgain(): Promise<void> {
    const over = AbortSignal.any([this.#closed.signal, this.ended]);
    while (!over.aborted) {
      await this.options.clock.sleep(COMMIT_AGAIN_MS, over);
      if (!over.aborted) await this.commit(this.#offsets).catch(() => {}); // the next commit says why
    }
  }

  close(): void {
    this.#closed.abort("closed"); // without a reason an error with a stack is made
    this.#fetcher.close(new LostError("The consumer was closed"));
    void this.client.close().catch(() => {});
  }
}

/** The committed offsets of a sink; those of another topic of the name count for nothing. */
async function fetchOffsets(
  { facts, view, spec: { topic, name }, clock }: KafkaConsumerOptions,
  client: KafkaClient,
  partitions: readonly number[],
): Promise<Map<number, number>> {
  const groupId = sinkGroup(facts.groupId, name);
  const stable = await fetchStable(client, clock, groupId, [{ topic, partitions }]);
  const id = view.topics[topic]?.id ?? null;
  const offsets = new Map<number, number>();
  for (const { partition, offset, metadata } of stable.flatMap((t) => t.partitions)) {
    if (offset < 0) continue;
    const isAnother = id !== null && metadata !== "" && metadata !== id;
    if (isAnother) {
      log.warn(
        "Sink {name}: topic {topic} was created anew; partition {partition} begins with its first record",
        { name, topic, partition },
      );
    }
    offsets.set(partition, isAnother ? 0 : offset);
  }
  return offsets;
}
