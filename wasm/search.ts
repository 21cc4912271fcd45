// The search for the items of a block, in passes over it. Each brings into the cache what the next one needs, so that the
// loads of 64 records wait together: home lines, then, for those that do not stand there, the lines behind, then the bytes
// of stored ids.

import { isKey } from "./key_records";
import { isStored, keyOfStored, mixedHash, SOUGHT_BITS, storedMet } from "./keys";
import { LINE_BYTES, LINE_UNUSED } from "./layout";
import { BLOCK_RECORDS, ENDS_PART, find, findSought, homeOf } from "./table";
import { block } from "./batch";
import { AHEAD, CODE, HASH, ID, ID_LENGTH, REASON, RECORD_BYTES, SLOT } from "./record";

/** Equal to no slot's code. */
const NO_CODE: u64 = u64.MAX_VALUE;
const ALL_BITS: u64 = u64.MAX_VALUE;

/** Records that a pass has on its list, u32 each. */
const others = memory.data(BLOCK_RECORDS * 4, 16);

/** Loads that only warm the cache end up here, so that the compiler keeps them. */
let touched: u32 = 0;

/**
 * Brings what stands AHEAD of each record into the cache, by storing the 0 that a byte of it holds anyway. In a loop this
 * short many wait for memory together; and unlike a load, a store leaves the processor before its line is there, so
 * that what follows goes on meanwhile. An address that is stale, or 0, leads to such a byte as well, and so does that of
 * a line with ENDS_PART.
 */
@inline
export function touchAhead(end: usize, unused: usize): void {
  for (let r = block; r < end; r += RECORD_BYTES) {
    store<u8>(<usize> load<u32>(r, AHEAD) + unused, 0);
  }
}

/**
 * Where the search for each item begins: from its hash, which is mixed here, as a loop this short works on many of them
 * at once. A record without an item has the hash of whatever stood there before.
 */
export function findHomes(end: usize): void {
  for (let r = block; r < end; r += RECORD_BYTES) {
    const hash = mixedHash(load<u64>(r, CODE), load<u64>(r, HASH));
    store<u64>(r, hash, HASH);
    store<u32>(r, <u32> homeOf(hash), AHEAD);
  }
}

/** Finds the slots of items that are in the table, whose home lines are in the cache. */
export function findSlots(end: usize): void {
  if (storedMet) {
    findBehind(findAtHome(end, true), true);
    compareStored(end);
  } else findBehind(findAtHome(end, false), false);
}

/** The bits of slots that are compared with a code: of a stored one, where there may be some, those that are known. */
@inline
function bitsOf(code: u64, withStored: bool): u64 {
  return withStored ? select(SOUGHT_BITS, ALL_BITS, isStored(code)) : ALL_BITS;
}

/**
 * The slot of a code in a line, or 0; one of them where stored ids share a place. Without branches, as which of three it
 * is cannot be foretold.
 */
@inline
function slotInLine(line: usize, code: u64, bits: u64): usize {
  const second = (load<u64>(line, 8) & bits) == code, third = (load<u64>(line, 16) & bits) == code;
  const found = ((load<u64>(line) & bits) == code) | second | third;
  return select(line + select<usize>(16, <usize> second << 3, third), 0, found);
}

/**
 * Finds the slots of items that stand in their home lines; of the others the next line is ahead, or, where no line of the
 * run stands behind the home line, that line once more. Returns their list's end.
 */
@inline
function findAtHome(end: usize, withStored: bool): usize {
  let other = others;
  for (let r = block; r < end; r += RECORD_BYTES) {
    const known = load<u64>(r, CODE), code = select(known, NO_CODE, known != 0);
    const ahead = <usize> load<u32>(r, AHEAD), home = ahead & ~ENDS_PART;
    const slot = slotInLine(home, code, bitsOf(known, withStored));
    store<u32>(r, <u32> slot, SLOT);
    store<u32>(r, <u32> (home + <usize> !(ahead & ENDS_PART) * LINE_BYTES), AHEAD);
    store<u32>(other, <u32> r);
    other += <usize> !slot << 2;
  }
  return other;
}

/** Finds the slots of the others: most of them stand in the next line. */
@inline
function findBehind(end: usize, withStored: bool): void {
  for (let o = others; o < end; o += 4) {
    store<u8>(<usize> load<u32>(<usize> load<u32>(o), AHEAD) + LINE_UNUSED, 0);
  }
  let left = others;
  for (let o = others; o < end; o += 4) {
    const r = <usize> load<u32>(o), known = load<u64>(r, CODE);
    const code = select(known, NO_CODE, known != 0);
    const slot = slotInLine(<usize> load<u32>(r, AHEAD), code, bitsOf(known, withStored));
    store<u32>(r, <u32> slot, SLOT);
    store<u32>(left, <u32> r);
    left += <usize> !slot << 2;
  }
  for (let o = others; o < left; o += 4) {
    const r = <usize> load<u32>(o), code = load<u64>(r, CODE), hash = load<u64>(r, HASH);
    if (load<u32>(r, REASON) || !code) continue;
    const slot = withStored && isStored(code) ? findSought(code, hash) : find(code, hash);
    store<u32>(r, <u32> slot, SLOT);
  }
}

/**
 * Compares stored ids with the bytes of those that were found by their places. It is almost always the same id; where it
 * is not, the slot becomes 0: whoever needs it searches by the bytes.
 */
function compareStored(end: usize): void {
  let last = others;
  for (let r = block; r < end; r += RECORD_BYTES) {
    const slot = <usize> load<u32>(r, SLOT), isOne = isStored(load<u64>(r, CODE));
    store<u32>(r, keyOfStored(load<u64>(slot)), AHEAD);
    store<u32>(last, <u32> r);
    last += <usize> (isOne & (slot != 0)) << 2;
  }
  for (let o = others; o < last; o += 4) {
    touched += load<u32>(<usize> (load<u32>(<usize> load<u32>(o), AHEAD) & ~7));
  }
  for (let o = others; o < last; o += 4) {
    const r = <usize> load<u32>(o), key = load<u32>(r, AHEAD);
    if (!isKey(key, <usize> load<u32>(r, ID), load<u32>(r, ID_LENGTH))) store<u32>(r, 0, SLOT);
  }
}
