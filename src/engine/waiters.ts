/** A signal that is never aborted; a fresh one, for a signal keeps whoever listens to it. */
export function never(): AbortSignal {
  return new AbortController().signal;
}

/** Resolves when the signal is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve());
    if (signal.aborted) resolve();
  });
}

/** What a promise gives; undefined, and nothing is waited for, once the signal is aborted. */
export async function orAborted<T>(
  promise: Promise<T> | null,
  signal: AbortSignal,
): Promise<T | undefined> {
  if (!promise) return undefined;
  promise.catch(() => {}); // it may fail when nobody waits for it any more
  if (signal.aborted) return undefined;
  const aborted = Promise.withResolvers<undefined>();
  const abort = () => aborted.resolve(undefined);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Those who wait for something that happens again and again. */
export class Waiters {
  #waiting: (() => void)[] = [];

  /** Resolves at the next call of {@link wake}, or when the signal is aborted. */
  wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      // The signal may live long: who is woken otherwise must not stay with it.
      const wake = () => {
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.push(wake);
      signal.addEventListener("abort", wake);
    });
  }

  wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
