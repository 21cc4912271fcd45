// The patches of kafkajs 2.2.4.
//
// RequestQueue.scheduleCheckPendingRequests sets a timer after every response although nothing is
// pending, and with a time in the past (throttledUntil is -1), so that Node sets it to 1 ms, and warns:
// each idle connection wakes up a thousand times a second, 3 to 4 % of a core. Without pending requests
// there is nothing to check; push() schedules when there is.
//
// Connection.processData keeps what is left behind an answer, also when that is nothing, and joins it
// with what comes next: every answer is copied, however large. FrameSocket gives whole answers, so
// nothing is ever left; and nothing need not be kept.
//
// Connection.authenticate renews a session ten seconds before its end, so that one of ten seconds is
// renewed before every request; and other requests go on meanwhile, which brokers take for wrong steps of
// SASL. Here a session is renewed in time whatever its length, and other requests are held until it is.
//
// The metadata of all topics is refused when one partition of them has no leader, and so is every connect of a
// client. Here such a partition has the leader -1, and who needs it says so.

import { renewInTime } from "./authentication.ts";
import { ErrorCode } from "./errors.ts";
import {
  Connection,
  type ConnectionPrototype,
  type Exchange,
  type PushedRequest,
  RequestQueue,
  type RequestQueueInternals,
  type SaslConnection,
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
  holdWhileAuthenticating();
  const connection = Connection.prototype;
  const process = connection.processData;
  connection.processData = function (this: ConnectionPrototype, data: Uint8Array) {
    if (this.bytesBuffered === 0) this.chunks = [];
    process.call(this, data);
  };
}

/** Keys of ApiVersions, SaslHandshake and SaslAuthenticate, which need no session. */
const WITHOUT_SESSION: readonly number[] = [17, 18, 36];

/** Requests that wait for the session of their connection. */
const held = new WeakMap<RequestQueueInternals, PushedRequest[]>();
const authenticating = new WeakMap<SaslConnection, Promise<void>>();

function holdWhileAuthenticating(): void {
  const queue = RequestQueue.prototype;
  const { push, rejectAll } = queue;
  queue.push = function (this: RequestQueueInternals, request: PushedRequest) {
    const waiting = held.get(this);
    if (!waiting || WITHOUT_SESSION.includes(request.entry.apiKey)) push.call(this, request);
    else waiting.push(request);
  };
  queue.rejectAll = function (this: RequestQueueInternals, error: unknown) {
    for (const { entry } of held.get(this)?.splice(0) ?? []) entry.reject(error);
    rejectAll.call(this, error);
  };
  const connection = Connection.prototype;
  const { authenticate, send } = connection;
  connection.authenticate = function (this: SaslConnection) {
    const known = authenticating.get(this);
    if (known) return known;
    if (!this.sasl || this.isAuthenticated()) return authenticate.call(this);
    const { requestQueue } = this;
    const waiting: PushedRequest[] = [];
    held.set(requestQueue, waiting);
    const begun = authenticate.call(this).then(() => renewInTime(this)).catch((error) => {
      // Of a refused handshake kafkajs does not say whose it is.
      throw Object.assign(error, { broker: error.broker ?? this.broker });
    }).finally(() => {
      held.delete(requestQueue);
      authenticating.delete(this);
      for (const request of waiting) push.call(requestQueue, request);
    });
    authenticating.set(this, begun);
    return begun;
  };
  connection.send = async function (this: SaslConnection, exchange) {
    const { apiKey } = exchange.request;
    if (this.sasl && !WITHOUT_SESSION.includes(apiKey) && !this.isAuthenticated()) {
      await this.authenticate();
    }
    return await send.call(this, apiKey === METADATA ? withoutLeaders(exchange) : exchange);
  };
}

const METADATA = 3;

/** What of an answer to Metadata has error codes. */
interface MetadataAnswer {
  readonly topicMetadata: readonly {
    readonly partitionMetadata?: readonly { partitionErrorCode: number; leader: number }[];
  }[];
}

/** The same exchange, whose answer may have partitions without a leader. */
function withoutLeaders(exchange: Exchange<unknown>): Exchange<unknown> {
  const { response } = exchange;
  return {
    ...exchange,
    response: {
      decode: (payload) => response.decode(payload),
      parse: (decoded) => {
        for (const { partitionMetadata = [] } of (decoded as MetadataAnswer).topicMetadata ?? []) {
          for (const partition of partitionMetadata) {
            if (partition.partitionErrorCode !== ErrorCode.LeaderNotAvailable) continue;
            partition.partitionErrorCode = 0;
            partition.leader = -1;
          }
        }
        return response.parse(decoded);
      },
    },
  };
}
