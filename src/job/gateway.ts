import type { EmbeddedLog } from "../log/mod.ts";
import {
  type Clock,
  type Codec,
  encodeUtf8,
  type ItemTransaction,
  type NewRecord,
  type Query,
  type QueryResult,
} from "../types/mod.ts";
import { OUTCOME_ACCEPTED, OUTCOME_REJECTED } from "../wasm/mod.ts";
import { OffsetWaiters } from "./offset_waiters.ts";
import type { Owners } from "./worker/owners.ts";
import type { QueryOutcome } from "./query_processor.ts";

/** The service takes no more for the moment. */
export class OverloadedError extends Error {
  override readonly name = "OverloadedError";
}

/** What was asked for does not fit the kind of job. */
export class ConflictError extends Error {
  override readonly name = "ConflictError";
}

/** Records that may be under way at once, and bytes that may wait for the log. */
const WAITING_MAX = 200_000;
const WAITING_BYTES_MAX = 32 * 1024 * 1024;

export interface GatewayOptions {
  readonly log: EmbeddedLog;
  /** Null: transactions come from elsewhere. */
  readonly transactionTopic: string | null;
  readonly queryTopic: string;
  readonly codec: Codec;
  readonly owners: Owners;
  readonly clock: Clock;
}

/**
 * The way in for callers inside the process: appends records to the embedded log and answers what became
 * of them. An answer means that the record is durable: it is in the log, and the log decides.
 */
export class Gateway {
  readonly transactionWaiters = new OffsetWaiters<number>();
  readonly queryWaiters = new OffsetWaiters<QueryOutcome>();

  constructor(readonly options: GatewayOptions) {}

  /**
   * Executes transactions; answers for each whether it succeeded, in their order, or the error for
   * which it is not known to be executed.
   *
   * @throws {OverloadedError} before anything was done
   * @throws {ConflictError} when transactions come from elsewhere
   */
  async execute(transactions: readonly ItemTransaction[]): Promise<(boolean | Error)[]> {
    const { codec, owners, transactionTopic } = this.options;
    if (transactionTopic === null) throw new ConflictError("Transactions are generated");
    const outcomes = await this.#submit(transactionTopic, this.transactionWaiters, transactions, {
      partitionOf: (t) => owners.partitionOf(t.itemId),
      recordOf: (t) => ({
        key: encodeUtf8(t.itemId),
        value: encodeUtf8(codec.formatTransaction(t)),
      }),
    });
    return outcomes.map((outcome) => {
      if (outcome === OUTCOME_ACCEPTED) return true;
      if (outcome === OUTCOME_REJECTED) return false;
      return outcome instanceof Error
        ? outcome
        : new Error(`The core refused it: outcome ${outcome}`);
    });
  }

  /**
   * Answers queries, in their order; an error where there is no answer.
   *
   * @throws {OverloadedError} before anything was done
   */
  async ask(queries: readonly Query[]): Promise<(QueryResult | Error)[]> {
    const { codec, owners, queryTopic, log } = this.options;
    const partitions = log.partitionsOf(queryTopic);
    return await this.#submit(queryTopic, this.queryWaiters, queries, {
      partitionOf: (q) => owners.partitionOf(q.itemId) % partitions,
      recordOf: (q) => ({ key: null, value: encodeUtf8(codec.formatQuery(q)) }),
    });
  }

  async #submit<T, O>(
    topic: string,
    waiters: OffsetWaiters<O>,
    things: readonly T[],
    how: {
      partitionOf(thing: T): number;
      recordOf(thing: T): { key: Uint8Array | null; value: Uint8Array };
    },
  ): Promise<(O | Error)[]> {
    const { log, clock } = this.options;
    if (waiters.count + things.length > WAITING_MAX && waiters.count > 0) {
      throw new OverloadedError(`${waiters.count} records are under way already`);
    }
    if (log.waitingBytes > WAITING_BYTES_MAX) {
      throw new OverloadedError(`${log.waitingBytes} bytes wait for the log already`);
    }
    const timestamp = clock.now();
    const answers = new Array<O | Error>(things.length);
    const byPartition = Map.groupBy(things.keys(), (i) => how.partitionOf(things[i]!));
    await Promise.all([...byPartition].map(async ([partition, indexes]) => {
      const records = indexes.map((i): NewRecord => ({ timestamp, ...how.recordOf(things[i]!) }));
      try {
        const values = await this.#append(topic, partition, records, waiters);
        indexes.forEach((i, k) => answers[i] = values[k]!);
      } catch (error) {
        for (const i of indexes) answers[i] = error as Error;
      }
    }));
    return answers;
  }

  /** Appends records and waits for what becomes of them. Waiting begins before anyone can read them. */
  async #append<O>(
    topic: string,
    partition: number,
    records: readonly NewRecord[],
    waiters: OffsetWaiters<O>,
  ): Promise<O[]> {
    let waiting: ReturnType<OffsetWaiters<O>["wait"]> | null = null;
    try {
      await this.options.log.append(topic, partition, records, (base) => {
        waiting?.cancel();
        waiting = waiters.wait(partition, base, records.length);
      });
    } catch (error) {
      (waiting as ReturnType<OffsetWaiters<O>["wait"]> | null)?.cancel();
      throw error;
    }
    return await waiting!.values;
  }
}
