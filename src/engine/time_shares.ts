import type { Clock } from "../types/mod.ts";
import type { Shares } from "./figures.ts";

type State = keyof Shares;

/** Sums up what several loops of a worker do with their time; older time counts less. */
export class TimeShares {
  readonly #sums: Record<State, number> = { busy: 0, idle: 0, backPressured: 0 };

  /** What is being measured: a wait that lasts counts from its beginning, not only once it is over. */
  readonly #open = new Set<{ readonly state: State; from: number }>();

  constructor(readonly clock: Clock) {}

  /** Measures a wait or a piece of work. */
  async measure<T>(state: State, work: () => Promise<T>): Promise<T> {
    const open = { state, from: this.clock.monotonic() };
    this.#open.add(open);
    try {
      return await work();
    } finally {
      this.#open.delete(open);
      this.#sums[state] += this.clock.monotonic() - open.from;
    }
  }

  /** Shares of the time since about the last calls of this: what was before counts half at each. */
  recent(): Shares {
    const now = this.clock.monotonic();
    for (const open of this.#open) {
      this.#sums[open.state] += now - open.from;
      open.from = now;
    }
    const { busy, idle, backPressured } = this.#sums;
    const all = busy + idle + backPressured;
    for (const state of Object.keys(this.#sums) as State[]) this.#sums[state] /= 2;
    const share = (ms: number) => all === 0 ? 0 : ms / all;
    return { busy: share(busy), idle: share(idle), backPressured: share(backPressured) };
  }
}
