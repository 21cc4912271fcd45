// Pass 1 of the fold: a record batch (magic 2) is read record by record and parsed into a block.
// Every length is checked against the batch before it is used.

import { BATCH_HEADER_BYTES, CHECK_CRC, Code, Format, Reason } from "./contract";
import { allocatePages } from "./memory";
import { crc32c } from "./crc32c";
import { cursor, readRest, readSigned, setCursor, unzigzag } from "./integers";
import { BLOCK_RECORDS } from "./table";
import { position, setPosition } from "./state";
import { parseText } from "./text";
import { parseJson, UNESCAPED_MAX } from "./json";
import {
  LENGTH,
  OFFSET_DELTA,
  REASON,
  RECORD_BYTES,
  START,
  TIMESTAMP,
  VALUE,
  VALUE_LENGTH,
} from "./record";

/** Shortest record: attributes, four varints and the number of headers. */
const RECORD_BODY_MIN: i64 = 6;
const TIMESTAMP_TYPE_LOG_APPEND: u32 = 0x08;
const TRANSACTIONAL: u32 = 0x10;
const DELETE_HORIZON: u32 = 0x40;

let format: u32 = 0;
let input: usize = 0;
let inputBytes: usize = 0;
/** The records of the block. */
export let block: usize = 0;
/** Decoded item ids of a block's JSON values. */
let unescaped: usize = 0;

// The batch being folded.
let batchEnd: usize = 0;
let next: usize = 0;
/** Records not read yet. */
export let left: u32 = 0;
export let baseOffset: i64 = 0;
let lastDelta: i64 = 0;
/** What it was before the block. */
let deltaBefore: i64 = 0;
let deltaMax: i64 = 0;
let baseTimestamp: i64 = 0;
/** Timestamp of all records when the log set it, else -1. */
let appendTimestamp: i64 = 0;
let appended: bool = false;
let until: i64 = 0;
export let flags: u32 = 0;

export function initBatch(recordFormat: u32, area: usize, areaBytes: usize): void {
  format = recordFormat;
  setInput(area, areaBytes);
  block = allocatePages(BLOCK_RECORDS * RECORD_BYTES);
  unescaped = allocatePages(BLOCK_RECORDS * UNESCAPED_MAX + 64) + 32;
}

export function setInput(area: usize, bytes: usize): void {
  input = area;
  inputBytes = bytes;
  left = 0;
}

/** Takes the batch of `length` bytes in the input area; what is folded are its offsets below `end`. */
export function takeBatch(length: u32, end: i64, how: u32): i32 {
  left = 0;
  if (
    length < BATCH_HEADER_BYTES || length > inputBytes || bswap(load<u32>(input, 8)) != length - 12
  ) return Code.BatchLength;
  if (load<u8>(input, 16) != 2) return Code.BatchMagic;
  const attributes = <u32> bswap(load<u16>(input, 21));
  if (attributes & ~(TIMESTAMP_TYPE_LOG_APPEND | TRANSACTIONAL | DELETE_HORIZON)) {
    return Code.BatchAttributes;
  }
  if (how & CHECK_CRC && crc32c(input + 21, length - 21) != bswap(load<u32>(input, 17))) {
    return Code.BatchCrc;
  }
  const records = bswap(load<u32>(input, 57));
  baseOffset = bswap(load<i64>(input));
  deltaMax = <i64> bswap(load<i32>(input, 23));
  if (baseOffset < 0 || deltaMax < 0 || baseOffset > i64.MAX_VALUE - deltaMax - 1) {
    return Code.BatchCount;
  }
  if (!records && length != BATCH_HEADER_BYTES) return Code.BatchCount;
  if (
    <i64> records > deltaMax + 1 ||
    <i64> records * (RECORD_BODY_MIN + 1) > <i64> length - BATCH_HEADER_BYTES
  ) return Code.BatchCount;
  baseTimestamp = bswap(load<i64>(input, 27));
  appended = (attributes & TIMESTAMP_TYPE_LOG_APPEND) != 0;
  appendTimestamp = bswap(load<i64>(input, 35));
  batchEnd = input + length;
  next = input + BATCH_HEADER_BYTES;
  left = records;
  lastDelta = -1;
  broken = false;
  until = end;
  flags = how;
  if (!records) finishBatch();
  return Code.Done;
}

/** The position behind the batch, or behind the part of it that was asked for. */
export function finishBatch(): void {
  left = 0;
  const end = min(baseOffset + deltaMax + 1, until);
  if (end > position()) setPosition(end);
}

/** Set when a record's lengths or offset do not fit: the batch ends before it. */
export let broken: bool = false;
/** Set when a record at or beyond `until` was met: the batch ends before it, with so many records left. */
let stopped: bool = false;
let leftBehind: u32 = 0;

