// What some logs can do besides, each by its name. Ask for it by the function of that name.

import type { LogRecord, NewRecord } from "../types/mod.ts";
import type { GeneratorFacts } from "./generator_facts.ts";
import type { RetentionLimits } from "./log_writer.ts";
import { PlainLog } from "./plain.ts";
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

/** Learns what became of records of a partition that were folded just now: a byte each, see Outcome. */
export type OnOutcomes = (partition: number, firstOffset: number, outcomes: Uint8Array) => void;

/** A log whose writers may learn the outcome of every record that is folded of it. */
export abstract class AnsweringLog extends PlainLog {
  /** Set by whoever appends transactions and waits for what becomes of them; see outcomesOf. */
  onOutcomes: OnOutcomes | null = null;
}

/** Who is to learn the outcomes of a log's records; null: nobody, and outcomes are not even kept. */
export function outcomesOf(log: Log): OnOutcomes | null {
  return "onOutcomes" in log ? (log as AnsweringLog).onOutcomes : null;
}

/** A log that this process alone writes to, and whose old records it removes. See EmbeddedLog. */
export interface AppendableLog extends AnsweringLog {
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

/** A process of a group that shares partitions. */
export interface ClusterMember {
  readonly memberId: string;
  /** UUID of this life of the process. */
  readonly life: string;
  /** host:port of its HTTP API; null = none that others could ask. */
  readonly address: string | null;
  /** Number of its workers. */
  readonly capacity: number;
  /** Index of the one that watches whether it lives; null = nobody. */
  readonly watchedBy: number | null;
}

/** Who has which partitions of an input. */
export interface ClusterInput {
  readonly topic: string;
  /** By partition: index of the member that has it; -1 = nobody. */
  readonly owners: readonly number[];
  /** By partition: the generation from which on that member has had it. */
  readonly since: readonly number[];
}

/** A group in one generation, as its leader has shared the partitions. */
export interface ClusterView {
  readonly generation: number;
  /** Two tables of one generation differ in it. */
  readonly nonce: number;
  /** starting: nobody has partitions before the group's first offsets are committed. */
  readonly state: "starting" | "sharing";
  readonly members: readonly ClusterMember[];
  /** Index of this process. */
  readonly self: number;
  /** Index of the leader. */
  readonly leader: number;
  readonly inputs: readonly ClusterInput[];
}

/**
 * Index of the member that runs what runs once in a group: the job's own sources, and its sinks in the process. It is the
 * leader, which stays the same as long as it is in the group. Null while the group begins.
 */
export function runsOnce({ state, leader }: ClusterView): number | null {
  return state === "sharing" && leader >= 0 ? leader : null;
}

/** Whether it is this process, in the present generation. */
export function isRunHere({ view }: Pick<Sharing, "view">): boolean {
  return view !== null && runsOnce(view) === view.self;
}

/** A generation in which this process is active: one object for each. */
export interface SharedGeneration {
  readonly generation: number;
  /** The worker of this process that has claimed a partition of transactions in it; null = none has. */
  claimedBy(partition: number): number | null;
}

/** How this process shares partitions with others. */
export interface Sharing {
  /** The present generation; null while the group is being joined. */
  readonly view: ClusterView | null;
  /** Resolves when the view has changed, or the signal is aborted. */
  changed(signal: AbortSignal): Promise<void>;
  /** The generation that it is active in, as far as it knows; null while the group is being joined. */
  readonly active: SharedGeneration | null;
  /**
   * The generation that the group is in: confirmed by a heartbeat that is sent after the call. What the process that has
   * claimed a partition in it has in memory of it, at any time behind the call, is not older than what any process
   * answered before the call. Waits as long as the group is being joined.
   *
   * @throws {LostError} when the signal is aborted meanwhile
   */
  confirm(signal: AbortSignal): Promise<SharedGeneration>;
  /**
   * The process stops, and claims nothing any more: it leaves the group as soon as its last session is closed, whatever
   * it does then before its end.
   */
  leave(): void;
}

/** A log whose partitions several processes may share. */
export interface SharedLog extends Log {
  /** Null: it has one active process. */
  readonly sharing: Sharing | null;
}

/** How the log's partitions are shared; null when this process has all of them, or none. */
export function sharingOf(log: Log): Sharing | null {
  return "sharing" in log ? (log as SharedLog).sharing : null;
}
