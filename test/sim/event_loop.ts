import { setImmediate } from "node:timers";

/**
 * Between two runs, which are microtasks from end to end: memory of the cores of the run before is given
 * back in a turn of the event loop alone.
 */
export function turnOfTheEventLoop(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
