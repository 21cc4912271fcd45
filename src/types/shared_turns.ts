// Turns in which what several ask for is sent as one: heartbeats, and look-ups at other processes.
//
// Turns begin at moments that are the same for all of a thread, so what needs two of them waits once.

/** How far apart turns are. Whoever asks when none has been sent for so long does not wait at all. */
export const SHARED_TURN_MS = 10;

/**
 * ms until the next turn may be sent; 0 = now.
 *
 * @param now Clock.monotonic()
 * @param last when the last one was sent, by the same clock; -Infinity = never
 */
export function untilTurn(now: number, last: number, turnMs: number): number {
  const from = Math.floor(now / turnMs) * turnMs;
  return last < from ? 0 : from + turnMs - now;
}
