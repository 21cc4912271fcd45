import { LostError } from "../log/mod.ts";
import type { WorkerContext } from "./worker_context.ts";

/** How long a recovery goes on before others have their turn. */
const TURN_MS = 8;

/** Lets the other events of the thread have their turn now and then: partitions are recovered side by side. */
export class RecoveryTurns {
  #from: number;

  constructor(
    readonly context: Pick<WorkerContext, "clock" | "onStep">,
    readonly partition: number,
    /** Gives the recovery up. */
    readonly signal: AbortSignal,
  ) {
    this.#from = context.clock.monotonic();
  }

  /**
   * Yields if the turn is over.
   *
   * @throws {LostError} when the recovery was given up
   */
  async next(): Promise<void> {
    const { clock, onStep } = this.context;
    throwIfGivenUp(this.signal);
    if (clock.monotonic() - this.#from < TURN_MS) return;
    await clock.yield();
    throwIfGivenUp(this.signal);
    onStep?.("recovering", this.partition);
    this.#from = clock.monotonic();
  }
}

/** The error of a recovery that goes on no more. */
export function givenUp(): LostError {
  return new LostError(
    "The recovery was given up: the job stops, or another partition could not be recovered",
  );
}

/**
 * To be called behind whatever a recovery waits for: nobody may wait for it any more, and the partition may be another's.
 *
 * @throws {LostError}
 */
export function throwIfGivenUp(signal: AbortSignal): void {
  if (signal.aborted) throw givenUp();
}
