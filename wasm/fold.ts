// The fold: record batches in, stock and windows changed, results out.
//
// A batch is taken in blocks of up to 64 records, each in passes over the block: parse, apply, count
// in windows, write results. Each pass touches the memory that the next one needs, so that the loads
// of 64 records wait together instead of one after the other.

import {
  BATCH_HEADER_BYTES,
  CHECK_CRC,
  Code,
  DEAD_ADDRESS,
  DEAD_BYTES,
  DEAD_LENGTH,
  DEAD_MAX,
  DEAD_OFFSET,
  DEAD_REASON,
  DEAD_TIMESTAMP,
  EMIT,
  Format,
  OUTCOME_INVALID,
  OUTCOMES,
  OUTCOMES_MAX,
  OUTPUT_RECORD_BYTES_MAX,
  PAGE_BYTES,
  Reason,
  REPLAY,
} from "./contract";
import { allocatePages, ensure } from "./memory";
import { crc32c } from "./crc32c";
import { cursor, readSigned, setCursor } from "./integers";
import { keyCode, keyHash } from "./keys";
import {
  ABSENT,
  BLOCK_GROWTH_BYTES,
  BLOCK_RECORDS,
  clearMoved,
  find,
  findId,
  growFull,
  growOne,
  homeAddress,
  insert,
  linkAddress,
  markChanged,
  movedSegment,
  segmentOf,
  setStock,
  stockOf,
} from "./table";
import { copyCount, cutActive, preserveSlot } from "./copies";
import { count, linked, windowMs } from "./windows";
import { firing, recordTimestamp, windowFor, windowsDue } from "./time";
import { countInvalid, countItem, countOutcomes, position, setPosition } from "./state";
import { apply, REJECTED } from "./rule";
import { belongsHere } from "./partition";
import { parseText } from "./text";
import { parseJson, UNESCAPED_MAX } from "./json";
import { hasRoom, nextByte, setNextByte } from "./output";
import { putJsonResult, putTextResult } from "./results";
import {
  CODE,
  HASH,
  ID,
  ID_LENGTH,
  LENGTH,
  OFFSET_DELTA,
  QUANTITY,
  REASON,
  RECORD_BYTES,
  SLOT,
  START,
  SUCCEEDED,
  TIMESTAMP,
  TS,
  VALUE,
  VALUE_LENGTH,
  WINDOW,
} from "./record";

/** Pages that a block may have to copy: per record its line, its accumulator, and a link in an older one. */
const BLOCK_COPIES: u32 = 3 * BLOCK_RECORDS;
const BLOCK_OUTPUT_BYTES: usize = BLOCK_RECORDS * (OUTPUT_RECORD_BYTES_MAX + BATCH_HEADER_BYTES);
/** Shortest record: attributes, four varints and the number of headers. */
const RECORD_BODY_MIN: i64 = 6;
const TIMESTAMP_TYPE_LOG_APPEND: u32 = 0x08;
const TRANSACTIONAL: u32 = 0x10;
const DELETE_HORIZON: u32 = 0x40;

let format: u32 = 0;
let copyPagesMax: u32 = 0;

let input: usize = 0;
let inputBytes: usize = 0;
let block: usize = 0;
/** Decoded item ids of a block's JSON values. */
let unescaped: usize = 0;
let results: usize = 0;
let deadLetters: usize = 0;
export let deadCount: u32 = 0;
let outcomes: usize = 0;
export let outcomeCount: u32 = 0;

// The batch being folded.
let batchEnd: usize = 0;
let next: usize = 0;
let left: u32 = 0;
let baseOffset: i64 = 0;
let lastDelta: i64 = 0;
let deltaMax: i64 = 0;
let baseTimestamp: i64 = 0;
/** Timestamp of all records when the log set it, else -1. */
let appendTimestamp: i64 = 0;
let appended: bool = false;
let until: i64 = 0;
let flags: u32 = 0;

