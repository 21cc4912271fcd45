import { getLogger } from "@logtape/logtape";
import { isNoRoom } from "../kv/mod.ts";
import type { Chance, Clock } from "../types/mod.ts";
import type { ConditionReporter } from "./conditions.ts";
import { DamagedBatchError, LostError, RefusedError, StopError } from "../log/mod.ts";
import { Waits } from "./waits.ts";

const log = getLogger(["stockflow", "job"]);

const NOBODY: ConditionReporter = { set: () => {}, clear: () => {} };
const BACK_OFF_FIRST_MS = 50;
const BACK_OFF_MAX_MS = 5000;

export interface SuperviseOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Recoveries in a row without progress from errors that nobody foresaw. */
  readonly attempts: number;
  /** The same, from a log that refuses what it is asked. */
  readonly retries: number;
  /** A number that grows with every commit. */
  readonly progress: () => number;
  /** Learns why the next session begins. */
  readonly onRecovery?: (cause: string) => void;
  /** Where it is reported that no session comes about for a while, and as what. */
  readonly conditions?: ConditionReporter;
  readonly condition?: string;
}

/**
 * Runs sessions until one ends by itself: after every error the next one begins, which is the one
 * recovery path. A lost session, or one that a full disk ended, is tried again without end; other errors only
 * so often without progress, and a damaged batch is read once more.
 *
 * @param session is given what it calls once it does its work
 * @throws {StopError} when only a person can help, or the attempts are used up
 */
export async function supervise(
  session: (begun: () => void) => Promise<void>,
  stop: AbortSignal,
  options: SuperviseOptions,
): Promise<void> {
  const { conditions = NOBODY, condition = "session", clock } = options;
  const waits = new Waits(conditions, clock);
  try {
    await superviseSessions(() => session(() => waits.over(condition)), stop, {
      ...options,
      onLost: (reason) => waits.failed(condition, condition, { reason, blocks: "nothing" }),
    });
  } finally {
    waits.allOver();
  }
}

async function superviseSessions(
  session: () => Promise<void>,
  stop: AbortSignal,
  options: SuperviseOptions & { readonly onLost: (reason: string) => void },
): Promise<void> {
  const { name, clock, chance, attempts, retries, progress, onRecovery, onLost } = options;
  let seen = progress();
  let failures = 0;
  let refusals = 0;
  let losses = 0;
  const readAgain = new Set<string>();
  while (true) {
    try {
      return await session();
    } catch (error) {
      const isReadAgain = error instanceof DamagedBatchError && !readAgain.has(error.batch);
      if (error instanceof StopError && !isReadAgain) throw error;
      if (stop.aborted) {
        // Nothing is lost: what is not committed is folded by whoever claims next.
        log.warn(
          "{name}: {message}; stopping, what is not committed yet comes after the next start",
          {
            name,
            message: (error as Error).message,
          },
        );
        return;
      }
      if (progress() !== seen) failures = refusals = losses = 0;
      seen = progress();
      const { message, stack } = error as Error;
      onLost(message);
      if (error instanceof LostError) log.warn("{name}: {message}; recovering", { name, message });
      else if (isNoRoom(error)) log.warn("{name}: {message}; waiting for room", { name, message });
      else if (isReadAgain) {
        readAgain.add(error.batch);
        log.error("{name}: {message}; it is read once more", { name, message });
      } else if (error instanceof RefusedError) {
        log.error("{name}: {message}; recovering", { name, message });
        if (++refusals > retries) {
          throw new StopError(
            `${name} was refused ${refusals} times without progress: ${message}`,
            "change what it refuses; kafka.retries sets how often it is tried",
            { cause: error },
          );
        }
      } else {
        log.error("{name}: {message}; recovering", { name, message, stack });
        if (++failures > attempts) {
          throw new StopError(
            `${name} failed ${failures} times without progress: ${message}`,
            "the log above has the first error; restart.attempts sets how often it is tried",
            { cause: error },
          );
        }
      }
      onRecovery?.(message);
      const wait = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** losses++);
      await clock.sleep(wait * (0.5 + chance()), stop);
    }
  }
}

/**
 * Loops that run side by side. When one fails, the others are aborted and awaited. Further ones may be added as long as
 * one runs.
 */
export class Loops {
  readonly #abort = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #running = 0;
  #first: { readonly error: unknown } | null = null;

  /** Aborted when one of them has failed. */
  get failed(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * Runs one more.
   *
   * @param loop is given what is aborted when one of them fails
   * @returns settles when it has ended, whether it failed or not
   */
  add(loop: (failed: AbortSignal) => Promise<void>): Promise<void> {
    this.#running++;
    return loop(this.failed).catch((error) => {
      this.#first ??= { error };
      this.#abort.abort("failed"); // without a reason an error with a stack is made
    }).finally(() => {
      if (--this.#running === 0) this.#ended.resolve();
    });
  }

  /** Resolves when all have ended; fails with the first error. */
  async ended(): Promise<void> {
    if (this.#running > 0) await this.#ended.promise;
    if (this.#first) throw this.#first.error;
  }
}

/** Runs loops side by side, and awaits all of them; see Loops. */
export function together(loops: ((failed: AbortSignal) => Promise<void>)[]): Promise<void> {
  const all = new Loops();
  for (const loop of loops) void all.add(loop);
  return all.ended();
}
