import type { Clock } from "../types/mod.ts";
import type { ConditionFacts, ConditionReporter } from "./conditions.ts";

/** What is over within this time is not worth a word: leaders and coordinators move all the time. */
export const WAIT_MS_MIN = 2000;

interface Wait {
  readonly what: string;
  /** Clock.monotonic() at the first failure. */
  readonly since: number;
  /** Whether it is reported. */
  stands: boolean;
}

/**
 * Things that are tried again until they can be done. One that fails for longer than a moment is reported as a
 * condition, until it is done or given up.
 *
 * @example
 * waits.failed("leader 3", "input", { reason: "Partition 3 has no leader", blocks: "nothing" });
 * waits.over("leader 3");
 */
export class Waits {
  readonly #waits = new Map<string, Wait>();

  constructor(readonly conditions: ConditionReporter, readonly clock: Clock) {}

  /**
   * It could not be done, and is tried again.
   *
   * @param key by which waits are known
   * @param what the condition; several waits may be reported as one
   */
  failed(key: string, what: string, facts: ConditionFacts): void {
    const now = this.clock.monotonic();
    const wait = this.#waits.get(key) ?? { what, since: now, stands: false };
    this.#waits.set(key, wait);
    if (now - wait.since < WAIT_MS_MIN) return;
    wait.stands = true;
    this.conditions.set(what, facts);
  }

  /** It is done, or nobody waits for it any more. */
  over(key: string): void {
    const wait = this.#waits.get(key);
    if (!wait) return;
    this.#waits.delete(key);
    const others = [...this.#waits.values()].some((w) => w.stands && w.what === wait.what);
    if (wait.stands && !others) this.conditions.clear(wait.what);
  }

  /** Nobody waits for anything any more. */
  allOver(): void {
    for (const key of [...this.#waits.keys()]) this.over(key);
  }
}