/** Loads that only warm the cache end up here, so that the compiler keeps them. */
let touched: u32 = 0;

export function initFold(
  recordFormat: u32,
  copyPages: u32,
  area: usize,
  areaBytes: usize,
  stream: usize,
  dead: usize,
  outcome: usize,
): void {
  format = recordFormat;
  copyPagesMax = copyPages;
  setInput(area, areaBytes);
  results = stream;
  deadLetters = dead;
  outcomes = outcome;
  block = allocatePages(BLOCK_RECORDS * RECORD_BYTES);
  unescaped = allocatePages(BLOCK_RECORDS * UNESCAPED_MAX + 64) + 32;
}

export function setInput(area: usize, bytes: usize): void {
  input = area;
  inputBytes = bytes;
  left = 0;
}

export function dropSides(): void {
  deadCount = 0;
  outcomeCount = 0;
}

// ---- the batch ----

/** Takes the batch of `length` bytes in the input area; run folds its records with offsets below `end`. */
export function beginBatch(length: u32, end: i64, how: u32): i32 {
  left = 0;
  if (deadCount || firing()) return Code.State;
  if (length < BATCH_HEADER_BYTES || length > inputBytes || bswap(load<u32>(input, 8)) != length - 12) return Code.BatchLength;
  if (load<u8>(input, 16) != 2) return Code.BatchMagic;
  const attributes = <u32> bswap(load<u16>(input, 21));
  if (attributes & ~(TIMESTAMP_TYPE_LOG_APPEND | TRANSACTIONAL | DELETE_HORIZON)) return Code.BatchAttributes;
  if (how & CHECK_CRC && crc32c(input + 21, length - 21) != bswap(load<u32>(input, 17))) return Code.BatchCrc;
  const records = bswap(load<u32>(input, 57));
  baseOffset = bswap(load<i64>(input));
  deltaMax = <i64> bswap(load<i32>(input, 23));
  if (baseOffset < 0 || deltaMax < 0 || baseOffset > i64.MAX_VALUE - deltaMax - 1) return Code.BatchCount;
  if (<i64> records > deltaMax + 1 || <i64> records * (RECORD_BODY_MIN + 1) > <i64> length - BATCH_HEADER_BYTES) return Code.BatchCount;
  baseTimestamp = bswap(load<i64>(input, 27));
  appended = (attributes & TIMESTAMP_TYPE_LOG_APPEND) != 0;
  appendTimestamp = bswap(load<i64>(input, 35));
  batchEnd = input + length;
  next = input + BATCH_HEADER_BYTES;
  left = records;
  lastDelta = -1;
  until = end;
  flags = how;
  if (!records) finishBatch();
  return Code.Done;
}

/** The position behind the batch, or behind the part of it that was asked for. */
function finishBatch(): void {
  left = 0;
  const end = min(baseOffset + deltaMax + 1, until);
  if (end > position()) setPosition(end);
}

/** Folds until the batch is done or something has to be done first. */
export function runBatch(): i32 {
  while (left) {
    const wait = whatFirst();
    if (wait) return wait;
    const end = readBlock();
    applyBlock(end);
    if (windowMs) countBlock(end);
    if (flags & EMIT) format == Format.Json ? emitJson(end) : emitText(end);
    growOne();
    if (broken) {
      left = 0;
      return Code.Record;
    }
    if (!left) finishBatch();
    if (!(flags & REPLAY) && windowsDue()) return Code.WindowsDue;
  }
  return Code.Done;
}

