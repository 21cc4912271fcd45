// Metadata v9, and v10 with topic ids (KIP-516), which kafkajs does not have. Flexible versions behind
// kafkajs's older request header; see offsets.ts.

import type { Exchange } from "../client/internals.ts";
import { Reader, Writer } from "./wire.ts";

export const METADATA_API_KEY = 3;
/** Apache Kafka 2.4; from the second one on (2.8) topics have ids. */
export const METADATA_VERSIONS = { oldest: 9, withIds: 10 } as const;

const UUID_BYTES = 16;
const ZERO = "A".repeat(22);

/** What brokers know of a topic. */
export interface TopicMetadata {
  readonly topic: string;
  /** 0, or why nothing is known of it. */
  readonly errorCode: number;
  /** The topic's id as Kafka's tools write it (base64url); null where the broker has none. */
  readonly id: string | null;
  readonly partitions: number;
  /** Partitions without a leader. */
  readonly offline: readonly number[];
  /** By partition: how often it was given a leader (KIP-320). */
  readonly leaderEpochs: readonly number[];
}

export interface MetadataAnswer {
  readonly clientSideThrottleTime: number;
  readonly topics: readonly TopicMetadata[];
}

/** Metadata of topics by name; topics that are missing have an error code. */
export function metadataExchange(
  topics: readonly string[],
  version: number,
): Exchange<MetadataAnswer> {
  const withIds = version >= METADATA_VERSIONS.withIds;
  const encode = () => {
    const w = new Writer().noTags();
    w.compactArray(topics, (topic) => {
      if (withIds) w.bytes(new Uint8Array(UUID_BYTES));
      w.compactString(topic).noTags();
    });
    // No creation of topics, no lists of rights.
    return w.int8(0).int8(0).int8(0).noTags().encoded();
  };
  const decode = (payload: Uint8Array): MetadataAnswer => {
    const r = new Reader(payload);
    r.tags();
    const clientSideThrottleTime = r.int32();
    r.compactArray(() => {
      r.int32(); // node
      r.compactString(); // host
      r.int32(); // port
      r.compactString(); // rack
      r.tags();
    });
    r.compactString(); // cluster
    r.int32(); // controller
    return { clientSideThrottleTime, topics: r.compactArray(() => topicOf(r, withIds)) };
  };
  return {
    request: { apiKey: METADATA_API_KEY, apiVersion: version, apiName: "Metadata", encode },
    response: { decode, parse: (answer) => answer },
  };
}

function topicOf(r: Reader, withIds: boolean): TopicMetadata {
  const errorCode = r.int16();
  const topic = r.compactString() ?? "";
  const id = withIds ? topicIdText(r.bytes(UUID_BYTES)) : ZERO;
  r.int8(); // internal
  const offline: number[] = [];
  const leaderEpochs: number[] = [];
  const partitions = r.compactArray(() => {
    r.int16(); // error
    const partition = r.int32();
    if (r.int32() < 0) offline.push(partition); // its leader
    leaderEpochs[partition] = r.int32();
    for (let lists = 0; lists < 3; lists++) r.compactArray(() => r.int32()); // replicas
    r.tags();
    return partition;
  });
  r.int32(); // rights
  r.tags();
  return {
    topic,
    errorCode,
    id: id === ZERO ? null : id,
    partitions: partitions.length,
    offline,
    leaderEpochs,
  };
}

/** The text of a topic id, 22 characters. */
export function topicIdText(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** The 16 bytes of a topic id. */
export function topicIdBytes(id: string): Uint8Array {
  return Uint8Array.fromBase64(id, { alphabet: "base64url" });
}
