// When a worker takes checkpoints of its partitions: as they fall due, when somebody asks for one, and when it stops.

import { getLogger } from "@logtape/logtape";
import { LostError } from "../log/mod.ts";
import { FencedError } from "../state/mod.ts";
import type { Clock } from "../types/mod.ts";
import type { Partition } from "./partition.ts";
import { never } from "./waiters.ts";

const log = getLogger(["stockflow", "checkpoint"]);

/** How often it is looked whether a checkpoint is due. */
const LOOK_MS = 250;

/**
 * Takes checkpoints as they fall due; the one under way is finished unless something failed.
 *
 * @param partitions those that run at the moment
 */
export async function takeAsDue(
  partitions: () => readonly Partition[],
  clock: Clock,
  stop: AbortSignal,
  failed: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    for (const partition of partitions()) {
      // One that came before it may have taken long.
      if (stop.aborted || partition.state !== "running" || partition.leaving.aborted) continue;
      const { checkpointer, leaving } = partition;
      if (!checkpointer.due) continue;
      const manifest = await checkpointer.take(AbortSignal.any([failed, leaving]))
        .catch(lostIfFenced);
      if (manifest) await checkpointer.tidy().catch(lostIfFenced);
    }
    await clock.sleep(LOOK_MS, stop);
  }
}

/**
 * Takes one of all that a partition has folded.
 *
 * @returns its sequence; null when nothing ever was folded
 * @throws {LostError} when the partition is being recovered
 */
export async function takeNow(
  number: number,
  partition: Partition | undefined,
  signal: AbortSignal,
): Promise<number | null> {
  // Before it is ready, it has not folded all that was answered.
  if (!partition?.isReady || partition.leaving.aborted) {
    throw new LostError(`Partition ${number} is being recovered`);
  }
  return await partition.checkpointer.now(signal).catch(lostIfFenced);
}

/** @param isReleased others may have the partitions by now, who need no checkpoint of this process any more */
export async function takeAtStop(
  partitions: readonly Partition[],
  isReleased: boolean,
): Promise<void> {
  for (const { partition, checkpointer } of partitions) {
    await checkpointer.take(never(), false, "stop").catch((error) => {
      if (!isReleased || !(error instanceof FencedError)) lostIfFenced(error);
      log.info("Partition {partition} has its next owner already", { partition });
    });
  }
}

/** Who is fenced off by the store takes the recovery path, like one whose commit was lost. */
function lostIfFenced(error: unknown): never {
  if (error instanceof FencedError) throw new LostError(error.message, { cause: error });
  throw error;
}
