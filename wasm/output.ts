// Finished record batches (magic 2, KIP-98). Records are appended to an open batch, which is sealed
// when it reaches the configured size or when the host drains the area.
//
//   stream, 48 B:
//     0 area u32, 4 end of the area u32, 8 start of the open batch u32, 12 next byte u32,
//    16 records in the open batch u32, 20 finished batches u32, 24 their entries u32,
//    32 first timestamp of the open batch i64, 40 its largest i64

import {
  BATCH_HEADER_BYTES,
  FINISHED_BYTES,
  FINISHED_LENGTH,
  FINISHED_MAX,
  FINISHED_RECORDS,
} from "./contract";
import { crc32c } from "./crc32c";
import { putUnsigned, unsignedLength, zigzag } from "./integers";

export const STREAM_BYTES: usize = 48;
const AREA: usize = 0;
const AREA_END: usize = 4;
const BATCH: usize = 8;
const NEXT: usize = 12;
const RECORDS: usize = 16;
const FINISHED: usize = 20;
const ENTRIES: usize = 24;
const FIRST_TIMESTAMP: usize = 32;
const MAX_TIMESTAMP: usize = 40;

let batchBytesMax: usize = 0;

// Producer id, epoch and next sequence of the results; a producer id of -1 = not idempotent.
let producerId: i64 = -1;
let producerEpoch: i32 = -1;
let sequence: u32 = 0;
let sequenced: usize = 0;

export function initOutput(bytesMax: usize): void {
  batchBytesMax = bytesMax;
}

/** The results' stream carries these; sequence numbers count up from `next` and wrap after 2^31 - 1. */
export function setProducerOf(stream: usize, id: i64, epoch: i32, next: i32): void {
  sequenced = stream;
  producerId = id;
  producerEpoch = epoch;
  sequence = <u32> next;
}

export function initStream(s: usize, area: usize, bytes: usize, entries: usize): void {
  memory.fill(s, 0, STREAM_BYTES);
  store<u32>(s, <u32> area, AREA);
  store<u32>(s, <u32> (area + bytes), AREA_END);
  store<u32>(s, <u32> area, BATCH);
  store<u32>(s, <u32> (area + BATCH_HEADER_BYTES), NEXT);
  store<u32>(s, <u32> entries, ENTRIES);
}

/** Whether `bytes` more in at most `records` records fit, batch headers included. */
@inline
export function hasRoom(s: usize, bytes: usize, records: u32): bool {
  return <usize> load<u32>(s, AREA_END) - <usize> load<u32>(s, NEXT) >= bytes &&
    load<u32>(s, FINISHED) + records < FINISHED_MAX;
}

@inline
export function finishedCount(s: usize): u32 {
  return load<u32>(s, FINISHED);
}

@inline
export function nextByte(s: usize): usize {
  return <usize> load<u32>(s, NEXT);
}

@inline
export function setNextByte(s: usize, p: usize): void {
  store<u32>(s, <u32> p, NEXT);
}

/**
 * Opens a record of a known size: seals the batch before it if need be, and writes everything up to
 * the value. Returns where the value goes; behind it go the headers, their number first, or closeRecord.
 */
@inline
export function openRecord(
  s: usize,
  o: usize,
  timestamp: i64,
  key: usize,
  keyLength: u32,
  valueLength: u32,
  headersLength: u32,
): usize {
  const batch = <usize> load<u32>(s, BATCH);
  let n = load<u32>(s, RECORDS);
  if (
    n && o - batch + keyLength + valueLength + headersLength + RECORD_OVERHEAD_MAX > batchBytesMax
  ) {
    o = sealAt(s, o);
    n = 0;
  }
  if (!n) {
    store<i64>(s, timestamp, FIRST_TIMESTAMP);
    store<i64>(s, timestamp, MAX_TIMESTAMP);
  } else if (timestamp > load<i64>(s, MAX_TIMESTAMP)) store<i64>(s, timestamp, MAX_TIMESTAMP);
  store<u32>(s, n + 1, RECORDS);
  const delta = zigzag(timestamp - load<i64>(s, FIRST_TIMESTAMP));
  // Lengths and deltas are not negative, so their zigzag form is twice the number.
  const body = 1 + unsignedLength(delta) + unsignedLength(n << 1) + unsignedLength(keyLength << 1) +
    keyLength +
    unsignedLength(valueLength << 1) + valueLength + headersLength;
  o = putUnsigned(o, body << 1);
  store<u8>(o++, 0); // attributes
  o = putUnsigned(o, delta);
  o = putUnsigned(o, n << 1);
  o = putUnsigned(o, keyLength << 1);
  for (let i: u32 = 0; i < keyLength; i += 16) v128.store(o + i, v128.load(key + i));
  return putUnsigned(o + keyLength, valueLength << 1);
}

