// Record batches, magic 2 (KIP-98, https://kafka.apache.org/documentation/#recordbatch): what the logs
// hold and what the core reads and writes. All integers of the header are big endian.
//
//    0 base offset i64       8 length behind this field i32    12 partition leader epoch i32
//   16 magic i8             17 CRC32C from byte 21 on u32       21 attributes i16
//   23 last offset delta i32   27 first timestamp i64           35 largest timestamp i64
//   43 producer id i64      51 producer epoch i16               53 base sequence i32
//   57 number of records i32   61 records
//   record: length, attributes i8, timestamp delta, offset delta, key length, key, value length,
//   value, number of headers, per header: key length, key, value length, value; all varints zigzag

import { BATCH_HEADER_BYTES } from "../../wasm/contract.ts";
import { crc32c } from "./crc32c.ts";

export { BATCH_HEADER_BYTES };

/** A header of a record. */
export interface Header {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** A record as it is read from a batch. */
export interface LogRecord {
  readonly offset: number;
  /** ms since the epoch; -1 = none */
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly Header[];
}

/** A record as it is written to a batch. */
export interface NewRecord {
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: readonly Header[];
}

/** What the header of a batch says. */
export interface BatchInfo {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly records: number;
  readonly maxTimestamp: number;
  /** The CRC32C field. */
  readonly crc: number;
  /** Bytes of the whole batch. */
  readonly length: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function view(batch: Uint8Array): DataView {
  return new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
}

/**
 * Reads the header of the batch that starts at `at`.
 *
 * @throws {RangeError} when no whole batch of magic 2 stands there
 */
export function batchInfo(bytes: Uint8Array, at = 0): BatchInfo {
  const v = view(bytes);
  if (bytes.length - at < BATCH_HEADER_BYTES) {
    throw new RangeError(
      `A record batch has at least ${BATCH_HEADER_BYTES} bytes: ${bytes.length - at}`,
    );
  }
  const length = v.getInt32(at + 8) + 12;
  if (length < BATCH_HEADER_BYTES || length > bytes.length - at) {
    throw new RangeError(`A record batch of ${length} bytes is cut at ${bytes.length - at}`);
  }
  if (bytes[at + 16] !== 2) {
    throw new RangeError(`Record batches are of magic 2: ${bytes[at + 16]}`);
  }
  const baseOffset = Number(v.getBigInt64(at));
  return {
    baseOffset,
    lastOffset: baseOffset + v.getInt32(at + 23),
    records: v.getInt32(at + 57),
    maxTimestamp: Number(v.getBigInt64(at + 35)),
    crc: v.getUint32(at + 17),
    length,
  };
}

/** Sets the base offset, which the CRC does not cover. */
export function setBaseOffset(batch: Uint8Array, offset: number): void {
  view(batch).setBigInt64(0, BigInt(offset));
}

/** Whether the batch's CRC32C is right. */
export function isIntact(batch: Uint8Array): boolean {
  return batchInfo(batch).crc === crc32c(batch, 21);
}

/** Builds one batch; bytes are appended to a buffer that grows. */
export class BatchBuilder {
  #bytes: Uint8Array<ArrayBuffer>;
  #at = BATCH_HEADER_BYTES;
  #records = 0;
  #firstTimestamp = 0;
  #maxTimestamp = 0;

  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(capacity);
  }

  get records(): number {
    return this.#records;
  }

  /** Bytes of the batch so far. */
  get length(): number {
    return this.#at;
  }

