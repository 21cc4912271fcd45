import type { Clock } from "../types/mod.ts";
import { isStamped, type Producer, recordsOf, sequenceBehind, stamp } from "./batches.ts";
import { type CodecName, compressBatch } from "./codecs.ts";
import { protocolError } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { callCoordinator } from "./client/retry.ts";
import {
  type CommittedOffset,
  type TopicPartitions,
  txnOffsetCommitExchange,
} from "./protocol/offsets.ts";
import type { ProduceAnswer, ProducedBatch } from "./protocol/produce.ts";
import type { TopicOutput } from "../log/mod.ts";

export interface TransactionOptions {
  readonly transactionalId: string;
  readonly timeoutMs: number;
  readonly groupId: string;
  /** How batches are compressed; none by default. */
  readonly compression?: CodecName;
}

/** A member of the group, as it commits offsets. */
export interface GroupMember {
  readonly memberId: string;
  readonly generation: number;
}

/** Bytes of batches that one frame carries, about. */
const FRAME_BYTES_MAX = 8 * 1024 * 1024;

/**
 * One transaction after the other under one transactional id. Any error leaves the transaction open and
 * the producer useless: the next one with the id ends it.
 */
export class TransactionalProducer {
  /** Next sequence number by topic and partition, of batches that are stamped here. */
  readonly #sequences = new Map<string, number>();

  private constructor(
    readonly client: KafkaClient,
    readonly clock: Clock,
    readonly options: TransactionOptions,
    readonly producer: Producer,
  ) {}

  /**
   * Initialises the transactional id: fences every earlier producer of it, and ends its transaction.
   *
   * Own retry: kafkajs waits for its default times here, whatever is configured.
   */
  static async open(
    client: KafkaClient,
    clock: Clock,
    options: TransactionOptions,
  ): Promise<TransactionalProducer> {
    const { transactionalId, timeoutMs } = options;
    const { producerId, producerEpoch } = await callCoordinator(
      client,
      clock,
      "transaction",
      transactionalId,
      (c) => c.initProducerId({ transactionalId, transactionTimeout: timeoutMs }),
    );
    const producer = { id: BigInt(producerId), epoch: producerEpoch };
    return new TransactionalProducer(client, clock, options, producer);
  }

  get #identity() {
    const { transactionalId } = this.options;
    return {
      transactionalId,
      producerId: String(this.producer.id),
      producerEpoch: this.producer.epoch,
    };
  }

  /**
   * Writes outputs and offsets in one transaction. Resolves when it is committed.
   *
   * @throws when it is not known to be committed
   */
  async commit(
    outputs: readonly TopicOutput[],
    member: GroupMember,
    offsets: readonly TopicPartitions<CommittedOffset>[],
  ): Promise<void> {
    const written = outputs.filter((o) => o.batches.length > 0);
    if (written.length > 0) await this.#addPartitions(written);
    await this.#coordinator((c) =>
      c.addOffsetsToTxn({ ...this.#identity, groupId: this.options.groupId })
    );
    await Promise.all([this.#produce(written), this.#commitOffsets(member, offsets)]);
    await this.#coordinator((c) => c.endTxn({ ...this.#identity, transactionResult: true }));
  }

  #coordinator<T>(call: Parameters<typeof callCoordinator<T>>[4]): Promise<T> {
    const { transactionalId } = this.options;
    return callCoordinator(this.client, this.clock, "transaction", transactionalId, call);
  }

  async #addPartitions(outputs: readonly TopicOutput[]): Promise<void> {
    const topics = [...Map.groupBy(outputs, (o) => o.topic)].map(([topic, some]) => ({
      topic,
      partitions: [...new Set(some.map((o) => o.partition))],
    }));
    await this.#coordinator((c) => c.addPartitionsToTxn({ ...this.#identity, topics }));
  }

  async #commitOffsets(
    { memberId, generation }: GroupMember,
    topics: readonly TopicPartitions<CommittedOffset>[],
  ): Promise<void> {
    const { groupId, transactionalId } = this.options;
    const { id, epoch } = this.producer;
    const exchange = txnOffsetCommitExchange({
      transactionalId,
      groupId,
      producerId: id,
      producerEpoch: epoch,
      generation,
      memberId,
      topics,
    });
    const { client, clock } = this;
    await callCoordinator(client, clock, "group", groupId, (c) => c.connectionPool.send(exchange));
  }

  /** Writes all batches, then waits for all acknowledgements. */
  async #produce(outputs: readonly TopicOutput[]): Promise<void> {
    const acknowledged: Promise<ProduceAnswer>[] = [];
    for (const frame of this.#frames(outputs)) {
      const byLeader = Map.groupBy(frame, (b) => this.client.leaderOf(b.topic, b.partition));
      for (const [nodeId, batches] of byLeader) {
        const sent = await this.client.produce(nodeId, this.options.transactionalId, batches);
        acknowledged.push(sent.acknowledged);
      }
    }
    for (const { partitions } of await Promise.all(acknowledged)) {
      const failed = partitions.find((p) => p.errorCode !== 0);
      if (failed) throw protocolError(failed.errorCode);
    }
  }

  /** Frames with at most one batch of a partition each, in the order of its batches. */
  *#frames(outputs: readonly TopicOutput[]): Generator<ProducedBatch[]> {
    const queues = [...Map.groupBy(outputs, (o) => `${o.topic}-${o.partition}`).values()]
      .map((same) => ({ ...same[0]!, batches: same.flatMap((o) => o.batches) }));
    const depth = queues.reduce((n, q) => Math.max(n, q.batches.length), 0);
    for (let k = 0; k < depth; k++) {
      let frame: ProducedBatch[] = [];
      let size = 0;
      for (const { topic, partition, batches } of queues) {
        const batch = batches[k];
        if (!batch) continue;
        this.#stamp(topic, partition, batch);
        const bytes = compressBatch(batch, this.options.compression ?? "none");
        frame.push({ topic, partition, bytes });
        size += bytes.length;
        if (size < FRAME_BYTES_MAX) continue;
        yield frame;
        frame = [];
        size = 0;
      }
      if (frame.length > 0) yield frame;
    }
  }

  #stamp(topic: string, partition: number, batch: Uint8Array): void {
    if (isStamped(batch, this.producer)) return;
    const key = `${topic}-${partition}`;
    const sequence = this.#sequences.get(key) ?? 0;
    stamp(batch, this.producer, sequence);
    this.#sequences.set(key, sequenceBehind(sequence, recordsOf(batch)));
  }
}
