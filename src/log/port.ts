// The port of a log: what a job needs of it, whatever keeps it. No member is optional: what not every log has is
// null. What few logs can do besides is a capability of its own (capabilities.ts).

import type { PartitionerName, TraceContext, TracedOffsets } from "../types/mod.ts";
import { NO_TIME } from "../wasm/mod.ts";
import type { ThreadedLog } from "./threaded_log.ts";

/** Where the state of a partition stood at the last commit. */
export interface CommittedPosition {
  /** Next offset to fold. */
  readonly offset: number;
  /** Fired watermark in ms; NO_TIME at first. */
  readonly watermark: bigint;
  /** Offset where the state began; null when it did not begin in this log (other fold parameters before). */
  readonly start: number | null;
  /** Of the fold parameters; empty before the first fold. */
  readonly parametersHash: string;
  /** By which transactions are remembered, 32 hexadecimal digits: it belongs to the log. Null = none is. */
  readonly secret: string | null;
  /** Offset from which on records were folded by the newest version of the fold; null = all were, from the start on. */
  readonly raisedAt: number | null;
}

/** Where a partition stands of which nothing was ever folded. */
export function firstPosition(offset: number): CommittedPosition {
  return {
    offset,
    watermark: NO_TIME,
    start: offset,
    parametersHash: "",
    secret: null,
    raisedAt: null,
  };
}

/** A partition of the input as it was claimed. */
export interface ClaimedPartition {
  readonly partition: number;
  readonly committed: CommittedPosition;
  /** First offset that the log still holds. */
  readonly logStart: number;
  /** Next offset that the log will give; offsets that readers skip may lie right before it. */
  readonly logEnd: number;
}

/** Record batches of an output partition; the log sets their base offsets. */
export interface TopicOutput {
  readonly topic: string;
  readonly partition: number;
  readonly batches: readonly Uint8Array[];
}

/** What becomes visible together: positions of input partitions and the outputs up to there. */
export interface Commit {
  readonly positions: readonly ({ readonly partition: number } & CommittedPosition)[];
  readonly outputs: readonly TopicOutput[];
  /** The span of the commit, if it is traced. */
  readonly trace?: TraceContext;
}

/**
 * committed: all of it is visible and durable. lost: all or nothing of it happened, or someone else
 * claimed the partitions; only a new claim shows which.
 */
export type CommitOutcome = "committed" | "lost";

export interface ReadOptions {
  /** About so many bytes are read at a time; at least one batch. */
  readonly maxBytes: number;
  /** At the end of the log: how long to wait for more. */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
  /** The batches are borrowed: from the next read of the partition on, their memory may be used for others. */
  readonly borrows?: boolean;
}

export interface ReadAnswer {
  /** Whole record batches in their order; the first may begin below the offset asked for. */
  readonly batches: readonly Uint8Array[];
  /**
   * Next offset that the log will give. The offset asked for, if the log has ended there for a reader, all the time
   * since the read before if that found the same: only offsets that readers skip lie behind it (markers, aborted
   * transactions), and nothing that is still open. -1 = not known.
   */
  readonly endOffset: number;
  /**
   * What the source itself says of time at the offset asked for, in ms: no earlier event follows, so
   * windows that end by then are fired. Absent: the records alone say so.
   */
  readonly watermark?: bigint;
  /** Those of the records that were appended with a trace; absent: none. */
  readonly traces?: readonly TracedOffsets[];
}

/** The right to fold and commit partitions of an input, until the next claim of them. */
export interface LogSession {
  readonly input: string;
  readonly partitions: readonly ClaimedPartition[];
  /**
   * Partitions that were asked for and are left out, because nobody can read them now, by why; `ending` is aborted
   * when one of them can be claimed.
   */
  readonly offline: ReadonlyMap<number, string>;
  /**
   * Claims further partitions for this session: every earlier claim of them is fenced off. Those that the session has
   * go on meanwhile.
   *
   * @param signal gives up waiting
   * @returns where they stand
   */
  add(partitions: readonly number[], signal?: AbortSignal): Promise<readonly ClaimedPartition[]>;
  /** Gives up partitions of which every commit was acknowledged: no commit of this session may name them again. */
  remove(partitions: readonly number[]): void;
  /**
   * Batches from `offset` on; none when there are none within waitMs.
   *
   * @throws {OffsetOutOfRangeError} when the log does not hold the offset
   */
  read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer>;
  /**
   * Makes outputs and positions visible together.
   *
   * @param signal until it is aborted, a commit for which the disk has no room is tried again, so that nothing
   * is lost and what was folded stays; without it such a commit is lost at once
   */
  commit(commit: Commit, signal?: AbortSignal): Promise<CommitOutcome>;
  /** Takes outputs ahead of their commit; null = the log takes them with their commit alone. */
  readonly ahead: AheadWriter | null;
  /** The producer that result batches carry inside their CRC; null = the log wants none. */
  readonly producer: Producer | null;
  /**
   * The sequence number behind all that the producer has written to an output partition, which the next result batch
   * there carries; 0 without a producer.
   */
  nextSequence(topic: string, partition: number): Promise<number>;
  /**
   * Aborted when the claim is about to be over: what is committed before the session is closed, soon, is not lost. Also
   * when it is over, where that comes without notice. Never aborted where no other process can claim.
   */
  readonly ending: AbortSignal;
  /** Where the log of a partition ended when it was last read from; null = not known. */
  endOf(partition: number): number | null;
  /** Ends the session; what is under way is lost. */
  close(): void;
}

