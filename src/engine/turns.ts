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
  ) {
    this.#from = context.clock.monotonic();
  }

  /** Yields if the turn is over. */
  async next(): Promise<void> {
    const { clock, onStep } = this.context;
    if (clock.monotonic() - this.#from < TURN_MS) return;
    await clock.yield();
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
