import type { AnyMethods } from "./calls.ts";

/** How worker threads open a log by themselves, so that records do not pass through the control plane. */
export interface ThreadedLog {
  /** Module of the thread; it calls serve with what opens the log. */
  readonly entry: URL;
  /** What that is given; it can be cloned. */
  readonly facts: unknown;
  /** What the thread may call of the control plane for it. */
  readonly methods: AnyMethods;
}
