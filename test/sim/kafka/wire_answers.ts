// The broker's side of the requests that src/kafka encodes by itself: what they ask, and the bytes of
// their answers.

import {
  type AbortedTransaction,
  FETCH_VERSIONS,
  type FetchedFrom,
} from "../../../src/kafka/protocol/fetch.ts";
import {
  METADATA_VERSIONS,
  topicIdBytes,
  topicIdText,
  type TopicMetadata,
} from "../../../src/kafka/protocol/metadata.ts";
import type { CommittedOffset, TopicPartitions } from "../../../src/kafka/protocol/offsets.ts";
import { Reader, Writer } from "../../../src/kafka/protocol/wire.ts";

function bytesOf(writer: Writer): Uint8Array {
  return writer.encoded().buffer;
}

export interface FetchRequest {
  /** Name or id of the topic. */
  readonly topic: string;
  readonly byId: boolean;
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly partitions: readonly FetchedFrom[];
}

export function readFetch(body: Uint8Array, version: number): FetchRequest {
  const byId = version >= FETCH_VERSIONS.byId;
  const r = new Reader(body);
  if (byId) r.tags();
  r.int32(); // replica
  const maxWaitMs = r.int32();
  r.int32(); // bytes at least
  const maxBytes = r.int32();
  r.int8(); // isolation level
  r.int32();
  r.int32();
  const partition = () => {
    const partition = r.int32();
    const leaderEpoch = r.int32();
    const offset = r.long();
    if (byId) r.int32(); // epoch of the last fetch
    r.long();
    r.int32();
    if (byId) r.tags();
    return { partition, offset, leaderEpoch };
  };
  const topics = byId
    ? r.compactArray(() => {
      const topic = topicIdText(r.bytes(16));
      const partitions = r.compactArray(partition);
      r.tags();
      return { topic, partitions };
    })
    : r.array(() => ({ topic: r.string(), partitions: r.array(partition) }));
  const { topic, partitions } = topics[0]!;
  return { topic, byId, maxWaitMs, maxBytes, partitions };
}

export interface PartitionAnswer {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStart: number;
  readonly aborted: readonly AbortedTransaction[];
  readonly records: Uint8Array;
}

export function fetchAnswer(
  { topic, byId }: FetchRequest,
  partitions: readonly PartitionAnswer[],
): Uint8Array {
  if (byId) return fetchAnswerById(topic, partitions);
  const w = new Writer().int32(0).int16(0).int32(0);
  w.array([topic], () => {
    w.string(topic).array(partitions, (p) => {
      w.int32(p.partition).int16(p.errorCode).int64(p.highWatermark).int64(p.lastStableOffset)
        .int64(p.logStart).array(p.aborted, ({ producerId, firstOffset }) => {
          w.int64(producerId).int64(firstOffset);
        }).int32(-1).int32(p.records.length).bytes(p.records);
    });
  });
  return bytesOf(w);
}

function fetchAnswerById(id: string, partitions: readonly PartitionAnswer[]): Uint8Array {
  const w = new Writer().noTags().int32(0).int16(0).int32(0);
  w.compactArray([id], () => {
    w.bytes(topicIdBytes(id)).compactArray(partitions, (p) => {
      w.int32(p.partition).int16(p.errorCode).int64(p.highWatermark).int64(p.lastStableOffset)
        .int64(p.logStart).compactArray(p.aborted, ({ producerId, firstOffset }) => {
          w.int64(producerId).int64(firstOffset).noTags();
        }).int32(-1).varint(p.records.length + 1).bytes(p.records).noTags();
    }).noTags();
  });
  return bytesOf(w.noTags());
}

/** Names that a metadata request asks for. */
export function readMetadata(body: Uint8Array, version: number): string[] {
  const r = new Reader(body);
  r.tags();
  return r.compactArray(() => {
    if (version >= METADATA_VERSIONS.withIds) r.bytes(16);
    const topic = r.compactString()!;
    r.tags();
    return topic;
  });
}

export function metadataAnswer(topics: readonly TopicMetadata[], version: number): Uint8Array {
  const w = new Writer().noTags().int32(0).compactArray([], () => {});
  w.compactString("simulated").int32(0);
  w.compactArray(topics, ({ errorCode, topic, id, partitions, offline, leaderEpochs }) => {
    w.int16(errorCode).compactString(topic);
    if (version >= METADATA_VERSIONS.withIds) w.bytes(id ? topicIdBytes(id) : new Uint8Array(16));
    w.int8(0).compactArray(Array.from({ length: partitions }, (_, p) => p), (partition) => {
      w.int16(0).int32(partition).int32(offline.includes(partition) ? -1 : 0);
      w.int32(leaderEpochs[partition]!);
      for (let lists = 0; lists < 3; lists++) w.compactArray([], () => {});
      w.noTags();
    }).int32(0).noTags();
  });
  return bytesOf(w.int32(0).noTags());
}

