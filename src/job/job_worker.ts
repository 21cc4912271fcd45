import type { WorkerFigures } from "./worker/figures.ts";

/** A worker of transactions as the job sees it, in this thread or one of its own. */
export interface JobWorker {
  /**
   * Runs until the signal asks it to stop; then it finishes the batch, commits and takes a checkpoint.
   *
   * @throws {StopError} when it cannot go on
   */
  run(stop: AbortSignal): Promise<void>;
  figures(): WorkerFigures;
  /** Takes a checkpoint of a partition now; answers the sequence of the newest one, null if there is none. */
  checkpointNow(partition: number): Promise<number | null>;
}
