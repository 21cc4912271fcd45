// The port of a consumer: a part of this process reads what the job has committed to a topic, and the log keeps how far
// it has come.

import type { Log, ReadAnswer, ReadOptions } from "./port.ts";

/** Where a consumer begins that has never committed an offset. */
export type OffsetReset = "earliest" | "latest";

/** Which topic is consumed, and by whom. */
export interface ConsumerSpec {
  readonly topic: string;
  /** Under which the log keeps the committed offsets. */
  readonly name: string;
  readonly offsetReset: OffsetReset;
}

/** The right to consume a topic, until this process is no longer the one that does. */
export interface TopicConsumer {
  /** Committed offset by partition: of the next record to be consumed. */
  readonly committed: ReadonlyMap<number, number>;
  /** Partitions that begin there: whatever was consumed of them before was of another log. None by default. */
  readonly begun?: ReadonlySet<number>;
  /**
   * Aborted when another process consumes from now on; its reason is a LostError. What is under way then may be
   * consumed by both.
   */
  readonly ended: AbortSignal;
  /**
   * Whole record batches from an offset on, committed records alone; none when there are none within waitMs.
   *
   * @throws {OffsetOutOfRangeError} when the log does not hold the offset
   * @throws {OtherLogError} when it is not the log any more that was read; who consumes next is given where it begins
   */
  read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer>;
  /** Next offset that the log will give, as far as is known now; null = not known. */
  endOf(partition: number): number | null;
  /**
   * Keeps that everything below these offsets was consumed.
   *
   * @throws {LostError} when this process may not any more
   */
  commit(offsets: ReadonlyMap<number, number>): Promise<void>;
  close(): void;
}

/** A log whose topics can be consumed in this process. */
export interface ConsumableLog {
  /**
   * To be called before the job writes anything: where a consumer is new, it is noted where it begins, if this
   * process alone writes to the log. Elsewhere nothing happens.
   */
  prepareConsumer(spec: ConsumerSpec): Promise<void>;
  /** Resolves when this process is the one that consumes. */
  consume(spec: ConsumerSpec, signal: AbortSignal): Promise<TopicConsumer>;
}

export function isConsumable(log: Log): log is Log & ConsumableLog {
  return "consume" in log;
}
