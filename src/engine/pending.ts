// What waits for a commit, and who has it.

import type { CommittedPosition, TopicOutput } from "../log/mod.ts";
import type { TraceContext, TracedQueue } from "../types/mod.ts";

/** Outputs and position of a partition that are ready to be committed. */
export interface Pending {
  readonly position: CommittedPosition;
  readonly outputs: readonly TopicOutput[];
  /** What it serves that is traced; absent: nothing. */
  readonly traces?: readonly TraceContext[];
}

/** A partition that has something to commit from time to time. */
export interface Committable<P extends Pending = Pending> {
  readonly partition: number;
  /** Bytes that wait to be taken. */
  readonly pendingBytes: number;
  /** What is new since the last call; null if nothing is, or it is not complete yet. */
  take(): P | null;
  /** What was taken is committed. */
  acknowledge(pending: P): void;
}

/** Bounds of the bytes that wait for a commit. */
export interface PendingLimits {
  /** From so many on a commit is made before its time, or they are written ahead of it. */
  readonly earlyBytes: number;
  /** From so many on folding waits. */
  readonly maxBytes: number;
}

/** What a partition has ready to be committed. */
export interface PendingTransactions extends Pending {
  readonly results: readonly Uint8Array<ArrayBuffer>[];
  /** Records in the summaries; a commit may take the batches themselves away to another thread. */
  readonly summaryRecords: number;
  /** Records in all outputs. */
  readonly outputRecords: number;
}

/** The partition that a processor is of, while it runs. */
export interface Runner {
  /** What is folded and traced, until its commit; null: nothing is traced. */
  readonly traced: TracedQueue | null;
  /** What was pending is committed. */
  onCommitted(pending: PendingTransactions): void;
}
