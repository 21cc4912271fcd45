import type { Clock } from "../types/mod.ts";
import {
  isStamped,
  type Producer,
  recordsOf,
  sequenceBehind,
  sequenceOf,
  stamp,
} from "./batches.ts";
import { type CodecName, compressBatch } from "./codecs.ts";
import { LostError, StopError } from "../log/mod.ts";
import { ErrorCode, errorCodeOf, isFenced, isUnavailable } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import { callCoordinator } from "./client/retry.ts";
import {
  type CommittedOffset,
  type TopicPartitions,
  txnOffsetCommitExchange,
} from "./protocol/offsets.ts";
import { type OutputForm, OutputRefusedError } from "./output_form.ts";
import type { ProduceAnswer, ProducedBatch, ProducedPartition } from "./protocol/produce.ts";
import type { TopicOutput } from "../log/mod.ts";

export interface TransactionOptions {
  readonly transactionalId: string;
  readonly timeoutMs: number;
  readonly groupId: string;
  /** How batches are compressed; none by default. */
  readonly compression?: CodecName;
  /** Brings outputs into the form that their topics take; without it they go out as they are. */
  readonly form?: OutputForm;
  /** How long its id is tried to be initialised while its last transaction ends; see callCoordinator. */
  readonly giveUpMs?: number;
}

/** A member of the group, as it commits offsets. */
export interface GroupMember {
  readonly memberId: string;
  readonly generation: number;
}

/** Bytes of batches that one frame carries, about. */
const FRAME_BYTES_MAX = 8 * 1024 * 1024;

/** A transaction that was opened ahead is ended when nothing comes for so long. */
const AHEAD_MS_MAX = 5000;

/** A reason for an abort: without one an error with a stack is made each time. */
const USED = "used";

/** A transaction that the coordinator knows. */
interface OpenTransaction {
  /** Partitions that the coordinator knows, as `topic-partition`. */
  readonly partitions: Set<string>;
  /** Partitions that were written to. */
  readonly written: Set<string>;
  /** Settles when the coordinator knows the partitions, and the group's offsets. */
  readonly ready: Promise<void>;
  /** Aborted when it is written to. */
  readonly used: AbortController;
  /** Acknowledgements of what was written. */
  readonly acknowledged: Promise<void>[];
}

/**
 * One transaction after the other under one transactional id. Any error leaves the transaction open and
 * the producer useless: the next one with the id ends it.
 */
export class TransactionalProducer {
  /** Next sequence number by topic and partition, behind all batches that were sent, whoever stamped them. */
  readonly #sequences = new Map<string, number>();
  /** Base offset of the batch that was acknowledged last, by topic and partition. */
  readonly #baseOffsets = new Map<string, number>();
  /** The transaction that is open, also ahead of its first output; null = there is none. */
  #open: OpenTransaction | null = null;
  /** Settles when no end of an idle transaction is under way. */
  #ended: Promise<unknown> = Promise.resolve();
  /** Settles when the answers to what was sent so far were looked at, in its order. */
  #checked: Promise<ProduceAnswer | null> = Promise.resolve(null);
  /** Settles when what was written so far is on its way: batches keep their order. */
  #sent: Promise<unknown> = Promise.resolve();

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
      options.giveUpMs,
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

  /** The sequence number behind all that was sent to a partition. */
  nextSequence(topic: string, partition: number): number {
    return this.#sequences.get(nameOf({ topic, partition })) ?? 0;
  }

  /**
   * Writes outputs into the open transaction. Resolves when all replicas have them.
   *
   * @throws when that is not known; the transaction can only be lost then
   */
  async write(outputs: readonly TopicOutput[]): Promise<void> {
    const written = outputs.filter((o) => o.batches.length > 0);
    if (written.length === 0) return;
    await this.#send(this.#use(written), written);
  }