/** What must happen before the next block, or Done. */
@inline
function whatFirst(): i32 {
  if (firing()) return Code.WindowsDue;
  if (flags & EMIT) {
    if (!hasRoom(results, BLOCK_OUTPUT_BYTES, BLOCK_RECORDS) || deadCount > DEAD_MAX - BLOCK_RECORDS) return Code.OutputFull;
    if (flags & OUTCOMES && outcomeCount > OUTCOMES_MAX - BLOCK_RECORDS) return Code.OutputFull;
  }
  if (cutActive && copyCount + BLOCK_COPIES > copyPagesMax) return Code.CheckpointFirst;
  let bytes = BLOCK_GROWTH_BYTES;
  if (windowMs) bytes += BLOCK_RECORDS * PAGE_BYTES;
  if (cutActive) bytes += (BLOCK_COPIES + 2) * PAGE_BYTES;
  return growFull() && ensure(bytes) ? Code.Done : Code.OutOfMemory;
}

// ---- pass 1: read and parse ----

/** Set when a record's lengths or offset do not fit: the batch ends before it. */
let broken: bool = false;

/** Reads up to 64 records; returns the end of the block. */
function readBlock(): usize {
  let r = block, touch: u32 = 0;
  const first = position() - baseOffset, limit = until - baseOffset;
  const end = batchEnd;
  let decoded = unescaped, stopped = false;
  const full = block + BLOCK_RECORDS * RECORD_BYTES;
  broken = false;
  while (r < full && left) {
    const start = next;
    setCursor(start);
    const length = readSigned();
    const body = cursor;
    if (length < RECORD_BODY_MIN || length > <i64> end - <i64> body) return breakOff(r);
    const recordEnd = body + <usize> length;
    setCursor(body + 1);
    const timestampDelta = readSigned(), delta = readSigned(), keyLength = readSigned();
    if (keyLength > 0) {
      if (keyLength > <i64> recordEnd - <i64> cursor) return breakOff(r);
      setCursor(cursor + <usize> keyLength);
    } else if (keyLength < -1) return breakOff(r);
    const valueLength = readSigned(), value = cursor;
    // At least the number of headers follows the value.
    if (valueLength < -1 || max<i64>(valueLength, 0) >= <i64> recordEnd - <i64> value) return breakOff(r);
    if (delta <= lastDelta || delta > deltaMax) return breakOff(r);
    if (delta >= limit) {
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
      reason = parseText(value, <u32> valueLength, r);
    } else {
      reason = parseJson(value, <u32> valueLength, r, decoded);
      decoded += UNESCAPED_MAX;
    }
    store<u32>(r, reason, REASON);
    if (!reason) {
      store<u64>(r, keyCode(<usize> load<u32>(r, ID), load<u32>(r, ID_LENGTH)), CODE);
      store<u64>(r, keyHash, HASH);
      touch += load<u32>(homeAddress(keyHash));
    }
    r += RECORD_BYTES;
  }
  // Bytes behind the last record: the count does not tell the truth.
  if (!left && !stopped && next != end) broken = true;
  touched = touch;
  return r;
}

function breakOff(r: usize): usize {
  broken = true;
  left = 0;
  return r;
}

// ---- pass 2: apply ----

function applyBlock(end: usize): void {
  const replay = (flags & REPLAY) != 0;
  let accepted: u32 = 0, rejected: u32 = 0, quantitySum: i64 = 0, touch: u32 = 0;
  for (let r = block; r < end; r += RECORD_BYTES) {
    const timestamp = recordTimestamp(load<i64>(r, TIMESTAMP));
    store<i64>(r, timestamp, TIMESTAMP);
    setPosition(baseOffset + <i64> load<u32>(r, OFFSET_DELTA) + 1);
    const reason = load<u32>(r, REASON);
    if (reason) {
      countInvalid(reason);
      continue;
    }
    const code = load<u64>(r, CODE), hash = load<u64>(r, HASH);
    let slot = code ? find(code, hash) : findId(<usize> load<u32>(r, ID), load<u32>(r, ID_LENGTH));
    if (!slot && !belongsHere(<usize> load<u32>(r, ID), load<u32>(r, ID_LENGTH))) {
      store<u32>(r, Reason.WrongPartition, REASON);
      countInvalid(Reason.WrongPartition);
      continue;
    }
    const window = windowMs ? windowFor(load<i64>(r, TS), timestamp, replay) : 0;
    const quantity = load<i64>(r, QUANTITY), before = slot ? stockOf(slot) : ABSENT;
    const after = apply(before == ABSENT ? 0 : before, quantity), succeeded = after != REJECTED;
    // An unseen item whose transaction fails stays in the table only as long as a window counts it.
    if (!slot && (succeeded || window)) slot = insertOf(r);
    if (succeeded) {
      if (cutActive) preserveSlot(<u32> (hash >> 56), slot);
      setStock(slot, after);
      markChanged(segmentOf(hash));
      if (before == ABSENT) countItem();
      accepted++;
      quantitySum += quantity;
    } else rejected++;
    store<u32>(r, succeeded, SUCCEEDED);
    store<u32>(r, <u32> slot, SLOT);
    store<u32>(r, <u32> window, WINDOW);
    if (window) touch += load<u32>(linked(linkAddress(slot)));
  }
  touched = touch;
  countOutcomes(accepted, rejected, quantitySum);
}

