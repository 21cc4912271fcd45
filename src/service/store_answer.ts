import { LostError } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";

/**
 * Waits for an answer of the store of checkpoints, which may be on another machine, and away: its client asks again
 * without end.
 *
 * @throws {LostError} when it does not come within so many ms; a write that was asked for may still happen then
 */
export async function storeAnswer<T>(
  clock: Pick<Clock, "sleep">,
  answer: Promise<T>,
  msMax: number,
): Promise<T> {
  const answered = new AbortController();
  const late = clock.sleep(msMax, answered.signal).then(() => {
    throw new LostError(`The store of checkpoints does not answer within ${msMax} ms`);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    answered.abort("answered"); // without a reason an error with a stack is made
  }
}
