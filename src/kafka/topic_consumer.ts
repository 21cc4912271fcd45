import {
  type ConsumerSpec,
  LostError,
  OffsetOutOfRangeError,
  OtherLogError,
  type ReadAnswer,
  type ReadOptions,
  type TopicConsumer,
} from "../log/mod.ts";
import type { Waits } from "../engine/mod.ts";
import type { Clock } from "../types/mod.ts";
import { KafkaClient } from "./client/kafka_client.ts";
import { callCoordinator } from "./client/retry.ts";
import { decompressBatch } from "./codecs.ts";
import { decodeSinkMetadata, encodeSinkMetadata } from "./committed_metadata.ts";
import { fetchStable } from "./committed_offsets.ts";
import { Fetcher } from "./fetcher.ts";
import { type SessionFacts, toJobError } from "./kafka_session.ts";
import type { InputTopic } from "./log_identity.ts";
import { keepsBatches, NO_LIMITS } from "./output_limits.ts";
import { partitionNumbers } from "./partition_numbers.ts";
import { offsetCommitExchange } from "./protocol/offset_commit.ts";
import { type SinkOffset, type SinkPlace, sinkPlaces } from "./sink_places.ts";
import { ReplacedLogError, type TopicsView } from "./topics_view.ts";

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
  readonly committed: ReadonlyMap<number, number>;
  readonly begun: ReadonlySet<number>;

  private constructor(
    readonly options: KafkaConsumerOptions,
    readonly client: KafkaClient,
    readonly topic: InputTopic,
    places: readonly SinkPlace[],
  ) {
    const { facts: { paceMs }, clock } = options;
    this.committed = new Map(places.map(({ partition, offset }) => [partition, offset]));
    this.#offsets = new Map(this.committed);
    this.begun = new Set(places.filter(({ isBegun }) => isBegun).map((place) => place.partition));
    this.#fetcher = new Fetcher({ client, topic, clock, ends: new Map(), paceMs });
    for (const { partition, offset, end, leaderEpoch, last } of places) {
      this.#fetcher.add(partition, end, leaderEpoch, last);
      this.#fetcher.lastBatches.begin(partition, offset, last);
    }
  }

  /**
   * @throws {LostError} when the brokers are not there at the moment
   * @throws {StopError} when only a person can help
   */
  static async open(options: KafkaConsumerOptions): Promise<KafkaConsumer> {
    const { facts, clock, waits, view, spec: { topic: name, ...sink } } = options;
    const client = new KafkaClient(facts.connection, clock, waits);
    try {
      await client.connect([name]);
      const { id = null, partitions: count = 0 } = view.topics[name] ?? {};
      const groupId = sinkGroup(facts.groupId, sink.name);
      const isCompacted = !keepsBatches(view.limits[name] ?? NO_LIMITS);
      const topic = { name, id, groupId, isQueries: true, isCompacted };
      const partitions = partitionNumbers(count);
      const committed = await fetchOffsets(client, clock, topic, partitions);
      const places = await sinkPlaces({ client, clock, topic, partitions, committed, ...sink });
      const consumer = new KafkaConsumer(options, client, topic, places);
      if (consumer.begun.size > 0) await consumer.commit(consumer.committed);
      void consumer.#commitAgain();
      return consumer;
    } catch (error) {
      void client.close().catch(() => {});
      throw toSinkError(error);
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
      if (!(error instanceof OffsetOutOfRangeError) || offset <= error.end) {
        throw toSinkError(error);
      }
      // Whoever opens it next looks whether it is another log, or its leader does not have all of it yet.
      throw new OtherLogError(error.message, { cause: error });
    }
  }

  endOf(partition: number): number | null {
    return this.#fetcher.endOf(partition);
  }

  async commit(offsets: ReadonlyMap<number, number>): Promise<void> {
    const { client, options: { clock, ended }, topic } = this;
    const { name, id: topicId, groupId, isCompacted } = topic;
    ended.throwIfAborted();
    const { lastBatches } = this.#fetcher;
    const exchange = offsetCommitExchange(
      groupId,
      name,
      [...offsets].map(([partition, offset]) => {
        const batch = lastBatches.below(partition, offset); // forgets those before it
        const last = isCompacted ? null : batch;
        return { partition, offset, metadata: encodeSinkMetadata({ topicId, last }) };
      }),
    );
    try {
      await callCoordinator(
        client,
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

/** The committed offsets of a sink, each with the log that it is of. */
async function fetchOffsets(
  client: KafkaClient,
  clock: Clock,
  { name, groupId }: InputTopic,
  partitions: readonly number[],
): Promise<Map<number, SinkOffset>> {
  const stable = await fetchStable(client, clock, groupId, [{ topic: name, partitions }]);
  const offsets = new Map<number, SinkOffset>();
  for (const { partition, offset, metadata } of stable.flatMap((t) => t.partitions)) {
    if (offset >= 0) offsets.set(partition, { offset, identity: decodeSinkMetadata(metadata) });
  }
  return offsets;
}

/** A topic that was created anew stops the job where it is an input; a sink begins anew. */
function toSinkError(error: unknown): Error {
  const known = toJobError(error);
  return known instanceof ReplacedLogError
    ? new OtherLogError(known.message, { cause: error })
    : known;
}
