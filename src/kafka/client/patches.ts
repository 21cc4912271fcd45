// The two patches of kafkajs 2.2.4.
//
// RequestQueue.scheduleCheckPendingRequests sets a timer after every response although nothing is
// pending, and with a time in the past (throttledUntil is -1), so that Node sets it to 1 ms, and warns:
// each idle connection wakes up a thousand times a second, 3 to 4 % of a core. Without pending requests
// there is nothing to check; push() schedules when there is.
//
// Connection.processData keeps what is left behind an answer, also when that is nothing, and joins it
// with what comes next: every answer is copied, however large. FrameSocket gives whole answers, so
// nothing is ever left; and nothing need not be kept.

import {
  Connection,
  type ConnectionPrototype,
  RequestQueue,
  type RequestQueueInternals,
} from "./internals.ts";

const PATCHED = Symbol.for("stockflow.kafkajs");

/** Applies the patches, once per thread. */
export function patchKafkajs(): void {
  const queue = RequestQueue.prototype as RequestQueueInternals & { [PATCHED]?: true };
  if (queue[PATCHED]) return;
  queue[PATCHED] = true;
  const schedule = queue.scheduleCheckPendingRequests;
  queue.scheduleCheckPendingRequests = function (this: RequestQueueInternals) {
    if (this.pending.length > 0) schedule.call(this);
  };
  const connection = Connection.prototype;
  const process = connection.processData;
  connection.processData = function (this: ConnectionPrototype, data: Uint8Array) {
    if (this.bytesBuffered === 0) this.chunks = [];
    process.call(this, data);
  };
}
