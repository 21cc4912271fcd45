// Safe retries: a transaction that is repeated is executed once.
//
// A transaction is remembered by its identity, which is item and transaction id, with its outcome. One with the same
// identity that equals it in ts and quantity is a repetition: it is answered the same, and touches nothing. Any other one
// with that identity is a conflict.

import { Format, PAGE_BYTES } from "./contract";
import {
  append,
  checkAt,
  countDuplicate,
  head,
  initRing,
  itemAt,
  remembers,
  ringPages,
} from "./remembered_ring";
import { checkOf, initRememberedKeys, itemHashOf, OUTCOME_BITS } from "./remembered_keys";
import {
  add,
  indexGrowthBytes,
  indexPages,
  initIndex,
  lineOf,
  placeHash,
  search,
  tendIndex,
} from "./remembered_index";
import { block } from "./batch";
import { digitRun, digitsAt } from "./integers";
import {
  ID,
  ID_LENGTH,
  ITEM_HASH,
  JSON_ID,
  QUANTITY,
  REASON,
  RECORD_BYTES,
  TRANSACTION_ID,
  TS,
  VALUE,
} from "./record";

const MINUS: u8 = 45;
/** A block's entries may need a new group of the ring. */
const GROUP_BYTES: usize = 6 * PAGE_BYTES;

/** @param windowMs 0 = nothing is remembered. False without memory. */
export function initRemembered(windowMs: i64, most: u32, secret0: u64, secret1: u64): bool {
  if (!initRing(windowMs, most)) return false;
  if (!remembers) return true;
  initRememberedKeys(secret0, secret1);
  return initIndex();
}

/** Pages of ring and index. */
export function rememberedPages(): u32 {
  return ringPages + indexPages;
}

/** Bytes that must be free before a block. */
export function rememberedGrowthBytes(records: u32): usize {
  return GROUP_BYTES + indexGrowthBytes(records);
}

/** Of each record of the block: its place hash u64, then the line where its search begins u32, 0 = it is not there yet. */
const places = memory.data(64 * 8, 64); // BLOCK_RECORDS of table.ts
const lines = memory.data(64 * 4, 64);

@inline
function placeOf(r: usize): usize {
  return places + ((r - block) >> 4);
}

@inline
function lineOfRecord(r: usize): usize {
  return lines + ((r - block) >> 5);
}

/** Reads the identity of every valid record of the block, and finds the line where it is searched for. */
export function findRemembered(end: usize, format: u32): void {
  for (let r = block; r < end; r += RECORD_BYTES) {
    if (load<u32>(r, REASON)) {
      store<u32>(lineOfRecord(r), 0);
      continue;
    }
    const id = transactionIdOf(r, format),
      item = itemHashOf(<usize> load<u32>(r, ID), load<u32>(r, ID_LENGTH));
    store<i64>(r, id, TRANSACTION_ID);
    store<u64>(r, item, ITEM_HASH);
    const hash = placeHash(id, item), line = <u32> lineOf(hash);
    store<u64>(placeOf(r), hash);
    store<u32>(lineOfRecord(r), line);
  }
}

/** Loads the lines, together: what is searched for is new, mostly, and seen to be so by its line alone. */
export function touchLines(end: usize): void {
  let sum: u32 = 0;
  const last = lineOfRecord(end);
  for (let at = lines; at < last; at += 4) sum += load<u32>(<usize> load<u32>(at));
  touched += sum;
}

/** Loads that only warm the cache end up here, so that the compiler keeps them. */
let touched: u32 = 0;

/** A valid record's transaction id is a canonical int64, at the beginning of a text, and where the JSON has it. */
@inline
function transactionIdOf(r: usize, format: u32): i64 {
  const p = <usize> load<u32>(r + (format == Format.Json ? JSON_ID : VALUE));
  const negative = load<u8>(p) == MINUS, digits = p + <usize> negative;
  let k = digitRun(digits);
  if (k == 16) k += digitRun(digits + 16);
  const magnitude = <i64> digitsAt(digits, k);
  return negative ? -magnitude : magnitude;
}

/** What is remembered of a record's identity: these, or the outcome (0 or 1) of the one that it repeats. */
export const NEW: u32 = 2;
export const CONFLICT: u32 = 3;

@inline
export function recall(r: usize): u32 {
  const id = load<i64>(r, TRANSACTION_ID), item = load<u64>(r, ITEM_HASH);
  const n = search(id, item, load<u64>(placeOf(r)), <usize> load<u32>(lineOfRecord(r)));
  if (!n) return NEW;
  if (load<u32>(checkAt(n)) != checkOf(load<i64>(r, TS), load<i64>(r, QUANTITY))) return CONFLICT;
  countDuplicate();
  return <u32> (load<u64>(itemAt(n)) & OUTCOME_BITS);
}

/** Remembers a record that was executed. */
@inline
export function remember(r: usize, succeeded: bool): void {
  const id = load<i64>(r, TRANSACTION_ID), item = load<u64>(r, ITEM_HASH), number = head;
  append(id, item | <u64> succeeded, checkOf(load<i64>(r, TS), load<i64>(r, QUANTITY)));
  add(number, load<u64>(placeOf(r)), <usize> load<u32>(lineOfRecord(r)));
}

export { tendIndex as tendRemembered };
