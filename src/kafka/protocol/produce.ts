// Produce v8 around record batches that are encoded already: their bytes are not copied.

import { Buffer } from "node:buffer";
import { encodeUtf8 } from "../../types/mod.ts";
import { Reader } from "./wire.ts";

export const PRODUCE_API_KEY = 0;
export const PRODUCE_API_VERSION = 8;
const ALL_REPLICAS = -1;

/** One batch for a partition: a request carries at most one per partition. */
export interface ProducedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Uint8Array;
}

export interface ProduceFrame {
  readonly clientId: string;
  readonly correlationId: number;
  readonly transactionalId: string | null;
  readonly timeoutMs: number;
  readonly batches: readonly ProducedBatch[];
}

/** The whole request, with its length in front, in parts to be written one after the other. */
export function encodeProduce(frame: ProduceFrame): Uint8Array[] {
  const clientId = encodeUtf8(frame.clientId);
  const transactionalId = frame.transactionalId === null ? null : encodeUtf8(frame.transactionalId);
  const topics = [...Map.groupBy(frame.batches, (b) => b.topic)]
    .map(([topic, batches]) => ({ name: encodeUtf8(topic), batches }));
  let size = 4 + 2 + 2 + 4 + 2 + clientId.length + 2 + (transactionalId?.length ?? 0) + 2 + 4 + 4;
  for (const { name, batches } of topics) size += 2 + name.length + 4 + 8 * batches.length;
  const buffer = Buffer.allocUnsafe(size);
  const payload = frame.batches.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const parts: Uint8Array[] = [];
  let written = 0;
  let at = 0;
  const string = (bytes: Uint8Array | null) => {
    at = buffer.writeInt16BE(bytes?.length ?? -1, at);
    if (!bytes) return;
    buffer.set(bytes, at);
    at += bytes.length;
  };
  at = buffer.writeInt32BE(size + payload - 4, at);
  at = buffer.writeInt16BE(PRODUCE_API_KEY, at);
  at = buffer.writeInt16BE(PRODUCE_API_VERSION, at);
  at = buffer.writeInt32BE(frame.correlationId, at);
  string(clientId);
  string(transactionalId);
  at = buffer.writeInt16BE(ALL_REPLICAS, at);
  at = buffer.writeInt32BE(frame.timeoutMs, at);
  at = buffer.writeInt32BE(topics.length, at);
  for (const { name, batches } of topics) {
    string(name);
    at = buffer.writeInt32BE(batches.length, at);
    for (const { partition, bytes } of batches) {
      at = buffer.writeInt32BE(partition, at);
      at = buffer.writeInt32BE(bytes.length, at);
      parts.push(buffer.subarray(written, at), bytes);
      written = at;
    }
  }
  return parts;
}

/** What became of the batch of a partition. */
export interface ProducedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly baseOffset: number;
  /** Why it was refused, in the words of the broker, if it says so. */
  readonly message: string | null;
}

export interface ProduceAnswer {
  readonly clientSideThrottleTime: number;
  readonly partitions: readonly ProducedPartition[];
}

export function decodeProduce(payload: Uint8Array): ProduceAnswer {
  const r = new Reader(payload);
  const partitions = r.array(() => {
    const topic = r.string();
    return r.array(() => {
      const partition = r.int32();
      const errorCode = r.int16();
      const baseOffset = r.long();
      r.long(); // append time
      r.long(); // log start
      const ofRecords = r.array(() => {
        r.int32(); // its place in the batch
        return r.nullableString();
      });
      const ofBatch = r.nullableString();
      const message = ofRecords.find((text) => text !== null) ?? ofBatch;
      return { topic, partition, errorCode, baseOffset, message };
    });
  }).flat();
  return { partitions, clientSideThrottleTime: r.int32() };
}
