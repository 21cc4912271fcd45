import { untilAborted } from "../engine/waiters.ts";
import { type Clock, SHARED_TURN_MS, untilTurn } from "../types/mod.ts";

/** Heartbeats under way at the most: who asks while one is slow to be answered need not wait for its answer. */
const UNDER_WAY_MAX = 2;

/** When the heartbeats of a member are sent: some ms behind the answer to the one before, and when one is asked for. */
export class Heartbeats {
  /** One is asked for that is not sent yet. */
  #isAsked = false;
  #begunAt = -Infinity;
  #wake: (() => void) | null = null;

  constructor(readonly clock: Clock) {}

  /** Has one sent that begins behind this call, with all who ask in its turn. */
  ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#wake?.();
  }

  /**
   * Sends heartbeats of one generation until the signal is aborted.
   *
   * @param send sends one, and is given whether its answer counts when it comes: not behind the end of this call
   * @throws what the first of them that failed was rejected with
   */
  async run(
    intervalMs: number,
    send: (counts: () => boolean) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock } = this;
    let failed: { readonly error: unknown } | null = null;
    let isOver = false;
    let underWay = 0;
    let due = clock.monotonic() + intervalMs;
    const one = async () => {
      underWay++;
      try {
        await send(() => !isOver);
      } catch (error) {
        failed ??= { error };
      }
      underWay--;
      due = clock.monotonic() + intervalMs;
      if (!isOver) this.#wake?.();
    };
    /** ms until the next one; Infinity = until something changes. */
    const untilNext = () => {
      const now = clock.monotonic();
      if (underWay >= UNDER_WAY_MAX) return Infinity;
      if (this.#isAsked) return untilTurn(now, this.#begunAt, SHARED_TURN_MS);
      return underWay > 0 ? Infinity : due - now;
    };
    try {
      while (!signal.aborted) {
        if (failed) throw (failed as { readonly error: unknown }).error;
        const waitMs = untilNext();
        if (waitMs > 0) {
          await this.#sleep(waitMs, signal);
          continue;
        }
        this.#isAsked = false;
        this.#begunAt = clock.monotonic();
        void one();
      }
    } finally {
      isOver = true;
    }
  }

  /** Until something changes, the signal is aborted, or the time is over. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const sooner = new AbortController();
    const wake = () => sooner.abort("woken"); // without a reason an error with a stack is made
    this.#wake = wake;
    signal.addEventListener("abort", wake);
    await (ms === Infinity ? untilAborted(sooner.signal) : this.clock.sleep(ms, sooner.signal));
    signal.removeEventListener("abort", wake);
    this.#wake = null;
  }
}
