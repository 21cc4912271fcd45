import { type Clock, type NewRecord, splitIntoBatches } from "../types/mod.ts";
import { StopError } from "../log/mod.ts";
import type { RecordWriter } from "../service/mod.ts";
import { type Producer, recordsOf, sequenceBehind, stamp } from "./batches.ts";
import { type CodecName, compressBatch } from "./codecs.ts";
import { ErrorCode, errorCodeOf, stopErrorOf } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import { type ConnectionOptions, KafkaClient } from "./client/kafka_client.ts";

/** Largest batch; every topic takes one of this size unless max.message.bytes was lowered to less. */
const BATCH_BYTES_MAX = 64 * 1024;
/** Unused without a transactional id. */
const TRANSACTION_TIMEOUT_MS = 60_000;

/** The broker does not know where the producer stands, or not as we do: its numbers begin anew under another id. */
const BEGIN_ANEW: readonly number[] = [
  ErrorCode.OutOfOrderSequence,
  ErrorCode.InvalidProducerEpoch,
  ErrorCode.InvalidProducerIdMapping,
  ErrorCode.UnknownProducerId,
];
const TOO_LARGE: readonly number[] = [ErrorCode.MessageTooLarge, ErrorCode.RecordListTooLarge];

/** An append whose acknowledgement did not come. */
interface Unacknowledged {
  readonly records: readonly NewRecord[];
  /** Batches that are not acknowledged. */
  readonly batches: Uint8Array<ArrayBuffer>[];
  /** Who has sent the first of them, and its sequence number; null = nobody has. */
  sent: Sent | null;
}

/** A producer, and its next sequence number in a partition. */
interface Sent {
  readonly producer: Producer;
  readonly sequence: number;
}

/**
 * Writes what a job's own feeds bring into topics of Kafka, as an idempotent producer: an append that is repeated as it
 * was, because its acknowledgement did not come, is there once. Connects when it is needed, and again after an error.
 */
export class KafkaFeedWriter implements RecordWriter {
  #client: Promise<KafkaClient> | null = null;
  #producer: Promise<Producer> | null = null;
  /** What comes next, by topic and partition. */
  readonly #next = new Map<string, Sent>();
  readonly #unacknowledged = new Map<string, Unacknowledged>();

  constructor(
    connection: ConnectionOptions,
    readonly compression: CodecName,
    clock: Clock,
    readonly makeClient: () => KafkaClient = () => new KafkaClient(connection, clock),
  ) {}

  /**
   * Resolves when all replicas in sync have the records. One append of a partition at a time; who repeats one that
   * failed gives the same array.
   *
   * @throws {StopError} when the brokers refuse them for good
   * @throws when it is not known whether they have them
   */
  async append(topic: string, partition: number, records: readonly NewRecord[]): Promise<void> {
    const name = `${topic}-${partition}`;
    let left = this.#unacknowledged.get(name);
    if (left?.records !== records) {
      const batches = splitIntoBatches(records, BATCH_BYTES_MAX);
      left = { records, batches, sent: null };
      this.#unacknowledged.set(name, left);
    }
    let client: KafkaClient | null = null;
    let connecting: Promise<KafkaClient> | null = null;
    try {
      client = await (connecting = this.#client ??= this.#connect());
      // Under a producer that has begun anew since, what is repeated would be there twice.
      left.sent ??= this.#nextOf(name, await (this.#producer ??= this.#begin(client)));
      for (let batch = left.batches[0]; batch; batch = left.batches[0]) {
        const { producer, sequence } = left.sent as Sent;
        stamp(batch, producer, sequence, false);
        const bytes = compressBatch(batch, this.compression);
        await this.#produce(client, topic, partition, bytes);
        left.batches.shift();
        left.sent = { producer, sequence: sequenceBehind(sequence, recordsOf(batch)) };
        this.#next.set(name, left.sent);
      }
      this.#unacknowledged.delete(name);
    } catch (error) {
      this.#leave(client, connecting);
      if (BEGIN_ANEW.includes(errorCodeOf(error) ?? 0)) {
        this.#producer = null;
        left.sent = null;
      }
      throw stopErrorOf(error) ?? error;
    }
  }

  #nextOf(name: string, producer: Producer): Sent {
    const known = this.#next.get(name);
    return known?.producer === producer ? known : { producer, sequence: 0 };
  }

  async #connect(): Promise<KafkaClient> {
    const client = this.makeClient();
    try {
      await client.connect();
      return client;
    } catch (error) {
      this.#client = null;
      await client.close().catch(() => {});
      throw error;
    }
  }

  async #begin(client: KafkaClient): Promise<Producer> {
    try {
      const broker = await client.controller();
      const { producerId, producerEpoch } = await client.call(
        () =>
          broker.initProducerId({
            transactionalId: null,
            transactionTimeout: TRANSACTION_TIMEOUT_MS,
          }),
        "InitProducerId",
      );
      return { id: BigInt(producerId), epoch: producerEpoch };
    } catch (error) {
      this.#producer = null;
      throw error;
    }
  }

  async #produce(
    client: KafkaClient,
    topic: string,
    partition: number,
    bytes: Uint8Array,
  ): Promise<void> {
    const leader = client.leaderOf(topic, partition);
    const sent = await client.produce(leader, null, [{ topic, partition, bytes }]);
    const { partitions: [answer] } = await sent.acknowledged;
    const code = answer!.errorCode;
    if (code === 0 || code === ErrorCode.DuplicateSequence) return;
    if (!TOO_LARGE.includes(code)) throw protocolError(code);
    throw new StopError(
      `Topic ${topic} takes no batch of ${bytes.length} bytes`,
      `raise its max.message.bytes to ${BATCH_BYTES_MAX} or more`,
    );
  }

  /** The connections are of no use: the next append makes new ones. */
  #leave(client: KafkaClient | null, connecting: Promise<KafkaClient> | null): void {
    if (!client) return;
    if (this.#client === connecting) this.#client = null; // else others have made new ones
    void client.close().catch(() => {});
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => null);
    this.#client = null;
    await client?.close().catch(() => {});
  }
}
