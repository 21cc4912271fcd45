// The one patch of kafkajs. In 2.2.4 RequestQueue.scheduleCheckPendingRequests sets a timer after every
// response although nothing is pending, and with a time in the past (throttledUntil is -1), so that
// Node sets it to 1 ms, and warns: each idle connection wakes up a thousand times a second, 3 to 4 % of
// a core. Without pending requests there is nothing to check; push() schedules when there is.

import { RequestQueue, type RequestQueueInternals } from "./internals.ts";

const PATCHED = Symbol.for("stockflow.kafkajs.requestQueue");

/** Applies the patch, once per thread. */
export function patchRequestQueue(): void {
  const prototype = RequestQueue.prototype as RequestQueueInternals & { [PATCHED]?: true };
  if (prototype[PATCHED]) return;
  prototype[PATCHED] = true;
  const schedule = prototype.scheduleCheckPendingRequests;
  prototype.scheduleCheckPendingRequests = function (this: RequestQueueInternals) {
    if (this.pending.length > 0) schedule.call(this);
  };
}
