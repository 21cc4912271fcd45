// The port of a log: what a job needs of it, whatever keeps it.

/** Where the state of a partition stood at the last commit. */
export interface CommittedPosition {
  /** Next offset to fold. */
  readonly offset: number;
  /** Fired watermark in ms; NO_TIME at first. */
  readonly watermark: bigint;
  /** Offset where the state began; null when it did not begin in this log (other fold parameters before). */
  readonly start: number | null;
  /** Hash of the fold parameters; empty before the first fold. */
  readonly parameters: string;
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
}

/**
 * committed: all of it is visible and durable. lost: all or nothing of it happened, or someone else
 * claimed the partitions; only a new claim tells.
 */
export type CommitOutcome = "committed" | "lost";

export interface ReadOptions {
  /** About so many bytes are read at a time; at least one batch. */
  readonly maxBytes: number;
  /** At the end of the log: how long to wait for more. */
  readonly waitMs: number;
  readonly signal?: AbortSignal;
}

export interface ReadAnswer {
  /** Whole record batches in their order; the first may begin below the offset asked for. */
  readonly batches: readonly Uint8Array[];
  /**
   * Next offset that the log will give. The offset asked for, if the log has ended there for a reader:
   * only offsets that readers skip lie behind it (markers, aborted transactions), and nothing that is
   * still open.
   */
  readonly highWatermark: number;
  /**
   * What the source itself says of time at the offset asked for, in ms: no earlier event follows, so
   * windows that end by then are fired. Absent: the records alone tell.
   */
  readonly watermark?: bigint;
}

/** The right to fold and commit partitions of an input, until the next claim of them. */
export interface LogSession {
  readonly input: string;
  readonly partitions: readonly ClaimedPartition[];
  /**
   * Partitions that were asked for and are left out, because nobody can read them now, by why; `ending` is aborted
   * when one of them can be claimed. Absent: none.
   */
  readonly offline?: ReadonlyMap<number, string>;
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
  /**
   * Writes outputs ahead of the commit that they belong to, which is the next one: no reader sees them
   * before. Resolves when the log has them; what fails is told by that commit. Absent: the log writes
   * outputs with their commit alone.
   */
  write?(outputs: readonly TopicOutput[]): Promise<void>;
  /** The producer that result batches carry inside their CRC; without it the log wants none. */
  readonly producer?: { readonly id: bigint; readonly epoch: number };
  /**
   * Aborted when the claim is about to be over: what is committed before the session is closed, soon, is
   * not lost. Absent: a claim ends without notice.
   */
  readonly ending?: AbortSignal;
  /** Where the log of a partition ended when it was last read from; null = not known. Absent: never. */
  endOf?(partition: number): number | null;
  /** Ends the session; what is under way is lost. */
  close?(): void;
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
}

export interface Log {
  /** Identity of the log, which checkpoints remember. */
  readonly id: string;
  /** The savepoint that the log was created from, if any. */
  readonly restoredFrom?: RestoredFrom | null;
  /**
   * The id of the topic of transactions, where topics have one: a topic that is created anew under the
   * same name has another. Checkpoints remember it.
   */
  readonly topicId?: string | null;
  /** Number of partitions of a topic. */
  partitionsOf(topic: string): number;
  /**
   * Claims partitions of an input topic (all by default); every earlier claim of them is fenced off.
   *
   * @param signal gives up waiting for the claim: until the log answers, or its disk has room
   */
  claim(input: string, partitions?: readonly number[], signal?: AbortSignal): Promise<LogSession>;
  /** Whether the log answers; a log in this process always does. */
  readonly isAvailable?: boolean;
  /**
   * Whether all partitions of transactions were claimed since this process last became the one that may
   * claim them; undefined where no other ever does. Instances of earlier claims may still stand meanwhile,
   * though another process may have gone on.
   */
  readonly isClaimed?: boolean;
  /**
   * While another process may claim the transactions and this one waits to take over: where the other is
   * reached (host:port; null = it says nowhere). Undefined where no other ever does.
   */
  readonly standsBy?: StandBy | null;
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
