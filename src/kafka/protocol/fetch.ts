// Fetch, with the records of the answer left as bytes: v13, which names a topic by its id (KIP-516,
// Apache Kafka 3.1), where broker and topic have it, else v11.

import type { Exchange } from "../client/internals.ts";
import { topicIdBytes } from "./metadata.ts";
import { Reader, Writer } from "./wire.ts";

export const FETCH_API_KEY = 1;
export const FETCH_VERSIONS = { byName: 11, byId: 13 } as const;
const READ_COMMITTED = 1;
const CONSUMER = -1;
/** In the place of an epoch that is not known: it is not looked at. */
export const NO_EPOCH = -1;
const UUID_BYTES = 16;

export interface FetchedFrom {
  readonly partition: number;
  readonly offset: number;
  /** The leader's epoch as far as is known: brokers refuse a fetch under another one (KIP-320). */
  readonly leaderEpoch?: number;
}

export interface FetchOptions {
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly partitionMaxBytes: number;
}

/** A topic that is fetched from. */
export interface FetchedTopic {
  readonly name: string;
  /** Its id; null: it is named by its name. */
  readonly id: string | null;
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
  topic: FetchedTopic,
  from: readonly FetchedFrom[],
  options: FetchOptions,
): Exchange<FetchAnswer> {
  const { id } = topic;
  const apiVersion = id === null ? FETCH_VERSIONS.byName : FETCH_VERSIONS.byId;
  return {
    request: {
      apiKey: FETCH_API_KEY,
      apiVersion,
      apiName: "Fetch",
      encode: () =>
        (id === null ? byName(topic.name, from, options) : byId(id, from, options))
          .encoded(),
    },
    response: { decode: id === null ? decodeByName : decodeById, parse: (answer) => answer },
  };
}

function head(w: Writer, { maxWaitMs, maxBytes }: FetchOptions): Writer {
  return w.int32(CONSUMER).int32(maxWaitMs).int32(1).int32(maxBytes).int8(READ_COMMITTED)
    .int32(0).int32(-1); // no fetch session
}

function byName(name: string, from: readonly FetchedFrom[], options: FetchOptions): Writer {
  const w = head(new Writer(), options);
  w.array([name], () => {
    w.string(name).array(from, ({ partition, offset, leaderEpoch = NO_EPOCH }) => {
      w.int32(partition).int32(leaderEpoch).int64(offset).int64(-1).int32(
        options.partitionMaxBytes,
      );
    });
  });
  return w.array([], () => {}).string("");
}

function byId(id: string, from: readonly FetchedFrom[], options: FetchOptions): Writer {
  const w = head(new Writer().noTags(), options);
  w.compactArray([id], () => {
    w.bytes(topicIdBytes(id)).compactArray(
      from,
      ({ partition, offset, leaderEpoch = NO_EPOCH }) => {
        w.int32(partition).int32(leaderEpoch).int64(offset).int32(NO_EPOCH).int64(-1)
          .int32(options.partitionMaxBytes).noTags();
      },
    ).noTags();
  });
  return w.compactArray([], () => {}).compactString("").noTags();
}

/** Offsets of a partition's log, as both versions have them. */
function bounds(r: Reader) {
  return {
    partition: r.int32(),
    errorCode: r.int16(),
    highWatermark: r.long(),
    lastStableOffset: r.long(),
    logStart: r.long(),
  };
}

function decodeByName(payload: Uint8Array): FetchAnswer {
  const r = new Reader(payload);
  const clientSideThrottleTime = r.int32();
  const errorCode = r.int16();
  r.int32(); // session id
  const partitions = r.array(() => {
    r.string();
    return r.array((): FetchedPartition => {
      const facts = bounds(r);
      const aborted = r.array(() => ({ producerId: r.int64(), firstOffset: r.long() }));
      r.int32(); // preferred read replica
      return { ...facts, aborted, records: r.bytes(Math.max(0, r.int32())) };
    });
  }).flat();
  return { clientSideThrottleTime, errorCode, partitions };
}

function decodeById(payload: Uint8Array): FetchAnswer {
  const r = new Reader(payload);
  r.tags();
  const clientSideThrottleTime = r.int32();
  const errorCode = r.int16();
  r.int32(); // session id
  const partitions = r.compactArray(() => {
    r.bytes(UUID_BYTES);
    const some = r.compactArray((): FetchedPartition => {
      const facts = bounds(r);
      const aborted = r.compactArray(() => {
        const transaction = { producerId: r.int64(), firstOffset: r.long() };
        r.tags();
        return transaction;
      });
      r.int32(); // preferred read replica
      const records = r.bytes(Math.max(0, r.varint() - 1));
      r.tags();
      return { ...facts, aborted, records };
    });
    r.tags();
    return some;
  }).flat();
  return { clientSideThrottleTime, errorCode, partitions };
}