  /**
   * Ends the transaction with what was written into it, with further outputs, and with offsets. Resolves
   * when it is committed.
   *
   * The next one is opened at once for the same partitions, so that its outputs need not wait for that:
   * two round trips remain, everything that is written, then the end.
   *
   * @throws when it is not known to be committed
   */
  async commit(
    outputs: readonly TopicOutput[],
    member: GroupMember,
    offsets: readonly TopicPartitions<CommittedOffset>[],
  ): Promise<void> {
    const written = outputs.filter((o) => o.batches.length > 0);
    const open = this.#use(written);
    await Promise.all([
      this.#send(open, written),
      ...open.acknowledged,
      this.#ended.then(() => open.ready).then(() => this.#commitOffsets(member, offsets)),
    ]);
    this.#open = null;
    await this.#end();
    if (open.written.size === 0) return;
    this.#open = this.#begin([...open.written]);
    void this.#endWhenIdle(this.#open);
  }

  /** The open transaction, or a new one for these outputs. */
  #use(outputs: readonly TopicOutput[]): OpenTransaction {
    this.#open ??= this.#begin(outputs.map(nameOf));
    this.#open.used.abort(USED);
    return this.#open;
  }

  #begin(partitions: readonly string[]): OpenTransaction {
    const { groupId } = this.options;
    const ready = this.#ended.then(() => this.#addPartitions(partitions)).then(async () => {
      await this.#coordinator((c) => c.addOffsetsToTxn({ ...this.#identity, groupId }));
    });
    ready.catch(() => {}); // whoever writes awaits it
    return {
      partitions: new Set(partitions),
      written: new Set(),
      ready,
      used: new AbortController(),
      acknowledged: [],
    };
  }

  #end(): Promise<unknown> {
    return this.#coordinator((c) => c.endTxn({ ...this.#identity, transactionResult: true }));
  }

  /** Ends a transaction in which nothing was written, before the broker aborts it for its age. */
  async #endWhenIdle(open: OpenTransaction): Promise<void> {
    const waitMs = Math.min(AHEAD_MS_MAX, this.options.timeoutMs / 4);
    await this.clock.sleep(waitMs, open.used.signal);
    if (this.#open !== open || open.used.signal.aborted || this.client.isBroken) return;
    this.#open = null;
    this.#ended = open.ready.then(() => this.#end());
    this.#ended.catch(() => {}); // whoever writes next awaits it
  }

  #coordinator<T>(call: Parameters<typeof callCoordinator<T>>[4]): Promise<T> {
    const { transactionalId } = this.options;
    return callCoordinator(this.client, this.clock, "transaction", transactionalId, call);
  }

  /** @param partitions as `topic-partition` */
  async #addPartitions(partitions: readonly string[]): Promise<void> {
    if (partitions.length === 0) return;
    const topics = [...Map.groupBy(partitions.map(placeOf), (place) => place.topic)]
      .map(([topic, some]) => ({ topic, partitions: some.map((place) => place.partition) }));
    await this.#coordinator((c) => c.addPartitionsToTxn({ ...this.#identity, topics }))
      .catch((error) => {
        const code = errorCodeOf(error);
        // Of those beside one that is not allowed, the broker says that they were not tried.
        const isRefused = code === ErrorCode.TopicAuthorizationFailed ||
          code === ErrorCode.OperationNotAttempted;
        throw isRefused ? notAllowed(topics.map((t) => t.topic)) : error;
      });
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

  /** Writes all batches behind those that were written before. Resolves when they are acknowledged. */
  #send(open: OpenTransaction, outputs: readonly TopicOutput[]): Promise<void> {
    const sent = this.#sent.then(() => this.#put(open, outputs));
    this.#sent = sent; // what fails makes all fail that follows
    const acknowledged = sent.then((answers) => Promise.all(answers)).then((answers) => {
      const failed = answers.flatMap((a) => a.partitions).find((p) => p.errorCode !== 0);
      if (failed) throw refusalOf(failed);
    });
    acknowledged.catch(() => {}); // whoever commits awaits it
    open.acknowledged.push(acknowledged);
    return acknowledged;
  }

  /** Puts batches on the wire, in a transaction that knows their partitions. */
  async #put(
    open: OpenTransaction,
    outputs: readonly TopicOutput[],
  ): Promise<Promise<ProduceAnswer>[]> {
    await open.ready;
    const names = [...new Set(outputs.map(nameOf))];
    const unknown = names.filter((name) => !open.partitions.has(name));
    await this.#addPartitions(unknown);
    for (const name of names) {
      open.partitions.add(name);
      open.written.add(name);
    }
    const answers: Promise<ProduceAnswer>[] = [];
    for (const frame of this.#frames(outputs)) {
      const byLeader = Map.groupBy(frame, (b) => this.client.leaderOf(b.topic, b.partition));
      for (const [nodeId, batches] of byLeader) {
        const sent = await this.client.produce(nodeId, this.options.transactionalId, batches);
        const checked = this.#check(this.#checked, sent.acknowledged);
        answers.push(checked);
        this.#checked = checked;
        checked.catch(() => {}); // whoever commits awaits it
      }
    }
    return answers;
  }

  /** Looks at an answer behind those to what was sent before. */
  async #check(before: Promise<unknown>, coming: Promise<ProduceAnswer>): Promise<ProduceAnswer> {
    const [answer] = await Promise.all([coming, before]);
    for (const produced of answer.partitions) this.#checkAppended(produced);
    return answer;
  }

  /**
   * A broker acknowledges a batch whose sequence number it has seen, and does not append it: its base offset is that of
   * the one before.
   *
   * @throws {LostError} for such a batch
   */
  #checkAppended({ topic, partition, errorCode, baseOffset }: ProducedPartition): void {
    if (errorCode !== 0) return;
    const name = nameOf({ topic, partition });
    const before = this.#baseOffsets.get(name) ?? -1;
    if (baseOffset <= before) {
      throw new LostError(
        `A batch of ${name} was acknowledged at offset ${baseOffset}, not behind the one before at ${before}: ` +
          "it was not appended",
      );
    }
    this.#baseOffsets.set(name, baseOffset);
  }

  /** Frames with at most one batch of a partition each, in the order of its batches. */
  *#frames(outputs: readonly TopicOutput[]): Generator<ProducedBatch[]> {
    const queues = [...Map.groupBy(outputs, (o) => `${o.topic}-${o.partition}`).values()]
      .map((same) => this.#fit({ ...same[0]!, batches: same.flatMap((o) => o.batches) }));
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

  #fit(output: TopicOutput): TopicOutput {
    const { form } = this.options;
    if (!form) return output;
    const { topic, partition, batches } = output;
    return {
      ...output,
      batches: form.fit(topic, partition, batches, this.producer, this.clock.now()),
    };
  }

  #stamp(topic: string, partition: number, batch: Uint8Array): void {
    const key = nameOf({ topic, partition });
    if (!isStamped(batch, this.producer)) {
      stamp(batch, this.producer, this.#sequences.get(key) ?? 0);
    }
    this.#sequences.set(key, sequenceBehind(sequenceOf(batch), recordsOf(batch)));
  }
}

function notAllowed(topics: readonly string[]): StopError {
  return new StopError(
    `Kafka does not allow the job's user to write to ${topics.join(", ")}, or to one of them`,
    "give it the right to write its output topics (Write and Describe)",
  );
}

/** The error for a batch that was not taken; one that another form may end says where, and why. */
function refusalOf({ topic, partition, errorCode, message }: ProducedPartition): Error {
  const error = protocolError(errorCode);
  if (errorCode === ErrorCode.TopicAuthorizationFailed) return notAllowed([topic]);
  if (isUnavailable(error) || isFenced(error)) return error;
  const words = message === null ? error.message : `${error.message}: ${message}`;
  return new OutputRefusedError({ topic, partition, errorCode, message: words });
}

function nameOf({ topic, partition }: Pick<TopicOutput, "topic" | "partition">): string {
  return `${topic}-${partition}`;
}

function placeOf(name: string): { topic: string; partition: number } {
  const dash = name.lastIndexOf("-");
  return { topic: name.slice(0, dash), partition: Number(name.slice(dash + 1)) };
}
