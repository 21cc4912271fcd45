import type { WorkerFigures } from "./figures.ts";
import type { HotItemFigures } from "./figures.ts";

/** A worker of transactions as the job sees it, in this thread or one of its own. */
export interface JobWorker {
  /**
   * Runs until the signal asks it to stop; then it finishes the batch, commits and takes a checkpoint.
   *
   * @throws {StopError} when it cannot go on
   */
  run(stop: AbortSignal): Promise<void>;
  figures(): WorkerFigures;
  /** Whether it has a partition now. */
  folds(partition: number): boolean;
  /**
   * Takes one more partition up while the others go on. No other worker of the process may have it: see revoke.
   *
   * @param signal ends the waiting; the partition stays assigned
   * @throws {LostError} when the signal was aborted before the partition runs
   */
  assign(partition: number, signal?: AbortSignal): Promise<void>;
  /**
   * Gives a partition up while the others go on: folding ends, what was folded is committed. Resolves once no commit
   * of it by this worker can happen any more; from then on another may take it up.
   *
   * @param signal ends the waiting; the partition stays revoked
   * @throws {LostError} when the signal was aborted before
   */
  revoke(partition: number, signal?: AbortSignal): Promise<void>;
  /** The items that most of the records are of, as of now, by samples. */
  hotItems(count: number): Promise<HotItemFigures>;
  /**
   * The sequence of a checkpoint of everything that a partition has folded by now, which is taken if
   * need be; null when nothing was ever folded.
   *
   * @throws {LostError} when the partition is being recovered
   * @throws {Error} when the checkpoint could not be taken
   */
  checkpointNow(partition: number): Promise<number | null>;
}
