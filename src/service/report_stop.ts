import { getLogger } from "@logtape/logtape";
import { newestCheckpoints } from "./restore.ts";
import type { CheckpointStore } from "../state/mod.ts";
import type { WorkerFigures } from "../engine/figures.ts";
import type { JobContext } from "./job_context.ts";

const log = getLogger(["stockflow", "job"]);

/** A job that is about to end. */
export interface StoppingJob {
  readonly store: CheckpointStore;
  readonly context: Pick<JobContext, "clock" | "transactionLog">;
  figures(): readonly WorkerFigures[];
}

/**
 * Reports in one line what a stop did: what was folded, and where the checkpoints stand that the next start goes on
 * from. Called before the store is closed.
 *
 * @param askedAt when the stop was asked for, in ms of the monotonic clock; null = it was not
 */
export async function reportStop(job: StoppingJob, askedAt: number | null): Promise<void> {
  if (askedAt === null) return;
  const { store, context: { clock, transactionLog } } = job;
  const records = job.figures().reduce((n, { recordsIn }) => n + recordsIn, 0);
  const since = clock.now() - Math.round(clock.monotonic() - askedAt);
  let offsets = "unknown, for their file cannot be read";
  let checkpoints = 0;
  try {
    const stand = await newestCheckpoints(store, transactionLog.id, null);
    offsets = [...stand].map(([partition, { offset }]) => `${partition}:${offset}`).join(" ") ||
      "none";
    const events = await store.history.list();
    checkpoints = events.filter(({ kind, at }) => kind === "completed" && at >= since).length;
  } catch {
    // The stop goes on: what was committed is in the log.
  }
  log.info(
    "Stopped in {ms} ms: {records} records folded since the start, {checkpoints} checkpoints taken at the stop; " +
      "checkpoints stand at offsets {offsets} (by partition)",
    { ms: Math.round(clock.monotonic() - askedAt), records, checkpoints, offsets },
  );
}
