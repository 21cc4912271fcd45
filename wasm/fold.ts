// The fold: record batches in, stock and windows changed, results out.
//
// A batch is taken in blocks of up to 64 records, each in passes over the block: parse, find, apply and
// count in windows, write results. Each pass touches the memory that the next one needs, so that the loads
// of 64 records wait together instead of one after the other.

import {
  BATCH_HEADER_BYTES,
  Code,
  DEAD_ADDRESS,
  DEAD_BYTES,
  DEAD_LENGTH,
  DEAD_MAX,
  DEAD_OFFSET,
  DEAD_REASON,
  DEAD_TIMESTAMP,
  DISCARD_RESULTS,
  EMIT,
  Format,
  KNOWN_ITEMS,
  OUTCOME_DUPLICATE,
  OUTCOME_INVALID,
  OUTCOMES,
  OUTCOMES_MAX,
  OUTPUT_RECORD_BYTES_MAX,
  PAGE_BYTES,
  Reason,
  REPLAY,
} from "./contract";
import { ensure } from "./memory";
import { ABSENT, linkAddress, setStock, stockOf } from "./runs";
import {
  BLOCK_GROWTH_BYTES,
  BLOCK_RECORDS,
  clearMoved,
  findId,
  findItem,
  growFull,
  growOne,
  insert,
  markChanged,
  movedSegment,
  segmentOf,
} from "./table";
import { forgetStoredMet } from "./keys";
import { LINE_UNUSED } from "./layout";
import { findHomes, findSlots, touchAhead } from "./search";
import { copyCount, cutActive, preserveSlot } from "./copies";
import { ACCUMULATOR_UNUSED, count, linked, windowMs } from "./windows";
import { firing, followLog, recordTimestamp, windowFor, windowsDue } from "./time";
import {
  baseOffset,
  block,
  broken,
  finishBatch,
  flags,
  left,
  readAgain,
  readBlock,
  readBlockWithIds,
  takeBatch,
} from "./batch";
import { countInvalid, countItem, countOutcomes, setPosition } from "./state";
import { apply, isRejected } from "./rule";
import { sample } from "./sample";
import {
  CONFLICT,
  findRemembered,
  isNewRecord,
  NEW,
  placeOf,
  recall,
  remember,
  rememberedGrowthBytes,
  tendRemembered,
  touchRemembered,
} from "./remembered";
import { moveClock, remembers } from "./remembered_ring";
import { belongsHere } from "./partition";
import { hasRoom, nextByte, setNextByte } from "./output";
import { putJsonResult, putTextResult } from "./results";
import {
  AHEAD,
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
} from "./record";

/** Pages that a block may have to copy: per record its line, its accumulator, and a link in an older one. */
const BLOCK_COPIES: u32 = 3 * BLOCK_RECORDS;
const BLOCK_OUTPUT_BYTES: usize = BLOCK_RECORDS * (OUTPUT_RECORD_BYTES_MAX + BATCH_HEADER_BYTES);
let format: u32 = 0;
let copyPagesMax: u32 = 0;

let results: usize = 0;
let deadLetters: usize = 0;
export let deadCount: u32 = 0;
let outcomes: usize = 0;
export let outcomeCount: u32 = 0;

/** Whether the block ended before a record that would add an item. */
let stoppedAtNew: bool = false;

/** Loads that only warm the cache end up here, so that the compiler keeps them. */
let touched: u32 = 0;

export function initFold(
  recordFormat: u32,
  copyPages: u32,
  stream: usize,
  dead: usize,
  outcome: usize,
): void {
  format = recordFormat;
  copyPagesMax = copyPages;
  results = stream;
  deadLetters = dead;
  outcomes = outcome;
}

export function dropSides(): void {
  deadCount = 0;
  outcomeCount = 0;
}

/** Takes the batch of `length` bytes in the input area; runBatch folds its records with offsets below `end`. */
export function beginBatch(length: u32, end: i64, how: u32): i32 {
  return deadCount || firing() ? Code.State : takeBatch(length, end, how);
}

