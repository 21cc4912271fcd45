// From a claim to where its partitions run: what stands where the claim does goes on with what the claim before has left,
// all else is recovered.

import { type ClaimedPartition, type LogSession, LostError } from "../log/mod.ts";
import { TracedQueue } from "../types/mod.ts";
import { Partition } from "./partition.ts";
import type { PendingTransactions } from "./partition_processor.ts";
import type { ProgressReporter } from "./progress.ts";
import { produceFor, recover, StaleClaimError } from "./recover.ts";
import { whyImpossible } from "./recovery_plan.ts";
import { together } from "./supervise.ts";
import type { WorkerContext } from "./worker_context.ts";

export interface ClaimRecoveryOptions {
  readonly context: WorkerContext;
  /** Is given what was committed of a partition. */
  readonly onAcknowledged: (pending: PendingTransactions) => void;
  /** A partition runs. */
  readonly onRuns: (partition: Partition) => void;
}

/** Partitions of a claim that are to be recovered. */
export interface Recovering {
  readonly session: LogSession;
  readonly lost: readonly ClaimedPartition[];
  readonly progress: ProgressReporter;
}

/** Begins the partitions of a worker, claim after claim. */
export class ClaimRecovery {
  /** Those of the claim before: what stands at the next one is kept. */
  #left: readonly Partition[] = [];
  /** Positions of claims that recovery found older than a checkpoint, by partition. */
  readonly #doubted = new Map<number, number>();

  constructor(readonly options: ClaimRecoveryOptions) {}

  /** A claim is over: the next one may keep these, once they are released. */
  leave(partitions: readonly Partition[]): void {
    this.#left = [...this.#left, ...partitions];
  }

  /** Goes on with what the claim before has left, which is forgotten then. Answers what has to be recovered. */
  async keepAll(session: LogSession): Promise<readonly ClaimedPartition[]> {
    const lost: ClaimedPartition[] = [];
    for (const claimed of session.partitions) {
      if (!await this.#keep(session, claimed)) lost.push(claimed);
    }
    for (const left of this.#left) left.drop();
    this.#left = [];
    return lost;
  }

  /**
   * Recovers partitions side by side: while one waits for the store or the log, another folds. Where the claim is about
   * to be over, they are left to the next one.
   *
   * @param stop gives it up
   * @param runs is called with each that runs
   */
  async recoverAll(
    { session, lost, progress }: Recovering,
    stop: AbortSignal,
    runs: (partition: Partition) => void = () => {},
  ): Promise<void> {
    const { ending } = session;
    await together(lost.map((claimed) => async (failed) => {
      const signal = AbortSignal.any([stop, failed, ending]);
      try {
        const partition = await this.recover(session, claimed, signal, progress);
        if (partition) runs(partition);
      } catch (error) {
        const isLeft = error instanceof LostError && ending.aborted && !stop.aborted;
        if (!isLeft) throw error;
      }
    }));
  }

  /** Recovers a claimed partition, which runs then; null when the signal is aborted before. */
  async recover(
    session: LogSession,
    claimed: ClaimedPartition,
    signal: AbortSignal,
    progress: ProgressReporter,
  ): Promise<Partition | null> {
    const { context, onRuns } = this.options;
    const partition = this.#newPartition(claimed);
    await recover(context, session, partition, signal, progress).catch((error) => {
      partition.release();
      this.#again(error, claimed);
    });
    if (signal.aborted) {
      partition.release();
      this.leave([partition]);
      return null;
    }
    onRuns(partition);
    return partition;
  }

  #newPartition(claimed: ClaimedPartition): Partition {
    const { context: { tracing }, onAcknowledged } = this.options;
    return new Partition(claimed, onAcknowledged, tracing ? new TracedQueue() : null);
  }

  /** Whether a partition goes on with what the claim before has left of it; else that is forgotten. */
  async #keep(session: LogSession, claimed: ClaimedPartition): Promise<boolean> {
    const left = this.#left.find((p) => p.partition === claimed.partition);
    if (!left) return false;
    this.#left = this.#left.filter((p) => p !== left);
    const partition = this.#newPartition(claimed);
    // A log that lost records is found by the recovery, which says so.
    if (whyImpossible(claimed) === null && partition.keep(left)) {
      await produceFor(partition.processor, session);
      this.options.onRuns(partition);
      return true;
    }
    partition.release();
    left.drop();
    return false;
  }

  /** A claim that is behind a checkpoint is made again, once: if the next one is not newer, the error stands. */
  #again(error: unknown, { partition, committed }: ClaimedPartition): never {
    if (!(error instanceof StaleClaimError)) throw error;
    if (this.#doubted.get(partition) === committed.offset) throw error;
    this.#doubted.set(partition, committed.offset);
    throw new LostError(error.message, { cause: error });
  }
}
