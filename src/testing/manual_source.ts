import type { InputStream } from "../service/mod.ts";
import {
  type Clock,
  type Codec,
  encodeUtf8,
  type ItemTransaction,
  type NewRecord,
  Partitioner,
  partitionOf,
  type Query,
} from "../types/mod.ts";
import { ManualLog } from "./manual_log.ts";

export interface SourceOptions {
  /** Partitions of the source's topic: 1 by default. Items are spread over them by their ids. */
  readonly partitions?: number;
}

/** How records of a source are put into its log. */
interface Encoding<T> {
  keyOf(record: T): Uint8Array | null;
  partitionOf(record: T, partitions: number): number;
  format(record: T, codec: Codec): string;
  /** If the test gives none. */
  timestampOf(record: T, clock: Clock): number;
}

const murmur2 = (itemId: string, partitions: number) =>
  partitionOf(Partitioner.Murmur2, encodeUtf8(itemId), partitions);

const TRANSACTIONS: Encoding<ItemTransaction> = {
  keyOf: ({ itemId }) => encodeUtf8(itemId),
  partitionOf: ({ itemId }, partitions) => murmur2(itemId, partitions),
  format: (transaction, codec) => codec.formatTransaction(transaction),
  timestampOf: ({ ts }) => ts,
};

const QUERIES: Encoding<Query> = {
  keyOf: () => null,
  partitionOf: ({ itemId }, partitions) => murmur2(itemId, partitions),
  format: (query, codec) => codec.formatQuery(query),
  timestampOf: (_, clock) => clock.now(),
};

/**
 * A source whose records come from a test, one by one. What is sent takes effect in the order of the
 * calls, awaited or not; between two sources a test makes the order by polling a sink.
 */
export class ManualSource<T> {
  /** What a job's `read...Stream` returns. */
  readonly stream: InputStream<T>;

  private constructor(readonly log: ManualLog, readonly encoding: Encoding<T>) {
    this.stream = { opener: log, topic: log.topic };
  }

  static ofTransactions({ partitions = 1 }: SourceOptions = {}): ManualSource<ItemTransaction> {
    return new ManualSource(new ManualLog("transactions", partitions, true), TRANSACTIONS);
  }

  static ofQueries({ partitions = 1 }: SourceOptions = {}): ManualSource<Query> {
    return new ManualSource(new ManualLog("queries", partitions, false), QUERIES);
  }

  /**
   * Sends a record; resolves when the source's log has it.
   *
   * @param timestamp when the log took it, in ms: the time of windows unless event.time is set. By
   *   default a transaction's ts, so that both kinds of time are the same
   * @throws {Error} when the test has not started, or the source is finished
   */
  sendRecord(record: T, timestamp?: number): Promise<void> {
    const { keyOf, partitionOf, format, timestampOf } = this.encoding;
    return this.log.send((codec, clock): NewRecord & { partition: number } => ({
      partition: partitionOf(record, this.log.partitions),
      timestamp: timestamp ?? timestampOf(record, clock),
      key: keyOf(record),
      value: encodeUtf8(format(record, codec)),
    }));
  }

  /**
   * Says that no earlier event follows: in every partition the windows that end at or before `ms` are
   * fired, and a transaction that comes for one of them is late. Of queries it changes nothing.
   *
   * @throws {Error} when the test has not started, or the source is finished
   */
  sendWatermark(ms: number): Promise<void> {
    return this.log.mark(BigInt(ms));
  }

  /**
   * Ends the source: all open windows are fired. When all sources of a job are finished, and what they
   * brought is committed, the job ends.
   */
  markFinished(): Promise<void> {
    return this.log.finish();
  }
}
