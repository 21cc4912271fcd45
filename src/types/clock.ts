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

/** The chance of the machine. */
export const systemChance: Chance = () => Math.random();
