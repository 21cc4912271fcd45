import { getLogger } from "@logtape/logtape";
import type { Chance, Clock } from "../../types/mod.ts";
import { StopError } from "../../log/mod.ts";

const log = getLogger(["stockflow", "feed"]);

const BACK_OFF_FIRST_MS = 200;
const BACK_OFF_MAX_MS = 10_000;

export interface AppendOrWaitOptions {
  /** What brings the records, and how many they are, for messages. */
  readonly from: string;
  readonly count: number;
  readonly target: { readonly clock: Clock; readonly chance: Chance };
  readonly stop: AbortSignal;
}

/**
 * Appends until the log has taken it, or the signal is aborted.
 *
 * @throws {StopError} when the log takes none from the job
 */
export async function appendOrWait(
  append: () => Promise<unknown>,
  { from, count, target: { clock, chance }, stop }: AppendOrWaitOptions,
): Promise<void> {
  for (let attempt = 0; !stop.aborted; attempt++) {
    try {
      await append();
      return;
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof StopError) throw error;
      const reason = (error as Error).message;
      log.error("{count} records of {from} wait, the log does not take them: {reason}", {
        count,
        from,
        reason,
      });
      const wait = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** attempt);
      await clock.sleep(wait * (0.5 + chance()), stop);
    }
  }
}
