import { type LogBrowser, type LogPage, OffsetOutOfRangeError } from "../log/mod.ts";
import { UnavailableError } from "../log/mod.ts";
import { type Clock, decodeBatch, type LogRecord } from "../types/mod.ts";
import { readFetched } from "./batches.ts";
import { ErrorCode, isUnavailable, reasonOf } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import { type ConnectionOptions, KafkaClient } from "./client/kafka_client.ts";
import { decompressBatch } from "./codecs.ts";
import { partitionNumbers } from "./partition_numbers.ts";

/** Bytes that are fetched at a time, and from which a page is full. */
const FETCH = { maxWaitMs: 0, maxBytes: 1_048_576, partitionMaxBytes: 1_048_576 } as const;
const PAGE_BYTES = 1024 * 1024;

export interface MessageReaderOptions {
  readonly connection: ConnectionOptions;
  /** Topics that may be looked into. */
  readonly topics: readonly string[];
  /** A batch that is larger once it is unpacked is not looked into. */
  readonly inputBatchBytesMax: number;
  readonly clock: Clock;
}

/**
 * Looks into topics for people and tools: by a connection for each question, under read_committed, and in no group,
 * so that the job's own reading notices nothing of it. One question at a time is asked.
 */
export class MessageReader implements LogBrowser {
  #turn: Promise<unknown> = Promise.resolve();

  constructor(readonly options: MessageReaderOptions) {}

  topics(): ReturnType<LogBrowser["topics"]> {
    return this.#ask(async (client) => {
      const found: { topic: string; partitions: { start: number; end: number }[] }[] = [];
      for (const topic of this.options.topics) {
        const numbers = partitionsOf(client, topic);
        const starts = await client.offsets(topic, numbers, "earliest");
        const ends = await client.offsets(topic, numbers, "latest");
        const partitions = numbers.map((p) => ({
          start: starts.get(p) ?? 0,
          end: ends.get(p) ?? 0,
        }));
        found.push({ topic, partitions });
      }
      return found;
    });
  }

  read(
    topic: string,
    partition: number,
    offset: number | null,
    limit: number,
  ): Promise<LogPage | null> {
    if (!this.options.topics.includes(topic)) return Promise.resolve(null);
    return this.#ask(async (client) => {
      if (!partitionsOf(client, topic).includes(partition)) return null;
      const starts = await client.offsets(topic, [partition], "earliest");
      return await this.#page(
        client,
        topic,
        partition,
        offset ?? starts.get(partition) ?? 0,
        limit,
      );
    });
  }

  async #page(
    client: KafkaClient,
    topic: string,
    partition: number,
    offset: number,
    limit: number,
  ): Promise<LogPage> {
    const records: LogRecord[] = [];
    let [next, bytes, start, end] = [offset, 0, 0, 0];
    do {
      const from = [{ partition, offset: next }];
      const leader = client.leaderOf(topic, partition);
      const answer = await client.fetch(leader, { name: topic, id: null }, from, FETCH);
      const fetched = answer.partitions[0]!;
      ({ logStart: start, lastStableOffset: end } = fetched);
      if (fetched.errorCode === ErrorCode.OffsetOutOfRange) {
        throw new OffsetOutOfRangeError(topic, partition, offset, start, end);
      }
      const failed = answer.errorCode || fetched.errorCode;
      if (failed) throw protocolError(failed);
      const batches = readFetched(fetched.records, fetched.aborted);
      if (batches.length === 0) break;
      for (const batch of batches) {
        const plain = decompressBatch(batch.bytes, this.options.inputBatchBytesMax);
        for (const record of decodeBatch(plain)) {
          if (record.offset < next || records.length === limit) continue;
          records.push(record);
          bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
          next = record.offset + 1;
        }
        if (records.length === limit) break;
        next = Math.max(next, batch.lastOffset + 1);
      }
    } while (records.length < limit && bytes < PAGE_BYTES && next < end);
    return { start, end, next, records };
  }

  #ask<T>(work: (client: KafkaClient) => Promise<T>): Promise<T> {
    const asked = this.#turn.then(async () => {
      const { connection, topics, clock } = this.options;
      const client = new KafkaClient({ ...connection, clientId: "stockflow-page" }, clock);
      try {
        await client.connect(topics);
        return await work(client);
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        throw new UnavailableError(`Kafka does not answer: ${reasonOf(error)}`, { cause: error });
      } finally {
        void client.close().catch(() => {});
      }
    });
    this.#turn = asked.catch(() => {});
    return asked;
  }
}

function partitionsOf(client: KafkaClient, topic: string): number[] {
  return partitionNumbers(client.topics.get(topic) ?? 0);
}
