import type { Clock } from "../../types/mod.ts";
import { ClientClosedError, isConnectionError } from "./errors.ts";

/** How often it is looked whether a call is under way for too long. */
const WATCH_MS = 1000;

/** Something that is asked of the brokers. */
interface Call {
  readonly what: string;
  readonly timeoutMs: number;
  /** monotonic ms */
  readonly from: number;
  fail(error: Error): void;
}

/** What is asked of the brokers of one client. When a connection fails, or nothing comes, all of it fails, and what comes. */
export class Calls {
  readonly #underWay = new Set<Call>();
  #isWatching = false;
  #broken: Error | null = null;
  /** Aborted when they are broken. */
  readonly #over = new AbortController();
  /** Until when a broker has asked for no further request, because of a quota; monotonic ms. */
  #throttledUntil = 0;

  constructor(readonly clock: Clock) {}

  /** Why all fail; null as long as they do not. */
  get broken(): Error | null {
    return this.#broken;
  }

  break(error: Error): void {
    this.#broken ??= error;
    for (const call of this.#underWay) call.fail(error);
    this.#underWay.clear();
    this.#over.abort(error);
  }

  /** A broker asks for no further request in so many ms, because of a quota. */
  throttle(ms: number): void {
    this.#throttledUntil = Math.max(this.#throttledUntil, this.clock.monotonic() + ms);
  }

  /**
   * Does something with the brokers, in so many ms at the most, or up to a second more.
   *
   * @param what is done, for who reads that it hung
   * @throws what it throws; when a connection fails, or nothing comes, all that is asked fails from then on
   */
  call<T>(work: () => Promise<T>, what: string, timeoutMs: number): Promise<T> {
    if (this.#broken) return Promise.reject(this.#broken);
    return new Promise<T>((resolve, reject) => {
      const call = { what, timeoutMs, from: this.clock.monotonic(), fail: reject };
      this.#underWay.add(call);
      void this.#watch();
      const fail = (error: Error) => {
        this.#underWay.delete(call);
        reject(error);
        if (isConnectionError(error)) this.break(error);
      };
      try {
        work().then((value) => {
          this.#underWay.delete(call);
          resolve(value);
        }, fail);
      } catch (error) {
        fail(error as Error); // else the call would count as one without an answer
      }
    });
  }

  /**
   * Looks now and then whether a call takes too long, until none is under way: hundreds are made a second, and a timer for
   * each would cost more than they do. Time in which a quota keeps the client from asking does not count.
   */
  async #watch(): Promise<void> {
    if (this.#isWatching) return;
    this.#isWatching = true;
    while (this.#underWay.size > 0) {
      await this.clock.sleep(WATCH_MS, this.#over.signal);
      const now = this.clock.monotonic();
      for (const { what, timeoutMs, from } of this.#underWay) {
        if (now < Math.max(from, this.#throttledUntil) + timeoutMs) continue;
        this.break(new ClientClosedError(`Kafka gave no answer to ${what} in ${timeoutMs} ms`));
      }
    }
    this.#isWatching = false;
  }
}
