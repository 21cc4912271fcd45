// What some logs can do besides, each by its name. Ask for it by the function of that name.

import type { LogRecord, NewRecord } from "../types/mod.ts";
import type { GeneratorFacts } from "./generator_facts.ts";
import type { RetentionLimits } from "./log_writer.ts";
import type { Log, ReadAnswer, ReadOptions } from "./port.ts";
import type { AppendOptions } from "./write_queue.ts";

/** Bounds of what a log holds of a partition of a topic. */
export interface PartitionBounds {
  readonly partition: number;
  /** First offset held. */
  readonly start: number;
  /** Next offset to be given. */
  readonly end: number;
}

/** A log that this process alone writes to, and whose old records it removes. See EmbeddedLog. */
export interface AppendableLog extends Log {
  readonly topics: ReadonlyMap<string, readonly PartitionBounds[]>;
  /** Topics that are claimed and committed. */
  readonly inputs: readonly string[];
  /** Bytes that wait to be written. */
  readonly waitingBytes: number;
  /** Appends that were refused because they waited too long for their turn. */
  readonly appendTimeouts: number;
  bounds(topic: string, partition: number): { start: number; end: number };
  append(
    topic: string,
    partition: number,
    records: readonly NewRecord[],
    options?: AppendOptions,
  ): Promise<number>;
  read(
    topic: string,
    partition: number,
    offset: number,
    options: ReadOptions,
  ): Promise<ReadAnswer>;
  retain(topic: string, partition: number, limits: RetentionLimits, bound: number): Promise<number>;
  /** Writes as little as can be, to see whether the disk has room. */
  probe(): Promise<void>;
}

/** The log as one that is appended to; null when others bring its records. */
export function appendable(log: Log): AppendableLog | null {
  return "append" in log ? log as AppendableLog : null;
}

/** A log whose transactions are computed, so that a worker thread can do so itself. See GeneratorLog. */
export interface ComputedLog extends Log {
  /** All that decides its records. */
  readonly computedFrom: GeneratorFacts;
  /** Keeps its positions, and takes the outputs. */
  readonly beneath: Log;
}

/** The log as one that is computed; null when its transactions are stored. */
export function computed(log: Log): ComputedLog | null {
  return "computedFrom" in log ? log as ComputedLog : null;
}

/** Some records of a partition. */
export interface LogPage {
  /** First offset held. */
  readonly start: number;
  /** Next offset to be given; of a log with transactions, up to here they have ended. */
  readonly end: number;
  /** Offset to go on from. */
  readonly next: number;
  readonly records: readonly LogRecord[];
}

/** The topics of a job, for people and tools: what is committed, by partition and offset. */
export interface LogBrowser {
  /** Topics with the bounds of their partitions. */
  topics(): Promise<{ topic: string; partitions: { start: number; end: number }[] }[]>;
  /**
   * Records from an offset on, or from the start; fewer than `limit` when they are large.
   *
   * @returns null when there is no such partition
   * @throws {OffsetOutOfRangeError}
   */
  read(
    topic: string,
    partition: number,
    offset: number | null,
    limit: number,
  ): Promise<LogPage | null>;
}

/** A log that is kept elsewhere, and can be looked into. */
export interface BrowsableLog extends Log {
  readonly browser: LogBrowser;
}

/** What looks into a log that is kept elsewhere; null where nothing does. */
export function browserOf(log: Log): LogBrowser | null {
  return "browser" in log ? (log as BrowsableLog).browser : null;
}
