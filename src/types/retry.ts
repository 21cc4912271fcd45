import type { Chance, Clock } from "./clock.ts";

export interface RetryOptions {
  readonly clock: Clock;
  readonly chance: Chance;
  /** Calls at the most. */
  readonly attempts?: number;
  /** First wait in ms; doubles from call to call, with up to half of it more or less by chance. */
  readonly backOffMs?: number;
  /** Errors that another call would not mend. */
  readonly isFinal?: (error: unknown) => boolean;
  /** Learns every error after which it is tried again. */
  readonly onRetry?: (error: Error) => void;
}

const ATTEMPTS = 6;
const BACK_OFF_MS = 20;

/** Calls a function until it does not throw; after the last attempt its error is thrown. */
export async function retry<T>(
  call: () => Promise<T>,
  { clock, chance, attempts = ATTEMPTS, backOffMs = BACK_OFF_MS, isFinal = () => false, onRetry }:
    RetryOptions,
): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (attempt === attempts || isFinal(error)) throw error;
      onRetry?.(error as Error);
      await clock.sleep(backOffMs * 2 ** (attempt - 1) * (0.5 + chance()));
    }
  }
}