/** A log that takes outputs before their commit. */
export interface AheadWriter {
  /**
   * Writes outputs that belong to the next commit: no reader sees them before. Resolves when the log has them; what
   * fails, that commit reports.
   */
  write(outputs: readonly TopicOutput[]): Promise<void>;
}

/** Who writes record batches, as Kafka knows producers. */
export interface Producer {
  readonly id: bigint;
  readonly epoch: number;
}

/** The savepoint that a log was created from: its state began there, not in a log. */
export interface RestoredFrom {
  readonly savepoint: string;
  /** Name of the job whose savepoint it was; logs that were created before this was kept have none. */
  readonly job?: string;
  /** When the log was created, ms since the epoch. */
  readonly at: number;
  /** By partition: the checkpoint that the state began with; null = the partition began empty. */
  readonly checkpoints:
    readonly ({ readonly sequence: number; readonly stateHash: string } | null)[];
}

/** How a log is to be created: at the positions of a savepoint instead of at offset 0. */
export interface Restoration {
  readonly from: RestoredFrom;
  /** By partition of the transaction topic. */
  readonly positions: readonly CommittedPosition[];
  /** How long the savepoint remembers transactions; the new log keeps to it. */
  readonly idempotencyWindowMs: number;
}

/** What keeps topics. PlainLog has the members that most logs have none of. */
export interface Log {
  /** Identity of the log, which checkpoints remember. */
  readonly id: string;
  /** The savepoint that the log was created from; null = none. */
  readonly restoredFrom: RestoredFrom | null;
  /**
   * The id of the topic of transactions: a topic that is created anew under the same name has another.
   * Checkpoints remember it. Null where topics have none.
   */
  readonly topicId: string | null;
  /** Largest batches that the log takes. */
  readonly limits: BatchLimits;
  /** Which partitioner its records show; null = what parameters say. */
  readonly partitioner: PartitionerName | null;
  /** How long transactions are remembered unless parameters say so, as the log was created with; null = they are not. */
  readonly idempotencyWindowMs: number | null;
  /** Whether its records come by themselves, so that the job reports how fast it folds them. */
  readonly reportsThroughput: boolean;
  /** How worker threads open the log by themselves; null = they call this thread. */
  readonly threads: ThreadedLog | null;
  /** Number of partitions of a topic. */
  partitionsOf(topic: string): number;
  /**
   * Claims partitions of an input topic (all by default); every earlier claim of them is fenced off, and so is
   * every earlier session of the same worker.
   *
   * @param partitions may be none: further ones are added later
   * @param signal gives up waiting for the claim: until the log answers, or its disk has room
   * @param worker which of the process's workers claims; by default the number of its first partition
   */
  claim(
    input: string,
    partitions?: readonly number[],
    signal?: AbortSignal,
    worker?: number,
  ): Promise<LogSession>;
  /** Whether the log answers; a log in this process always does. */
  readonly isAvailable: boolean;
  /**
   * Whether all partitions of transactions were claimed since this process last became the one that may
   * claim them; always where no other process ever does. Instances of earlier claims may still stand
   * meanwhile, though another process may have gone on.
   */
  readonly isClaimed: boolean;
  /** While another process may claim the transactions and this one waits to take over; null = it does not. */
  readonly standsBy: StandBy | null;
}

/** Bytes of a batch at the most. */
export interface BatchLimits {
  readonly batchBytesMax: number;
  /** Of a dead letter alone. */
  readonly deadLetterBytesMax: number;
}

/** This process stands by for another. */
export interface StandBy {
  /** host:port of the active process's HTTP API; null = it says none. */
  readonly active: string | null;
}

/** The log does not hold an offset. */
export class OffsetOutOfRangeError extends RangeError {
  override readonly name = "OffsetOutOfRangeError";

  /**
   * @param start first offset that the log holds
   * @param end next offset that it will give
   */
  constructor(
    topic: string,
    partition: number,
    offset: number,
    readonly start: number,
    readonly end: number,
  ) {
    super(`Offset ${offset} of ${topic}-${partition} is outside ${start}..${end}`);
  }
}

/** What a log has of a topic. @throws {RangeError} when it does not have the topic */
export function ofTopic<T>(found: T | undefined, topic: string): T {
  if (found === undefined) throw new RangeError(`The log has no topic ${topic}`);
  return found;
}
