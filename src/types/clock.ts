import { setImmediate } from "node:timers";

/** Time as the engine sees it; tests and the simulator bring their own. */
export interface Clock {
  /** ms since the epoch */
  now(): number;
  /** ms since some moment in the past, for durations */
  monotonic(): number;
  /** Resolves after so many ms, or as soon as the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Lets the other events of this thread have their turn. */
  yield(): Promise<void>;
}

/** Chance as the engine sees it: a number in [0, 1). */
export type Chance = () => number;

/** The time of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done);
    }),
  yield: () => new Promise((resolve) => void setImmediate(resolve)),
};

/**
 * The chance of the machine. Ids that are shown and secrets that are kept are drawn from it: what was
 * drawn before must not show what comes, as it does with Math.random.
 */
export const systemChance: Chance = () => {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high! * 2 ** 21 + (low! >>> 11)) / 2 ** 53;
};

/** A UUID of version 4 (RFC 9562), by chance. */
export function randomId(chance: Chance): string {
  const digits = Array.from({ length: 32 }, () => Math.floor(chance() * 16));
  digits[12] = 4;
  digits[16] = 8 + digits[16]! % 4;
  const hex = digits.map((digit) => digit.toString(16)).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
