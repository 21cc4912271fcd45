// TxnOffsetCommit v3 (member id and generation, KIP-447) and OffsetFetch v7 (require_stable), which
// kafkajs does not have. Both are flexible versions behind kafkajs's older request header: the body
// begins with the header's empty tag byte, and so does the answer.

import { type Exchange, protocolError } from "../client/internals.ts";
import { Reader, Writer } from "./wire.ts";

const TXN_OFFSET_COMMIT = 28;
const OFFSET_FETCH = 9;

export interface TopicPartitions<T> {
  readonly topic: string;
  readonly partitions: readonly T[];
}

export interface CommittedOffset {
  readonly partition: number;
  readonly offset: number;
  readonly metadata: string;
}

export interface TxnOffsetCommit {
  readonly transactionalId: string;
  readonly groupId: string;
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly generation: number;
  readonly memberId: string;
  readonly topics: readonly TopicPartitions<CommittedOffset>[];
}

interface Answered {
  readonly clientSideThrottleTime: number;
  readonly errorCode: number;
}

function failed<T extends Answered>(answer: T): T {
  if (answer.errorCode !== 0) throw protocolError(answer.errorCode);
  return answer;
}

/** Offsets of a group become part of a transaction, if member and generation are the group's. */
export function txnOffsetCommitExchange(commit: TxnOffsetCommit): Exchange<Answered> {
  const encode = () => {
    const w = new Writer().noTags();
    w.compactString(commit.transactionalId).compactString(commit.groupId)
      .int64(commit.producerId).int16(commit.producerEpoch).int32(commit.generation)
      .compactString(commit.memberId).compactString(null);
    w.compactArray(commit.topics, ({ topic, partitions }) => {
      w.compactString(topic).compactArray(partitions, ({ partition, offset, metadata }) => {
        w.int32(partition).int64(offset).int32(-1).compactString(metadata).noTags();
      }).noTags();
    });
    return w.noTags().encoded();
  };
  const decode = (payload: Uint8Array): Answered => {
    const r = new Reader(payload);
    r.tags();
    const clientSideThrottleTime = r.int32();
    const codes = r.compactArray(() => {
      r.compactString();
      const codes = r.compactArray(() => {
        r.int32();
        const code = r.int16();
        r.tags();
        return code;
      });
      r.tags();
      return codes;
    }).flat();
    return { clientSideThrottleTime, errorCode: codes.find((code) => code !== 0) ?? 0 };
  };
  return {
    request: { apiKey: TXN_OFFSET_COMMIT, apiVersion: 3, apiName: "TxnOffsetCommit", encode },
    response: { decode, parse: failed },
  };
}

/** An offset of -1: none is committed. */
export interface FetchedOffset extends CommittedOffset {
  readonly errorCode: number;
}

export interface OffsetFetchAnswer extends Answered {
  readonly topics: readonly TopicPartitions<FetchedOffset>[];
}

/** Committed offsets; UNSTABLE_OFFSET_COMMIT for a partition whose offsets are part of an open transaction. */
export function offsetFetchExchange(
  groupId: string,
  topics: readonly TopicPartitions<number>[],
  requireStable = true,
): Exchange<OffsetFetchAnswer> {
  const encode = () => {
    const w = new Writer().noTags().compactString(groupId);
    w.compactArray(topics, ({ topic, partitions }) => {
      w.compactString(topic).compactArray(partitions, (partition) => w.int32(partition)).noTags();
    });
    return w.int8(requireStable ? 1 : 0).noTags().encoded();
  };
  const decode = (payload: Uint8Array): OffsetFetchAnswer => {
    const r = new Reader(payload);
    r.tags();
    const clientSideThrottleTime = r.int32();
    const topics = r.compactArray(() => {
      const topic = r.compactString()!;
      const partitions = r.compactArray((): FetchedOffset => {
        const partition = r.int32();
        const offset = r.long();
        r.int32(); // leader epoch
        const metadata = r.compactString() ?? "";
        const errorCode = r.int16();
        r.tags();
        return { partition, offset, metadata, errorCode };
      });
      r.tags();
      return { topic, partitions };
    });
    return { clientSideThrottleTime, topics, errorCode: r.int16() };
  };
  return {
    request: { apiKey: OFFSET_FETCH, apiVersion: 7, apiName: "OffsetFetch", encode },
    response: { decode, parse: failed },
  };
}
