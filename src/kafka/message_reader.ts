import { type LogBrowser, type LogPage, OffsetOutOfRangeError } from "../log/mod.ts";
import { UnavailableError } from "../log/mod.ts";
import { type Clock, decodeBatch, type LogRecord } from "../types/mod.ts";
import { readFetched } from "./batches.ts";
import { ErrorCode, isUnavailable, reasonOf } from "./client/errors.ts";
import { protocolError } from "./client/internals.ts";
import { type ConnectionOptions, KafkaClient } from "./client/kafka_client.ts";
import { decompressBatch } from "./codecs.ts";
import { answeredFetch, type LogBounds, logBounds } from "./look_at_log.ts";
import { partitionNumbers } from "./partition_numbers.ts";

/** Bytes that are fetched at a time, and from which a page is full. */
const FETCH = { maxWaitMs: 0, maxBytes: 1_048_576, partitionMaxBytes: 1_048_576 } as const;
const PAGE_BYTES = 1024 * 1024;
/** Who asks waits so long for a broker whose quota is used up. */
const PATIENCE_MS = 10_000;

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
      const found: { topic: string; partitions: LogBounds[] }[] = [];
      for (const topic of this.options.topics) {
        const numbers = partitionsOf(client, topic);
        const bounds = await logBounds(client, topic, numbers);
        found.push({ topic, partitions: numbers.map((p) => bounds.get(p)!) });
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
      const from = offset ?? starts.get(partition)!;
      const { inputBatchBytesMax } = this.options;
      return await readPage(client, { topic, partition, offset: from, limit, inputBatchBytesMax });
    });
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

/** What is asked of one partition. */
export interface PageOptions {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Records at the most. */
  readonly limit: number;
  readonly inputBatchBytesMax: number;
}

/**
 * Records of a partition from an offset on.
 *
 * @throws {OffsetOutOfRangeError} when the log does not hold the offset
 * @throws an error to try again for, when a quota of the broker holds it back for too long
 */
export async function readPage(
  client: Pick<KafkaClient, "fetch" | "leaderOf" | "offsets">,
  { topic, partition, offset, limit, inputBatchBytesMax }: PageOptions,
): Promise<LogPage> {
  const records: LogRecord[] = [];
  let [next, bytes, start, end] = [offset, 0, 0, 0];
  do {
    const from = [{ partition, offset: next }];
    const leader = client.leaderOf(topic, partition);
    const named = { name: topic, id: null };
    const [answer] = await answeredFetch(client, leader, named, from, FETCH, PATIENCE_MS);
    const { errorCode, aborted, logStart, lastStableOffset } = answer!;
    if (errorCode === ErrorCode.OffsetOutOfRange) {
      const bounds = (await logBounds(client, topic, [partition])).get(partition)!;
      throw new OffsetOutOfRangeError(topic, partition, next, bounds.start, bounds.end);
    }
    if (errorCode) throw protocolError(errorCode);
    [start, end] = [logStart, lastStableOffset];
    const batches = readFetched(answer!.records, aborted);
    if (batches.length === 0) break;
    for (const batch of batches) {
      const plain = decompressBatch(batch.bytes, inputBatchBytesMax);
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