/** Folds until the batch is done or something has to be done first. */
export function runBatch(): i32 {
  while (left) {
    const wait = whatFirst();
    if (wait) return wait;
    forgetStoredMet();
    let end = remembers ? readBlockWithIds() : readBlock();
    findHomes(end);
    if (remembers) findRemembered(end);
    if (remembers) touched += touchRemembered(end);
    touchAhead(end, LINE_UNUSED);
    findSlots(end);
    if (windowMs) {
      findAccumulators(end);
      touchAhead(end, ACCUMULATOR_UNUSED);
    }
    end = applyBlock(end);
    if (flags & EMIT) {
      if (flags & DISCARD_RESULTS) emitSides(end);
      else format == Format.Json ? emitJson(end) : emitText(end);
    } else if (flags & OUTCOMES) addOutcomes(end);
    if (!(flags & REPLAY)) sample(block, end);
    growOne();
    if (remembers) tendRemembered(BLOCK_RECORDS);
    if (!left && !broken) finishBatch();
    if (!(flags & REPLAY)) followLog();
    if (stoppedAtNew) {
      stoppedAtNew = false;
      if (!firing()) return Code.StateFull;
    }
  }
  if (firing()) return Code.WindowsDue;
  return broken ? Code.Record : Code.Done;
}

/** What must happen before the next block, or Done. */
@inline
function whatFirst(): i32 {
  if (firing()) return Code.WindowsDue;
  if (flags & EMIT) {
    if (
      !hasRoom(results, BLOCK_OUTPUT_BYTES, BLOCK_RECORDS) || deadCount > DEAD_MAX - BLOCK_RECORDS
    ) return Code.OutputFull;
  }
  if (flags & OUTCOMES && outcomeCount > OUTCOMES_MAX - BLOCK_RECORDS) return Code.OutputFull;
  if (cutActive && copyCount + BLOCK_COPIES > copyPagesMax) return Code.CheckpointFirst;
  let bytes = BLOCK_GROWTH_BYTES;
  if (windowMs) bytes += BLOCK_RECORDS * PAGE_BYTES;
  if (cutActive) bytes += (BLOCK_COPIES + 2) * PAGE_BYTES;
  if (remembers) bytes += rememberedGrowthBytes(BLOCK_RECORDS);
  return growFull() && ensure(bytes) ? Code.Done : Code.OutOfMemory;
}

// ---- between the passes: what the next one needs is found, and loaded into the cache ----

/** Finds the newest accumulator of every item; a record without a slot has address 0. */
function findAccumulators(end: usize): void {
  for (let r = block; r < end; r += RECORD_BYTES) {
    store<u32>(r, <u32> linked(linkAddress(<usize> load<u32>(r, SLOT))), AHEAD);
  }
}

// ---- pass 2: apply ----

// What the block's transactions add to the counters.
let accepted: u32 = 0;
let rejected: u32 = 0;
let quantitySum: i64 = 0;

/**
 * Executes the block's transactions. A record that makes a window due ends the block: the window is
 * fired as of that record, wherever batches are cut. Returns the end of what was executed.
 */
function applyBlock(end: usize): usize {
  const replay = (flags & REPLAY) != 0, knownAlone = (flags & KNOWN_ITEMS) != 0;
  const fires = windowMs != 0 && !replay;
  accepted = rejected = 0;
  quantitySum = 0;
  for (let r = block; r < end; r += RECORD_BYTES) {
    if (knownAlone && addsItem(r)) {
      readAgain(r, end);
      stoppedAtNew = true;
      end = r;
      break;
    }
    if (remembers) moveClock(load<i64>(r, TIMESTAMP));
    const timestamp = recordTimestamp(load<i64>(r, TIMESTAMP), replay);
    store<i64>(r, timestamp, TIMESTAMP);
    const reason = load<u32>(r, REASON);
    if (reason) countInvalid(reason);
    else applyRecord(r, end, timestamp, replay);
    if (fires && windowsDue() && r + RECORD_BYTES < end) {
      readAgain(r + RECORD_BYTES, end);
      end = r + RECORD_BYTES;
    }
  }
  if (end != block) {
    setPosition(baseOffset + <i64> load<u32>(end - RECORD_BYTES, OFFSET_DELTA) + 1);
  }
  countOutcomes(accepted, rejected, quantitySum);
  return end;
}

/** Whether a record would add an item to the table. Changes nothing. */
function addsItem(r: usize): bool {
  if (load<u32>(r, REASON) || load<u32>(r, SLOT)) return false;
  if (!windowMs && isRejected(apply(0, load<i64>(r, QUANTITY)))) return false;
  const id = <usize> load<u32>(r, ID), n = load<u32>(r, ID_LENGTH);
  return !findId(id, n) && belongsHere(id, n);
}

