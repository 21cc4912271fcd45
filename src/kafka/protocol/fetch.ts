// Fetch v11, with the records of the answer left as bytes.

import type { Exchange } from "../client/internals.ts";
import { Reader, Writer } from "./wire.ts";

const API_KEY = 1;
const API_VERSION = 11;
const READ_COMMITTED = 1;
const CONSUMER = -1;
const NO_EPOCH = -1;

export interface FetchedFrom {
  readonly partition: number;
  readonly offset: number;
}

export interface FetchOptions {
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly partitionMaxBytes: number;
}

/** An aborted transaction: batches of the producer from the offset on, up to its abort marker. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

export interface FetchedPartition {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStart: number;
  readonly aborted: readonly AbortedTransaction[];
  /** Whole batches and perhaps a part of one more; a view of the answer. */
  readonly records: Uint8Array;
}

export interface FetchAnswer {
  readonly clientSideThrottleTime: number;
  readonly errorCode: number;
  readonly partitions: readonly FetchedPartition[];
}

/** A fetch of partitions of one topic from their leader, under read_committed. */
export function fetchExchange(
  topic: string,
  from: readonly FetchedFrom[],
  { maxWaitMs, maxBytes, partitionMaxBytes }: FetchOptions,
): Exchange<FetchAnswer> {
  const encode = () => {
    const w = new Writer();
    w.int32(CONSUMER).int32(maxWaitMs).int32(1).int32(maxBytes).int8(READ_COMMITTED)
      .int32(0).int32(-1); // no fetch session
    w.array([topic], () => {
      w.string(topic).array(from, ({ partition, offset }) => {
        w.int32(partition).int32(NO_EPOCH).int64(offset).int64(-1).int32(partitionMaxBytes);
      });
    });
    w.array([], () => {}).string("");
    return w.encoded();
  };
  return {
    request: { apiKey: API_KEY, apiVersion: API_VERSION, apiName: "Fetch", encode },
    response: { decode: decodeFetch, parse: (answer) => answer },
  };
}

function decodeFetch(payload: Uint8Array): FetchAnswer {
  const r = new Reader(payload);
  const clientSideThrottleTime = r.int32();
  const errorCode = r.int16();
  r.int32(); // session id
  const partitions = r.array(() => {
    r.string();
    return r.array((): FetchedPartition => {
      const partition = r.int32();
      const errorCode = r.int16();
      const highWatermark = r.long();
      const lastStableOffset = r.long();
      const logStart = r.long();
      const aborted = r.array(() => ({ producerId: r.int64(), firstOffset: r.long() }));
      r.int32(); // preferred read replica
      const records = r.bytes(Math.max(0, r.int32()));
      return {
        partition,
        errorCode,
        highWatermark,
        lastStableOffset,
        logStart,
        aborted,
        records,
      };
    });
  }).flat();
  return { clientSideThrottleTime, errorCode, partitions };
}
