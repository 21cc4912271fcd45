// Safe retries: a transaction that is repeated is executed once.
//
// A transaction is remembered by its identity, which is item and transaction id, with its outcome. One with the same
// identity that equals it in ts and quantity is a repetition: it is answered the same, and touches nothing. Any other one
// with that identity is a conflict.

import { PAGE_BYTES } from "./contract";
import {
  append,
  checkAt,
  countDuplicate,
  head,
  initRing,
  itemAt,
  remembers,
  ringPages,
  touchRing,
} from "./remembered_ring";
import { checkOf, initRememberedKeys, itemHashOf, OUTCOME_BITS } from "./remembered_keys";
import {
  add,
  indexGrowthBytes,
  indexPages,
  initIndex,
  isNew,
  lineOf,
  placeHash,
  search,
  tendIndex,
  touchSwept,
} from "./remembered_index";
import { beginLines } from "./remembered_lines";
import { block } from "./batch";
import {
  ID,
  ID_LENGTH,
  ITEM_HASH,
  QUANTITY,
  REASON,
  RECORD_BYTES,
  TRANSACTION_ID,
  TS,
} from "./record";

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

/** Of each record of the block: the line where its search begins u32, and the low half of its place hash u32. */
const places = memory.data(64 * 8, 64); // BLOCK_RECORDS of table.ts

/** Where a record of the block is searched for: its line, and the low half of its place hash above. */
@inline
export function placeOf(r: usize): u64 {
  return load<u64>(places + ((r - block) >> 4));
}

/** Completes the identity of every valid record of the block, and finds the line where it is searched for. */
export function findRemembered(end: usize): void {
  beginLines((end - block) / RECORD_BYTES);
  let place = places;
  for (let r = block; r < end; r += RECORD_BYTES, place += 8) {
    if (load<u32>(r, REASON)) {
      store<u64>(place, 0);
      continue;
    }
    const id = load<i64>(r, TRANSACTION_ID),
      item = itemHashOf(<usize> load<u32>(r, ID), load<u32>(r, ID_LENGTH));
    store<u64>(r, item, ITEM_HASH);
    const hash = placeHash(id, item);
    store<u64>(place, <u64> lineOf(hash) | (hash << 32));
  }
}

/**
 * Loads the line of each record: what is searched for is new, mostly, and seen to be so by its line alone. What is loaded
 * is of no use.
 */
export function touchRemembered(end: usize): u32 {
  let sum = touchRing() + touchSwept(), place = places;
  for (let r = block; r < end; r += RECORD_BYTES, place += 8) {
    sum += load<u32>(<usize> load<u32>(place));
  }
  return sum;
}

/** Whether a record is new for sure: its line alone says so. */
@inline
export function isNewRecord(place: u64): bool {
  return isNew(<usize> place & 0xffffffff, <u32> (place >> 32));
}

/** What is remembered of a record's identity: these, or the outcome (0 or 1) of the one that it repeats. */
export const NEW: u32 = 2;
export const CONFLICT: u32 = 3;

/** Of a record whose line does not say that it is new. */
export function recall(r: usize, place: u64): u32 {
  const n = search(
    load<i64>(r, TRANSACTION_ID),
    load<u64>(r, ITEM_HASH),
    <usize> place & 0xffffffff,
  );
  if (!n) return NEW;
  if (load<u32>(checkAt(n)) != checkOf(load<i64>(r, TS), load<i64>(r, QUANTITY))) return CONFLICT;
  countDuplicate();
  return <u32> (load<u64>(itemAt(n)) & OUTCOME_BITS);
}

/** Remembers a record that was executed; it was recalled just now. */
@inline
export function remember(r: usize, place: u64, quantity: i64, succeeded: bool): void {
  const id = load<i64>(r, TRANSACTION_ID), item = load<u64>(r, ITEM_HASH), number = head;
  append(id, item | <u64> succeeded, checkOf(load<i64>(r, TS), quantity));
  add(number, id, item, <usize> place & 0xffffffff, <u32> (place >> 32));
}

export { tendIndex as tendRemembered };
