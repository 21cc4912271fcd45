import type { ProcessSink } from "../service/mod.ts";
import { type Clock, systemClock } from "../types/mod.ts";
import { JobEndedError, JobFailedError, TimeoutError } from "./errors.ts";

const TIMEOUT_MS = 10_000;

export interface CollectingOptions {
  /** By which poll waits; the machine's by default. */
  readonly clock?: Clock;
}

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** A sink that keeps what the job committed until a test takes it. */
export class CollectingSink<T> implements ProcessSink<T> {
  readonly kind = "process";
  readonly #clock: Clock;
  readonly #values: T[] = [];
  readonly #waiting: Waiter<T>[] = [];
  #taken = 0;
  #ended: Error | null = null;

  constructor({ clock = systemClock }: CollectingOptions = {}) {
    this.#clock = clock;
  }

  accept(values: readonly T[]): void {
    for (const value of values) {
      const waiter = this.#waiting.shift();
      if (!waiter) this.#values.push(value);
      else {
        this.#taken++;
        waiter.resolve(value);
      }
    }
  }

  /**
   * Takes the next value; waits for it if there is none yet. Of several calls the first gets the first.
   *
   * @throws {TimeoutError} when none came within `timeoutMs`
   * @throws {JobFailedError} when the job failed instead
   * @throws {JobEndedError} when the job has ended without it
   */
  async poll(timeoutMs: number = TIMEOUT_MS): Promise<T> {
    if (this.#values.length > 0) {
      this.#taken++;
      return this.#values.shift()!;
    }
    if (this.#ended) throw this.#ended;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter = { resolve, reject };
    this.#waiting.push(waiter);
    const over = new AbortController();
    void this.#clock.sleep(timeoutMs, over.signal).then(() => {
      const at = this.#waiting.indexOf(waiter);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      reject(
        new TimeoutError(`Nothing came within ${timeoutMs} ms, after ${this.#taken} values before`),
      );
    });
    try {
      return await promise;
    } finally {
      over.abort();
    }
  }

  /** Whether nothing is left to be taken: final behind JobTester.settle, and when the job has ended. */
  isEmpty(): boolean {
    return this.#values.length === 0;
  }

  /** Values that are there to be taken. */
  get size(): number {
    return this.#values.length;
  }

  /** Notifies whoever waits how a job ended, or will wait: JobTester calls it. */
  follow(finished: Promise<void>): void {
    this.#ended = null;
    finished.then(
      () => this.#end(new JobEndedError("The job has ended, nothing more comes")),
      (error) =>
        this.#end(
          new JobFailedError(`The job has failed: ${(error as Error).message}`, { cause: error }),
        ),
    );
  }

  #end(error: Error): void {
    this.#ended = error;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
  }
}
