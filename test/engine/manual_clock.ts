import { setImmediate } from "node:timers";
import type { Clock } from "../../src/types/mod.ts";
import { FaultKv } from "../kv/fault_kv.ts";

const TURNS = 6;

interface Sleeper {
  readonly due: number;
  wake(): void;
}

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #time = 1_700_000_000_000;
  readonly #sleepers = new Set<Sleeper>();

  now(): number {
    return this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const sleeper = {
        due: this.#time + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener("abort", sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", sleeper.wake);
    });
  }

  yield(): Promise<void> {
    return new Promise((resolve) => void setImmediate(resolve));
  }

  /** Moves time and wakes who slept until then; gives everyone a few turns. */
  async advance(ms: number): Promise<void> {
    this.#time += ms;
    for (const sleeper of [...this.#sleepers]) if (sleeper.due <= this.#time) sleeper.wake();
    await this.settle();
  }

  /** Turns of the event loop until no KV has anything to do. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < TURNS; quiet++) {
      await this.yield();
      if (FaultKv.inFlight === 0) continue;
      await FaultKv.whenQuiet();
      quiet = 0;
    }
  }

  /** Moves time until the promise is settled. */
  async run<T>(promise: Promise<T>, what: string): Promise<T> {
    let settled = false;
    promise.then(() => settled = true, () => settled = true);
    await this.until(() => settled, what);
    return await promise;
  }

  /** Moves time in small steps until the condition holds. */
  async until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    for (let i = 0; i < 3000; i++) {
      if (await condition()) return;
      await this.advance(50);
    }
    throw new Error(`It never came to it: ${what}`);
  }
}
