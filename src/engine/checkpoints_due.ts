// When checkpoints are taken: as they fall due, and when a worker stops; of one partition after the other.

import { getLogger } from "@logtape/logtape";
import { LostError } from "../log/mod.ts";
import { FencedError } from "../state/mod.ts";
import type { Clock } from "../types/mod.ts";
import type { Checkpointer } from "./checkpoint.ts";
import { never } from "./waiters.ts";

const log = getLogger(["stockflow", "checkpoint"]);

/** How often it is looked whether a checkpoint is due. */
const LOOK_MS = 250;

/** A partition as far as its checkpoints are concerned. */
export interface Checkpointed {
  readonly partition: number;
  readonly isRunning: boolean;
  /** Aborted when it is revoked. */
  readonly leaving: AbortSignal;
  readonly checkpointer: Checkpointer;
}

export interface DueOptions {
  /** Those that run at the moment. */
  readonly partitions: () => readonly Checkpointed[];
  /** Whether others are being recovered, which need the processors and the store more: these may wait for a while. */
  readonly areOthersRecovered: () => boolean;
  readonly clock: Clock;
  /** Ends it. */
  readonly stop: AbortSignal;
  /** Gives up the one under way, too. */
  readonly givenUp: AbortSignal;
}

/** Takes checkpoints as they fall due; the one under way is finished unless it is given up. */
export async function takeAsDue(
  { partitions, areOthersRecovered, clock, stop, givenUp }: DueOptions,
): Promise<void> {
  while (!stop.aborted) {
    for (const partition of partitions()) {
      // One that came before it may have taken long.
      if (stop.aborted || !partition.isRunning || partition.leaving.aborted) continue;
      const { checkpointer, leaving } = partition;
      if (!checkpointer.isDue(areOthersRecovered())) continue;
      const manifest = await checkpointer.take(AbortSignal.any([givenUp, leaving]))
        .catch(lostIfFenced);
      // What lies about in the store can wait for the next one.
      if (manifest && !givenUp.aborted) await checkpointer.tidy().catch(lostIfFenced);
    }
    await clock.sleep(LOOK_MS, stop);
  }
}

/**
 * Takes the last checkpoints of a worker, behind those that were under way. Where others may have the partitions by now,
 * neither is waited for while the store is away.
 *
 * @param underWay settles when those are done
 * @param isReleased whether others may have the partitions by now, who need no checkpoint of this process any more
 */
export async function takeAtStop(
  partitions: readonly Checkpointed[],
  underWay: Promise<void>,
  isReleased: () => boolean,
): Promise<void> {
  const ended = underWay.catch((error) => {
    if (!isReleased() || !isFenced(error)) throw error;
  }).then(() => "ended" as const);
  // Asked beside those: what a store that is away does not take is tried for minutes.
  const [first] = partitions;
  const asked = first && isReleased() ? ownsNow(first.checkpointer) : null;
  const away = asked?.then((owns) => owns === "away" ? owns : ended) ?? ended;
  const found = await Promise.race([ended, away]);
  if (found === "away") {
    void endBehindClaim(underWay);
    return leaveOut();
  }
  for (const [index, { partition, checkpointer }] of partitions.entries()) {
    // To encode one that the store refuses takes CPU from the next owner, which may be on this machine.
    const known = index === 0 ? asked : null;
    const owns = isReleased() ? await (known ?? ownsNow(checkpointer)) : "yes";
    // Each would be tried for minutes, and the group goes on without them.
    if (owns === "away") return leaveOut();
    if (owns === "no" || !await isTaken(checkpointer, isReleased)) {
      log.info("Partition {partition} has its next owner already", { partition });
    }
  }
}

function leaveOut(): void {
  log.warn("The last checkpoints are left out: the store is away");
}

/** Whether nobody has taken a partition over in the store, as far as that can be read now. */
async function ownsNow(checkpointer: Checkpointer): Promise<"yes" | "no" | "away"> {
  try {
    return await checkpointer.isOwner() ? "yes" : "no";
  } catch (error) {
    return error instanceof LostError ? "away" : "yes";
  }
}

/** Takes the last checkpoint; false when the next owner's epoch refused it, as is to be expected then. */
async function isTaken(checkpointer: Checkpointer, isReleased: () => boolean): Promise<boolean> {
  try {
    await checkpointer.take(never(), null, "stop");
  } catch (error) {
    if (!isReleased() || !(error instanceof FencedError)) lostIfFenced(error);
    return false;
  }
  return true;
}

/** Checkpoints end behind the claim that they were begun in: who is the next owner by now needs none of them. */
export async function endBehindClaim(underWay: Promise<void>): Promise<void> {
  await underWay.catch((error) => {
    if (isFenced(error)) return;
    const reason = (error as Error).message;
    log.warn("A checkpoint did not end in good order behind its claim: {reason}", { reason });
  });
}

/** Who is fenced off by the store takes the recovery path, like one whose commit was lost. */
export function lostIfFenced(error: unknown): never {
  if (error instanceof FencedError) throw new LostError(error.message, { cause: error });
  throw error;
}

const isFenced = (error: unknown) =>
  error instanceof LostError && error.cause instanceof FencedError;