/** Inserts the record's item; when that moved its segment, looks up the slots of the records before it again. */
function insertOf(r: usize): usize {
  const slot = insert(<usize> load<u32>(r, ID), load<u32>(r, ID_LENGTH));
  if (!movedSegment) return slot;
  for (let q = block; q < r; q += RECORD_BYTES) {
    if (load<u32>(q, REASON) || !load<u32>(q, SLOT) || segmentOf(load<u64>(q, HASH)) != movedSegment) continue;
    store<u32>(q, <u32> findId(<usize> load<u32>(q, ID), load<u32>(q, ID_LENGTH)), SLOT);
  }
  clearMoved();
  return slot;
}

// ---- pass 3: count in windows ----

function countBlock(end: usize): void {
  for (let r = block; r < end; r += RECORD_BYTES) {
    if (load<u32>(r, REASON)) continue;
    const window = <usize> load<u32>(r, WINDOW);
    if (!window) continue;
    const hash = load<u64>(r, HASH);
    markChanged(segmentOf(hash));
    count(<usize> load<u32>(r, SLOT), window, <u32> (hash >> 56), load<u32>(r, SUCCEEDED) != 0, load<i64>(r, QUANTITY));
  }
}

// ---- pass 4: results, dead letters, outcomes ----

function emitText(end: usize): void {
  let o = nextByte(results);
  for (let r = block; r < end; r += RECORD_BYTES) {
    if (load<u32>(r, REASON)) addDeadLetter(r);
    else o = putTextResult(results, o, r);
    if (flags & OUTCOMES) addOutcome(r);
  }
  setNextByte(results, o);
}

function emitJson(end: usize): void {
  let o = nextByte(results);
  for (let r = block; r < end; r += RECORD_BYTES) {
    if (load<u32>(r, REASON)) addDeadLetter(r);
    else o = putJsonResult(results, o, r);
    if (flags & OUTCOMES) addOutcome(r);
  }
  setNextByte(results, o);
}

function addOutcome(r: usize): void {
  const reason = load<u32>(r, REASON);
  store<u8>(outcomes + outcomeCount++, <u8> (reason ? OUTCOME_INVALID | reason : load<u32>(r, SUCCEEDED)));
}

function addDeadLetter(r: usize): void {
  const d = deadLetters + <usize> deadCount * DEAD_BYTES;
  deadCount++;
  store<u32>(d, load<u32>(r, START), DEAD_ADDRESS);
  store<u32>(d, load<u32>(r, LENGTH), DEAD_LENGTH);
  store<u32>(d, load<u32>(r, REASON), DEAD_REASON);
  store<i64>(d, baseOffset + <i64> load<u32>(r, OFFSET_DELTA), DEAD_OFFSET);
  store<i64>(d, load<i64>(r, TIMESTAMP), DEAD_TIMESTAMP);
}