/** Executes one valid transaction. */
@inline
function applyRecord(r: usize, end: usize, timestamp: i64, replay: bool): void {
  const hash = load<u64>(r, HASH);
  let slot = <usize> load<u32>(r, SLOT);
  if (!slot) {
    slot = slotOf(r);
    if (!slot && !belongsHere(<usize> load<u32>(r, ID), load<u32>(r, ID_LENGTH))) {
      store<u32>(r, Reason.WrongPartition, REASON);
      countInvalid(Reason.WrongPartition);
      return;
    }
  }
  let place: u64 = 0;
  if (remembers) {
    place = placeOf(r);
    if (!isNewRecord(place) && repeats(r, place)) return;
  }
  const window = windowMs ? windowFor(load<i64>(r, TS), timestamp, replay) : 0;
  const quantity = load<i64>(r, QUANTITY), before = slot ? stockOf(slot) : ABSENT;
  const after = apply(before == ABSENT ? 0 : before, quantity), succeeded = !isRejected(after);
  // An unseen item whose transaction fails stays in the table only as long as a window counts it.
  if (!slot && (succeeded || window)) slot = insertOf(r, end);
  // Whether it succeeds cannot be foretold: without a branch on that alone, as it would cost more than what it spares.
  if (slot) {
    if (succeeded & cutActive) preserveSlot(<u32> (hash >> 56), slot);
    setStock(slot, select(after, before, succeeded));
    if (succeeded & (before == ABSENT)) countItem();
  }
  accepted += succeeded;
  rejected += !succeeded;
  quantitySum += select<i64>(quantity, 0, succeeded);
  markChanged(segmentOf(hash), succeeded | (window != 0));
  if (window) count(slot, window, <u32> (hash >> 56), succeeded, quantity);
  if (remembers) remember(r, place, quantity, succeeded);
  store<u32>(r, succeeded, SUCCEEDED);
}

/** The slot of the record's item as of now, or 0. An item without a code may have one since another was added. */
function slotOf(r: usize): usize {
  const id = <usize> load<u32>(r, ID), n = load<u32>(r, ID_LENGTH), code = load<u64>(r, CODE);
  return code ? findItem(id, n, code, load<u64>(r, HASH)) : findId(id, n);
}

/** Whether a transaction is a repetition or a conflict; if so, its outcome is set. */
function repeats(r: usize, place: u64): bool {
  const seen = recall(r, place);
  if (seen == NEW) return false;
  if (seen == CONFLICT) {
    store<u32>(r, Reason.IdConflict, REASON);
    countInvalid(Reason.IdConflict);
    return true;
  }
  store<u32>(r, OUTCOME_DUPLICATE | seen, SUCCEEDED);
  return true;
}

/** Inserts the record's item; when that moved its segment, looks up the slots of the others again. */
function insertOf(r: usize, end: usize): usize {
  const id = <usize> load<u32>(r, ID), n = load<u32>(r, ID_LENGTH);
  const slot = insert(id, n, load<u64>(r, CODE), load<u64>(r, HASH));
  if (!movedSegment) return slot;
  for (let q = block; q < end; q += RECORD_BYTES) {
    if (
      q == r || load<u32>(q, REASON) || !load<u32>(q, SLOT) ||
      segmentOf(load<u64>(q, HASH)) != movedSegment
    ) continue;
    store<u32>(q, <u32> slotOf(q), SLOT);
  }
  clearMoved();
  return slot;
}

// ---- pass 3: results, dead letters, outcomes ----

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

/** Dead letters and outcomes alone. */
function emitSides(end: usize): void {
  for (let r = block; r < end; r += RECORD_BYTES) {
    if (load<u32>(r, REASON)) addDeadLetter(r);
    if (flags & OUTCOMES) addOutcome(r);
  }
}

/** Outcomes alone, where nothing is put out. */
function addOutcomes(end: usize): void {
  for (let r = block; r < end; r += RECORD_BYTES) addOutcome(r);
}

function addOutcome(r: usize): void {
  const reason = load<u32>(r, REASON);
  store<u8>(
    outcomes + outcomeCount++,
    <u8> (reason ? OUTCOME_INVALID | reason : load<u32>(r, SUCCEEDED)),
  );
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
