// What bounds requests and answers: the parameters http.*.

import type { Parameters } from "../parameters/mod.ts";

export interface HttpLimits {
  /** Largest body in bytes, as it comes and as it is once it is inflated. */
  readonly bodyBytesMax: number;
  /** Records of one body. */
  readonly bodyRecordsMax: number;
  /** Bytes of all bodies that have come and of answers that have not gone. */
  readonly bodiesBytesMax: number;
  /** Bytes a second that a body and an answer must go at, over 10 seconds; 0 = as slowly as they like. */
  readonly bodyRateMin: number;
  /** ms until the first request of a connection must have come. */
  readonly headTimeoutMs: number;
  /** ms after which a connection on which nothing happens is closed. */
  readonly idleTimeoutMs: number;
  /** Connections that are kept. */
  readonly connectionsMax: number;
  /** Streams of /status/stream that are open. */
  readonly streamsMax: number;
  /** Savepoints that are kept. */
  readonly savepointsMax: number;
}

export function limitsOf(params: Parameters): HttpLimits {
  return {
    bodyBytesMax: params.get("http.body.bytes.max"),
    bodyRecordsMax: params.get("http.body.records.max"),
    bodiesBytesMax: params.get("http.bodies.bytes.max"),
    bodyRateMin: params.get("http.body.rate.min"),
    headTimeoutMs: params.get("http.head.timeout.ms"),
    idleTimeoutMs: params.get("http.idle.timeout.ms"),
    connectionsMax: params.get("http.connections.max"),
    streamsMax: params.get("http.streams.max"),
    savepointsMax: params.get("savepoints.max"),
  };
}
