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
  /** Next offset that the log will give. */
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
  /** Next offset that the log will give. */
  readonly highWatermark: number;
}

/** The right to fold and commit partitions of an input, until the next claim of them. */
export interface LogSession {
  readonly input: string;
  readonly partitions: readonly ClaimedPartition[];
  /**
   * Batches from `offset` on; none when there are none within waitMs.
   *
   * @throws {OffsetOutOfRangeError} when the log does not hold the offset
   */
  read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer>;
  commit(commit: Commit): Promise<CommitOutcome>;
  /** The producer that result batches carry inside their CRC; without it the log wants none. */
  readonly producer?: { readonly id: bigint; readonly epoch: number };
  /** Ends the session; what is under way is lost. */
  close?(): void;
}

export interface Log {
  /** Identity of the log, which checkpoints remember. */
  readonly id: string;
  /** Number of partitions of a topic. */
  partitionsOf(topic: string): number;
  /**
   * Claims partitions of an input topic (all by default); every earlier claim of them is fenced off.
   *
   * @param signal gives up waiting for the claim
   */
  claim(input: string, partitions?: readonly number[], signal?: AbortSignal): Promise<LogSession>;
  /** Whether the log answers; a log in this process always does. */
  readonly isAvailable?: boolean;
}

/** The log does not hold an offset. */
export class OffsetOutOfRangeError extends RangeError {
  override readonly name = "OffsetOutOfRangeError";

  constructor(topic: string, partition: number, offset: number, start: number, end: number) {
    super(`Offset ${offset} of ${topic}-${partition} is outside ${start}..${end}`);
  }
}
