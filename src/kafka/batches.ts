// Record batches as they come from a fetch and go into a produce.

import { BATCH_HEADER_BYTES, batchInfo, crc32c, isIntact } from "../types/mod.ts";
import type { AbortedTransaction } from "./protocol/fetch.ts";

const LENGTH_AT = 8;
const LEADER_EPOCH_AT = 12;
const MAGIC_AT = 16;
const MAGIC = 2;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_DELTA_AT = 23;
const FIRST_TIMESTAMP_AT = 27;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const SEQUENCE_AT = 53;
const RECORDS_AT = 57;
/** Bytes in front of what the length counts. */
const FRAME_BYTES = 12;

const CODEC_MASK = 0x07;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

const ABORT_MARKER = 0;

/** Who writes batches, and with which epoch. */
export interface Producer {
  readonly id: bigint;
  readonly epoch: number;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What stands in a fetched partition's bytes, batch by batch; a batch that is cut at the end is left. */
export interface FetchedBatch {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** Its CRC32C as it stands in the log, whatever was made of it. */
  readonly crc: number;
}

/** Records of a format before that of record batches: message sets of magic 0 or 1 (Kafka before 0.11). */
export class OldFormatError extends Error {
  override readonly name = "OldFormatError";

  constructor(readonly offset: number, readonly magic: number) {
    super(`The records at offset ${offset} are of message format v${magic}`);
  }
}

/**
 * Splits fetched bytes into batches. Control batches and batches of aborted transactions become empty
 * ones of the same offsets: a position moves over them, and nothing of them is read. One whose CRC is
 * wrong stays as it is, for whoever reads it to find that: its attributes may be what is damaged.
 *
 * @throws {OldFormatError} when the bytes are of magic 0 or 1
 * @throws {RangeError} when they are of an unknown magic, or the magic alone is damaged
 */
export function readFetched(
  records: Uint8Array,
  aborted: readonly AbortedTransaction[],
): FetchedBatch[] {
  const waiting = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  const aborting = new Set<bigint>();
  const view = viewOf(records);
  const batches: FetchedBatch[] = [];
  for (let at = 0; at + MAGIC_AT < records.length;) {
    const magic = view.getInt8(at + MAGIC_AT);
    if (magic === 0 || magic === 1) throw whatIsOld(records, at, magic);
    if (at + BATCH_HEADER_BYTES > records.length) break;
    const length = view.getInt32(at + LENGTH_AT) + FRAME_BYTES;
    if (at + length > records.length) break;
    const { baseOffset, lastOffset, crc } = batchInfo(records, at);
    while (waiting.length > 0 && waiting[0]!.firstOffset <= lastOffset) {
      aborting.add(waiting.shift()!.producerId);
    }
    const attributes = view.getInt16(at + ATTRIBUTES_AT);
    let bytes = records.subarray(at, at + length);
    const isMarker = (attributes & CONTROL) !== 0;
    const isAborted = attributes & TRANSACTIONAL && aborting.size > 0 &&
      aborting.has(view.getBigInt64(at + PRODUCER_ID_AT));
    if ((isMarker || isAborted) && isIntact(bytes)) {
      if (isMarker && markerOf(bytes) === ABORT_MARKER) {
        aborting.delete(view.getBigInt64(at + PRODUCER_ID_AT));
      }
      bytes = emptyBatch(baseOffset, lastOffset, crc);
    }
    batches.push({ bytes, baseOffset, lastOffset, crc });
    at += length;
  }
  return batches;
}

/** Length of the first batch of an answer, or of what came of it. */
export function firstBatchBytes(records: Uint8Array): number {
  if (records.length < FRAME_BYTES) return records.length;
  const length = viewOf(records).getInt32(LENGTH_AT) + FRAME_BYTES;
  return Math.min(records.length, Math.max(FRAME_BYTES, length));
}

/** Records of an old format, or a batch of magic 2 whose magic, which its CRC does not cover, is damaged. */
function whatIsOld(records: Uint8Array, at: number, magic: number): Error {
  const view = viewOf(records);
  const offset = Number(view.getBigInt64(at));
  if (at + BATCH_HEADER_BYTES <= records.length) {
    const batch = records.slice(at, at + view.getInt32(at + LENGTH_AT) + FRAME_BYTES);
    if (batch.length > BATCH_HEADER_BYTES) {
      batch[MAGIC_AT] = MAGIC;
      if (isIntact(batch)) {
        return new RangeError(`The magic of the batch at offset ${offset} is damaged: ${magic}`);
      }
    }
  }
  return new OldFormatError(offset, magic);
}

/** The kind of marker in a control batch: the second int16 of its record's key. */
function markerOf(batch: Uint8Array): number {
  const view = viewOf(batch);
  let at = BATCH_HEADER_BYTES;
  const skipVarint = () => {
    while (view.getUint8(at++) & 128);
  };
  skipVarint(); // length
  at++; // attributes
  skipVarint(); // timestamp
  skipVarint(); // offset
  skipVarint(); // key length
  return view.getInt16(at + 2);
}

/**
 * A batch without records that covers offsets; compaction leaves such batches too (KIP-98).
 *
 * @param crc of the batch that it stands for; takes the place of the sequence number, which is under the
 * CRC of this one, so that a checkpoint knows one marker from another
 */
export function emptyBatch(
  baseOffset: number,
  lastOffset: number,
  crc = -1,
): Uint8Array<ArrayBuffer> {
  const batch = new Uint8Array(BATCH_HEADER_BYTES);
  const view = viewOf(batch);
  view.setBigInt64(0, BigInt(baseOffset));
  view.setInt32(LENGTH_AT, BATCH_HEADER_BYTES - FRAME_BYTES);
  view.setInt32(LEADER_EPOCH_AT, -1);
  view.setInt8(MAGIC_AT, 2);
  view.setInt32(LAST_DELTA_AT, lastOffset - baseOffset);
  view.setBigInt64(PRODUCER_ID_AT, -1n);
  view.setInt16(PRODUCER_EPOCH_AT, -1);
  view.setInt32(SEQUENCE_AT, crc);
  view.setUint32(CRC_AT, crc32c(batch, ATTRIBUTES_AT));
  return batch;
}

/** Number of records, by which sequence numbers count. */
export function recordsOf(batch: Uint8Array): number {
  return viewOf(batch).getInt32(RECORDS_AT);
}

/** The sequence number of its first record. */
export function sequenceOf(batch: Uint8Array): number {
  return viewOf(batch).getInt32(SEQUENCE_AT);
}

/** The smallest timestamp of its records; Infinity when it has none. */
export function minTimestamp(batch: Uint8Array): number {
  const view = viewOf(batch);
  const first = Number(view.getBigInt64(FIRST_TIMESTAMP_AT));
  let min = Infinity;
  let at = BATCH_HEADER_BYTES;
  // The sign is the lowest bit, and is read apart: timestamps may be so far apart that a number has no place for both.
  const varint = () => {
    const sign = view.getUint8(at) & 1;
    let value = 0;
    for (let unit = 0.5;; unit *= 128) {
      const byte = view.getUint8(at++);
      value += (unit < 1 ? byte & 126 : byte & 127) * unit;
      if (byte < 128) return sign === 0 ? value : -value - 1;
    }
  };
  for (let left = recordsOf(batch); left > 0; left--) {
    const length = varint();
    const end = at + length;
    at++; // attributes
    min = Math.min(min, first + varint());
    at = end;
  }
  return min;
}

/** Whether a batch carries the producer already: the core puts it into the results' batches. */
export function isStamped(batch: Uint8Array, { id, epoch }: Producer): boolean {
  const view = viewOf(batch);
  return view.getBigInt64(PRODUCER_ID_AT) === id && view.getInt16(PRODUCER_EPOCH_AT) === epoch;
}

/** Makes a batch one of a producer, and of its transaction if it has them. All of it is inside the CRC. */
export function stamp(
  batch: Uint8Array,
  { id, epoch }: Producer,
  sequence: number,
  isTransactional = true,
): void {
  const view = viewOf(batch);
  const attributes = view.getInt16(ATTRIBUTES_AT);
  view.setInt16(ATTRIBUTES_AT, isTransactional ? attributes | TRANSACTIONAL : attributes);
  view.setBigInt64(PRODUCER_ID_AT, id);
  view.setInt16(PRODUCER_EPOCH_AT, epoch);
  view.setInt32(SEQUENCE_AT, sequence);
  view.setUint32(CRC_AT, crc32c(batch, ATTRIBUTES_AT));
}

/** The sequence number behind a batch; after 2^31 - 1 comes 0. */
export function sequenceBehind(sequence: number, records: number): number {
  return (sequence + records) & 0x7fffffff;
}

/** The records of a batch, behind its header. */
export function recordBytes(batch: Uint8Array): Uint8Array {
  return batch.subarray(BATCH_HEADER_BYTES);
}

export function codecOf(batch: Uint8Array): number {
  return viewOf(batch).getInt16(ATTRIBUTES_AT) & CODEC_MASK;
}

/** The same batch around other bytes of records, marked with their codec. */
export function withRecords(
  batch: Uint8Array,
  records: Uint8Array,
  codec: number,
): Uint8Array<ArrayBuffer> {
  const other = new Uint8Array(BATCH_HEADER_BYTES + records.length);
  other.set(batch.subarray(0, BATCH_HEADER_BYTES));
  other.set(records, BATCH_HEADER_BYTES);
  const view = viewOf(other);
  view.setInt32(LENGTH_AT, other.length - FRAME_BYTES);
  view.setInt16(ATTRIBUTES_AT, (view.getInt16(ATTRIBUTES_AT) & ~CODEC_MASK) | codec);
  view.setUint32(CRC_AT, crc32c(other, ATTRIBUTES_AT));
  return other;
}