export interface ProduceRequest {
  readonly transactionalId: string;
  readonly batches: readonly {
    readonly topic: string;
    readonly partition: number;
    readonly bytes: Uint8Array;
  }[];
}

/** Reads a whole frame, header and all. */
export function readProduce(frame: Uint8Array): ProduceRequest {
  const r = new Reader(frame);
  if (r.int32() !== frame.length - 4) throw new RangeError("A frame's length is wrong");
  r.int16(); // request
  r.int16(); // its version
  r.int32(); // correlation id
  r.string(); // client id
  const transactionalId = r.string();
  r.int16(); // acknowledgements
  r.int32(); // time-out
  const batches = r.array(() => {
    const topic = r.string();
    return r.array(() => {
      const partition = r.int32();
      return { topic, partition, bytes: r.bytes(r.int32()).slice() };
    });
  }).flat();
  return { transactionalId, batches };
}

export interface ProducedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly baseOffset: number;
}

export function produceAnswer(partitions: readonly ProducedPartition[]): Uint8Array {
  const w = new Writer();
  w.array([...Map.groupBy(partitions, (p) => p.topic)], ([topic, some]) => {
    w.string(topic).array(some, ({ partition, errorCode, baseOffset }) => {
      w.int32(partition).int16(errorCode).int64(baseOffset).int64(-1).int64(0)
        .array([], () => {}).int16(-1);
    });
  });
  return bytesOf(w.int32(0));
}

export interface OffsetCommitRequest {
  readonly transactionalId: string;
  readonly groupId: string;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly generation: number;
  readonly memberId: string;
  readonly topics: readonly TopicPartitions<CommittedOffset>[];
}

export function readOffsetCommit(body: Uint8Array): OffsetCommitRequest {
  const r = new Reader(body);
  r.tags();
  const transactionalId = r.compactString()!;
  const groupId = r.compactString()!;
  const producerId = r.int64();
  const producerEpoch = r.int16();
  const generation = r.int32();
  const memberId = r.compactString()!;
  r.compactString(); // group instance
  const topics = r.compactArray(() => {
    const topic = r.compactString()!;
    const partitions = r.compactArray(() => {
      const partition = r.int32();
      const offset = r.long();
      r.int32(); // leader epoch
      const metadata = r.compactString() ?? "";
      r.tags();
      return { partition, offset, metadata };
    });
    r.tags();
    return { topic, partitions };
  });
  return { transactionalId, groupId, producerId, producerEpoch, generation, memberId, topics };
}

export function offsetCommitAnswer(
  { topics }: OffsetCommitRequest,
  errorCode: number,
): Uint8Array {
  const w = new Writer().noTags().int32(0);
  w.compactArray(topics, ({ topic, partitions }) => {
    w.compactString(topic).compactArray(partitions, ({ partition }) => {
      w.int32(partition).int16(errorCode).noTags();
    }).noTags();
  });
  return bytesOf(w.noTags());
}

export interface OffsetFetchRequest {
  readonly groupId: string;
  readonly topics: readonly TopicPartitions<number>[];
  /** Whether offsets of open transactions are to be waited for. */
  readonly stable: boolean;
}

export function readOffsetFetch(body: Uint8Array): OffsetFetchRequest {
  const r = new Reader(body);
  r.tags();
  const groupId = r.compactString()!;
  const topics = r.compactArray(() => {
    const topic = r.compactString()!;
    const partitions = r.compactArray(() => r.int32());
    r.tags();
    return { topic, partitions };
  });
  return { groupId, topics, stable: r.int8() === 1 };
}

export function offsetFetchAnswer(
  topics: readonly TopicPartitions<CommittedOffset & { readonly errorCode: number }>[],
  errorCode: number,
): Uint8Array {
  const w = new Writer().noTags().int32(0);
  w.compactArray(topics, ({ topic, partitions }) => {
    w.compactString(topic).compactArray(partitions, (p) => {
      w.int32(p.partition).int64(p.offset).int32(-1).compactString(p.metadata).int16(p.errorCode)
        .noTags();
    }).noTags();
  });
  return bytesOf(w.int16(errorCode).noTags());
}