  add(record: NewRecord): void {
    const { timestamp, key, value } = record;
    if (this.#records === 0) this.#firstTimestamp = this.#maxTimestamp = timestamp;
    this.#maxTimestamp = Math.max(this.#maxTimestamp, timestamp);
    const headers = encodeHeaders(record.headers ?? []);
    const delta = timestamp - this.#firstTimestamp;
    const offset = this.#records++;
    const body = 1 + varintLength(delta) + varintLength(offset) + fieldLength(key) +
      fieldLength(value) + headers.length;
    this.#reserve(body + 5);
    this.#putVarint(body);
    this.#bytes[this.#at++] = 0;
    this.#putVarint(delta);
    this.#putVarint(offset);
    this.#putField(key);
    this.#putField(value);
    this.#bytes.set(headers, this.#at);
    this.#at += headers.length;
  }

  /** The finished batch, with base offset 0 and without producer. */
  build(): Uint8Array<ArrayBuffer> {
    const batch = this.#bytes.slice(0, this.#at);
    const v = view(batch);
    v.setInt32(8, batch.length - 12);
    v.setInt32(12, -1);
    v.setInt8(16, 2);
    v.setInt32(23, this.#records - 1);
    v.setBigInt64(27, BigInt(this.#firstTimestamp));
    v.setBigInt64(35, BigInt(this.#maxTimestamp));
    v.setBigInt64(43, -1n);
    v.setInt16(51, -1);
    v.setInt32(53, -1);
    v.setInt32(57, this.#records);
    v.setUint32(17, crc32c(batch, 21));
    return batch;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#at + bytes));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }

  #putVarint(n: number): void {
    this.#at = putVarint(this.#bytes, this.#at, n);
  }

  #putField(field: Uint8Array | null): void {
    this.#putVarint(field ? field.length : -1);
    if (field) {
      this.#bytes.set(field, this.#at);
      this.#at += field.length;
    }
  }
}

/**
 * One batch of the records.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const value = new TextEncoder().encode("1\t1700000000000\titem_2\t100");
 * const batch = encodeBatch([{ timestamp: 1_700_000_000_000, key: null, value }]);
 * assertEquals(decodeBatch(batch)[0]!.value, value);
 * ```
 */
export function encodeBatch(records: readonly NewRecord[]): Uint8Array<ArrayBuffer> {
  const builder = new BatchBuilder();
  for (const record of records) builder.add(record);
  return builder.build();
}

/** Bytes of a record beside key, value and headers, at the most. */
const RECORD_OVERHEAD_BYTES = 32;

/** Bytes that a record takes in a batch, at the most. */
export function recordBytesMax({ key, value, headers = [] }: NewRecord): number {
  const fields = (key?.length ?? 0) + (value?.length ?? 0);
  const inHeaders = headers.reduce((n, h) => n + 10 + 3 * h.key.length + (h.value?.length ?? 0), 0);
  return RECORD_OVERHEAD_BYTES + fields + inHeaders;
}

/** Bytes of a batch of this record alone, without its header. */
export function recordBytes({ key, value, headers = [] }: NewRecord): number {
  const body = 3 + fieldLength(key) + fieldLength(value) + encodeHeaders(headers).length;
  return varintLength(body) + body;
}

/** Batches of at most so many bytes, as few as that takes; a record that is larger has one of its own. */
export function splitIntoBatches(
  records: readonly NewRecord[],
  maxBytes: number,
): Uint8Array<ArrayBuffer>[] {
  const batches: Uint8Array<ArrayBuffer>[] = [];
  let builder = new BatchBuilder();
  for (const record of records) {
    if (builder.records > 0 && builder.length + recordBytesMax(record) > maxBytes) {
      batches.push(builder.build());
      builder = new BatchBuilder();
    }
    builder.add(record);
  }
  if (builder.records > 0) batches.push(builder.build());
  return batches;
}

function encodeHeaders(headers: readonly Header[]): Uint8Array {
  if (headers.length === 0) return NO_HEADERS;
  const keys = headers.map((h) => encoder.encode(h.key));
  let length = varintLength(headers.length);
  headers.forEach((h, i) => length += fieldLength(keys[i]!) + fieldLength(h.value));
  const bytes = new Uint8Array(length);
  let at = putVarint(bytes, 0, headers.length);
  headers.forEach((h, i) => {
    for (const field of [keys[i]!, h.value]) {
      at = putVarint(bytes, at, field ? field.length : -1);
      if (field) {
        bytes.set(field, at);
        at += field.length;
      }
    }
  });
  return bytes;
}

const NO_HEADERS = new Uint8Array(1);

// Zigzag varints of up to 64 bits, by arithmetic: bit operations would cut them at 32. Beyond 2^52 the
// zigzag form does not fit into a double, and BigInt takes over.

const EXACT = 2 ** 52;

function zigzag(n: number): number {
  return n >= 0 ? 2 * n : -2 * n - 1;
}

function varintLength(n: number): number {
  if (Math.abs(n) >= EXACT) return putVarint(SCRATCH, 0, n);
  let z = zigzag(n);
  let length = 1;
  while (z >= 128) {
    z = Math.floor(z / 128);
    length++;
  }
  return length;
}

function fieldLength(field: Uint8Array | null): number {
  return field ? varintLength(field.length) + field.length : 1;
}

const SCRATCH = new Uint8Array(10);

function putVarint(bytes: Uint8Array, at: number, n: number): number {
  if (Math.abs(n) >= EXACT) return putLargeVarint(bytes, at, BigInt(n));
  let z = zigzag(n);
  while (z >= 128) {
    bytes[at++] = (z % 128) | 128;
    z = Math.floor(z / 128);
  }
  bytes[at++] = z;
  return at;
}

function putLargeVarint(bytes: Uint8Array, at: number, n: bigint): number {
  let z = n >= 0n ? 2n * n : -2n * n - 1n;
  while (z >= 128n) {
    bytes[at++] = Number(z & 127n) | 128;
    z >>= 7n;
  }
  bytes[at++] = Number(z);
  return at;
}

/** Reads varints and fields one after the other. */
class Reader {
  constructor(readonly bytes: Uint8Array, public at: number, readonly end: number) {}

  varint(): number {
    const start = this.at;
    let z = 0;
    let unit = 1;
    while (true) {
      const byte = this.#byte();
      z += (byte & 127) * unit;
      if (byte < 128) return z % 2 === 0 ? z / 2 : -(z + 1) / 2;
      if (this.at - start === 7) return this.#largeVarint(BigInt(z));
      unit *= 128;
    }
  }

  /** Goes on behind 7 bytes, as far as 10 bytes and 64 bits. */
  #largeVarint(z: bigint): number {
    for (let shift = 49n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      z |= BigInt(byte & 127) << shift;
      if (byte < 128) break;
    }
    z = BigInt.asUintN(64, z);
    return Number(z & 1n ? -(z >> 1n) - 1n : z >> 1n);
  }

  #byte(): number {
    if (this.at >= this.end) throw new RangeError(`A record ends within a number at ${this.at}`);
    return this.bytes[this.at++]!;
  }

  field(): Uint8Array | null {
    const length = this.varint();
    if (length === -1) return null;
    if (length < 0 || length > this.end - this.at) {
      throw new RangeError(`A field of ${length} bytes does not fit at ${this.at}`);
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}

/**
 * Reads the record whose length varint stands at `at`. Key, value and header values are views.
 *
 * @param base offset and timestamp that the record's deltas count from
 */
export function decodeRecord(
  bytes: Uint8Array,
  at: number,
  base: { offset: number; timestamp: number },
): { record: LogRecord; end: number } {
  const frame = new Reader(bytes, at, bytes.length);
  const length = frame.varint();
  if (length < 0 || length > bytes.length - frame.at) {
    throw new RangeError(`A record of ${length} bytes does not fit at ${at}`);
  }
  const end = frame.at + length;
  const r = new Reader(bytes, frame.at + 1, end);
  const timestamp = base.timestamp + r.varint();
  const offset = base.offset + r.varint();
  const key = r.field();
  const value = r.field();
  const headers: Header[] = [];
  const count = r.varint();
  for (let i = 0; i < count; i++) {
    const name = r.field();
    if (name === null) throw new RangeError(`A header at ${r.at} has no key`);
    headers.push({ key: decoder.decode(name), value: r.field() });
  }
  if (count < 0 || r.at !== end) {
    throw new RangeError(`The headers of the record at ${at} do not fill it`);
  }
  return { record: { offset, timestamp, key, value, headers }, end };
}

/**
 * Reads the records of an uncompressed batch.
 *
 * @throws {RangeError} when the bytes are not such a batch
 */
export function decodeBatch(batch: Uint8Array): LogRecord[] {
  const info = batchInfo(batch);
  const v = view(batch);
  const attributes = v.getInt16(21);
  if (attributes & 0x27) {
    throw new RangeError(`Compressed or control batch, attributes ${attributes}`);
  }
  const appended = (attributes & 8) !== 0;
  const base = { offset: info.baseOffset, timestamp: Number(v.getBigInt64(27)) };
  const records: LogRecord[] = [];
  let at = BATCH_HEADER_BYTES;
  for (let i = 0; i < info.records; i++) {
    const { record, end } = decodeRecord(batch, at, base);
    records.push(appended ? { ...record, timestamp: info.maxTimestamp } : record);
    at = end;
  }
  return records;
}
