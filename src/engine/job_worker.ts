import type { WorkerFigures } from "./figures.ts";
import type { HotItemFigures } from "./hot_items.ts";

/** A worker of transactions as the job sees it, in this thread or one of its own. */
export interface JobWorker {
  /**
   * Runs until the signal asks it to stop; then it finishes the batch, commits and takes a checkpoint.
   *
   * @throws {StopError} when it cannot go on
   */
  run(stop: AbortSignal): Promise<void>;
  figures(): WorkerFigures;
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
