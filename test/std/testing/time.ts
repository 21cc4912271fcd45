// The part of JSR's @std/testing/time that the tests use, by the same names and signatures, over
// @sinonjs/fake-timers. README says which lines of deno.json to change to use the original.

import { type Clock, install } from "@sinonjs/fake-timers";

/** Replaces timers and Date until it is restored. */
export class FakeTime implements Disposable {
  readonly #clock: Clock;

  constructor(start: number | string | Date | null = Date.now()) {
    this.#clock = install({ now: new Date(start ?? 0) });
  }

  get now(): number {
    return this.#clock.now;
  }

  /** Advances time by so many ms and runs the timers due, with the microtasks between them. */
  async tickAsync(ms = 0): Promise<void> {
    await this.#clock.tickAsync(ms);
  }

  tick(ms = 0): void {
    this.#clock.tick(ms);
  }

  async runMicrotasks(): Promise<void> {
    await this.#clock.tickAsync(0);
  }

  restore(): void {
    this.#clock.uninstall();
  }

  [Symbol.dispose](): void {
    this.restore();
  }
}
