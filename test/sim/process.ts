// A process of the cluster, as the world outside sees it: its clock, its calls, its death.

import type { Chance, Clock } from "../../src/types/mod.ts";
import type { SimEvent } from "./scheduler.ts";
import type { Sim } from "./sim.ts";

/** How a call reaches the world outside and how its answer comes back; ms. */
export interface CallOptions {
  /** Until it takes effect. */
  readonly latencyMs: number;
  /** From the effect to the answer; 0 = at once. */
  readonly answerMs?: number;
  /** It is on its way already: it takes effect even if the process dies meanwhile. */
  readonly sent?: boolean;
}

export class SimProcess {
  alive = true;
  /** What its wall clock is ahead, in ms. */
  wallOffset = 0;
  #paused = false;
  /** Calls until it dies at one, before or after that takes effect. */
  #dies: { calls: number; readonly after: boolean } | null = null;
  /** Each forgets a sleep: signals keep whoever listens to them. */
  readonly #sleeps = new Set<() => void>();
  /** What is delivered when it goes on. */
  #held: (() => void)[] = [];
  readonly clock: Clock;
  readonly chance: Chance;

  constructor(readonly sim: Sim, readonly name: string) {
    const { scheduler, random, plan } = sim;
    this.chance = () => random.below(2 ** 32) / 2 ** 32;
    this.clock = {
      now: () => sim.wall + this.wallOffset,
      monotonic: () => {
        // Computing takes time, so that turns come to their end.
        if (this.alive) scheduler.spend(sim.between(0, plan.slownessMs));
        return scheduler.now;
      },
      sleep: (ms, signal) => this.#sleep(ms, signal),
      yield: () => new Promise((resolve) => void this.after(sim.between(0, 0.2), resolve)),
    };
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      if (!this.alive) return;
      const forget = () => {
        event.run = null;
        signal?.removeEventListener("abort", wake);
        this.#sleeps.delete(forget);
      };
      const wake = () => {
        forget();
        resolve();
      };
      const event = this.after(ms, wake);
      this.#sleeps.add(forget);
      signal?.addEventListener("abort", wake);
    });
  }

  /** Has something happen to the process in so many ms, if it lives then. */
  after(ms: number, run: () => void): SimEvent {
    const event = this.sim.scheduler.after(ms, () => {
      if (this.alive && this.#paused) this.#held.push(() => event.run && run());
      else if (this.alive) run();
    });
    return event;
  }

  /** Calls something outside. A dead process is never answered. */
  call<T>(effect: () => T, { latencyMs, answerMs = 0, sent = false }: CallOptions): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.alive) return;
      this.sim.scheduler.after(latencyMs, () => {
        const dies = this.#dies !== null && --this.#dies.calls === 0;
        if (dies && !this.#dies!.after) this.#die("before");
        if (!this.alive && !sent) return;
        let settle: () => void;
        try {
          const value = effect();
          settle = () => resolve(value);
        } catch (error) {
          settle = () => reject(error);
        }
        if (dies) this.#die("after");
        if (answerMs > 0 || this.#paused) this.after(answerMs, settle);
        else if (this.alive) settle();
      });
    });
  }

  /** Has it die at the n-th call from now. */
  dieAtCall(n: number, after: boolean): void {
    this.#dies = { calls: n, after };
  }

  #die(when: string): void {
    if (!this.alive || this.sim.healed) return;
    this.sim.trace(this.name, `dies ${when} a call`);
    this.kill();
  }

  /** Ends it as kill -9 would: nothing that it does from now on reaches anyone. */
  kill(): void {
    this.alive = false;
    this.#held = [];
    for (const forget of this.#sleeps) forget();
  }

  /** Stops it for a while (SIGSTOP): what it asked for goes on, but it does nothing and hears nothing. */
  pause(): void {
    this.#paused = true;
  }

  get paused(): boolean {
    return this.#paused;
  }

  resume(): void {
    this.#paused = false;
    for (const run of this.#held.splice(0)) this.after(this.sim.between(0, 0.1), run);
  }
}
