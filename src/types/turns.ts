import type { Clock } from "./clock.ts";

/** Who waits for a turn, by the clock of the thread. */
const QUEUES = new WeakMap<Clock, (() => void)[]>();

/**
 * Resolves when it is the caller's turn to work on something long. All long works of a thread take turns, one
 * in each turn of the event loop, so that whatever is short waits for one slice, however many works there are.
 */
export function takeTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const queue = QUEUES.get(clock);
    if (queue) return void queue.push(resolve);
    const own = [resolve];
    QUEUES.set(clock, own);
    void giveTurns(clock, own);
  });
}

async function giveTurns(clock: Clock, queue: (() => void)[]): Promise<void> {
  while (queue.length > 0) {
    await clock.yield();
    queue.shift()!();
  }
  QUEUES.delete(clock);
}