/** Reads up to 64 records; returns the end of the block. */
export function readBlock(): usize {
  return read(false);
}

/** The same, with their transaction ids. */
export function readBlockWithIds(): usize {
  return read(true);
}

@inline
function read(withIds: bool): usize {
  let r = block;
  const first = position() - baseOffset, limit = until - baseOffset;
  const end = batchEnd;
  let decoded = unescaped;
  const full = block + BLOCK_RECORDS * RECORD_BYTES;
  broken = false;
  stopped = false;
  deltaBefore = lastDelta;
  while (r < full && left) {
    const start = next;
    let p = start, z: u64;
    if ((z = load<u8>(p++)) >= 128) (z = readRest(z, p)), (p = cursor);
    const length = unzigzag(z), body = p;
    if (length < RECORD_BODY_MIN || length > <i64> end - <i64> body) return breakOff(r);
    const recordEnd = body + <usize> length;
    p++; // attributes
    if ((z = load<u8>(p++)) >= 128) (z = readRest(z, p)), (p = cursor);
    const timestampDelta = unzigzag(z);
    if ((z = load<u8>(p++)) >= 128) (z = readRest(z, p)), (p = cursor);
    const delta = unzigzag(z);
    if ((z = load<u8>(p++)) >= 128) (z = readRest(z, p)), (p = cursor);
    const keyLength = unzigzag(z);
    if (keyLength > 0) {
      if (keyLength > <i64> recordEnd - <i64> p) return breakOff(r);
      p += <usize> keyLength;
    } else if (keyLength < -1) return breakOff(r);
    if ((z = load<u8>(p++)) >= 128) (z = readRest(z, p)), (p = cursor);
    const valueLength = unzigzag(z), value = p;
    // At least the number of headers follows the value; mostly there is none.
    if (valueLength < -1 || max<i64>(valueLength, 0) >= <i64> recordEnd - <i64> value) {
      return breakOff(r);
    }
    const headers = value + <usize> max<i64>(valueLength, 0);
    if ((load<u8>(headers) || headers + 1 != recordEnd) && !headersFit(headers, recordEnd)) {
      return breakOff(r);
    }
    if (delta <= lastDelta || delta > deltaMax) return breakOff(r);
    if (delta >= limit) {
      leftBehind = left;
      left = 0;
      stopped = true;
      break;
    }
    lastDelta = delta;
    next = recordEnd;
    left--;
    if (delta < first) continue;
    store<i64>(r, appended ? appendTimestamp : baseTimestamp + timestampDelta, TIMESTAMP);
    store<u32>(r, <u32> delta, OFFSET_DELTA);
    store<u32>(r, <u32> start, START);
    store<u32>(r, <u32> (recordEnd - start), LENGTH);
    let reason: u32;
    if (valueLength < 0) reason = Reason.NullValue;
    else if (format == Format.Text) {
      store<u32>(r, <u32> value, VALUE);
      store<u32>(r, <u32> valueLength, VALUE_LENGTH);
      reason = parseText(value, <u32> valueLength, r, withIds);
    } else {
      reason = parseJson(value, <u32> valueLength, r, decoded);
      decoded += UNESCAPED_MAX;
    }
    store<u32>(r, reason, REASON);
    r += RECORD_BYTES;
  }
  // Bytes behind the last record: the count is not true.
  if (!left && !stopped && !broken && next != end) breakOff(r);
  return r;
}

/** Leaves the records from `r` on for the next block. */
export function readAgain(r: usize, end: usize): void {
  next = <usize> load<u32>(r, START);
  lastDelta = r == block ? deltaBefore : <i64> load<u32>(r - RECORD_BYTES, OFFSET_DELTA);
  if (stopped || broken) left = leftBehind;
  left += <u32> ((end - r) / RECORD_BYTES);
  broken = false;
  stopped = false;
}

/** Whether headers, from their number on, fill the record exactly. */
function headersFit(p: usize, end: usize): bool {
  setCursor(p);
  let n = readSigned();
  if (n < 0) return false;
  for (; n > 0; n--) {
    const key = readSigned();
    if (key < 0 || key > <i64> end - <i64> cursor) return false;
    setCursor(cursor + <usize> key);
    const value = readSigned();
    if (value < -1 || max<i64>(value, 0) > <i64> end - <i64> cursor) return false;
    setCursor(cursor + <usize> max<i64>(value, 0));
  }
  return cursor == end;
}

function breakOff(r: usize): usize {
  broken = true;
  leftBehind = left;
  left = 0;
  return r;
}