/** Bytes of a record beside key and value, at the most. */
const RECORD_OVERHEAD_MAX: usize = 32;

@inline
export function closeRecord(o: usize): usize {
  store<u8>(o, 0); // no headers
  return o + 1;
}

/** Finishes the open batch, if it has records; returns where the next record goes. */
export function sealAt(s: usize, o: usize): usize {
  const n = load<u32>(s, RECORDS);
  if (!n) return o;
  const b = <usize> load<u32>(s, BATCH), length = <u32> (o - b);
  const own = s == sequenced;
  store<u64>(b, 0); // base offset: the log's matter
  store<u32>(b, bswap(length - 12), 8);
  store<u32>(b, u32.MAX_VALUE, 12); // partition leader epoch
  store<u8>(b, 2, 16); // magic
  store<u16>(b, own && producerId >= 0 ? bswap<u16>(0x10) : 0, 21); // attributes: transactional with a producer id
  store<u32>(b, bswap(n - 1), 23);
  store<i64>(b, bswap(load<i64>(s, FIRST_TIMESTAMP)), 27);
  store<i64>(b, bswap(load<i64>(s, MAX_TIMESTAMP)), 35);
  store<i64>(b, bswap<i64>(own ? producerId : -1), 43);
  store<u16>(b, bswap<u16>(own ? <u16> producerEpoch : 0xffff), 51);
  store<u32>(b, own && producerId >= 0 ? bswap(sequence) : u32.MAX_VALUE, 53);
  store<u32>(b, bswap(n), 57);
  store<u32>(b, bswap(crc32c(b + 21, length - 21)), 17);
  if (own) sequence = (sequence + n) & 0x7fffffff;
  const finished = load<u32>(s, FINISHED),
    entry = <usize> load<u32>(s, ENTRIES) + <usize> finished * FINISHED_BYTES;
  store<u32>(entry, <u32> b);
  store<u32>(entry, length, FINISHED_LENGTH);
  store<u32>(entry, n, FINISHED_RECORDS);
  store<u32>(s, finished + 1, FINISHED);
  store<u32>(s, <u32> o, BATCH);
  store<u32>(s, 0, RECORDS);
  return o + BATCH_HEADER_BYTES;
}

/** Finishes the open batch of a stream. */
export function seal(s: usize): void {
  setNextByte(s, sealAt(s, nextByte(s)));
}

/** The host has taken the finished batches: makes their room free again. An open batch stays. */
export function release(s: usize): void {
  const area = <usize> load<u32>(s, AREA), batch = <usize> load<u32>(s, BATCH);
  const length = <usize> load<u32>(s, NEXT) - batch;
  if (batch != area && load<u32>(s, RECORDS)) memory.copy(area, batch, length);
  store<u32>(s, <u32> area, BATCH);
  store<u32>(s, <u32> (area + length), NEXT);
  store<u32>(s, 0, FINISHED);
}

/** Drops everything not yet taken. */
export function discard(s: usize): void {
  store<u32>(s, 0, FINISHED);
  store<u32>(s, 0, RECORDS);
  const area = load<u32>(s, AREA);
  store<u32>(s, area, BATCH);
  store<u32>(s, area + BATCH_HEADER_BYTES, NEXT);
}
