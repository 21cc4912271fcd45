// Cutting a checkpoint. From cut to endCut, copies.ts keeps the state as it was at the cut; each call
// of encodeNext writes one changed segment, between batches.
//
// Segment format 1, canonical: a function of the segment's items and open windows alone, whatever
// their codes, places and history. Integers are LEB128, unsigned.
//
//   number of items, number of numbered items among them (see keys.ts)
//   numbered items by prefix, then number:
//     per prefix: length u8, bytes, number of its items, the first number, then differences
//   other items by their bytes: per item length u8, bytes
//   per item in that order: 0 = never seen, else stock + 1
//   number of windows; per window, oldest first:
//     its number (start / length), as the difference to the one before; number of accumulators;
//     per accumulator in the order of items: index of the item, as the difference to the one before,
//     succeeded, failed, volume

import { Code, PAGE_BYTES, SEGMENTS } from "./contract";
import { alignUp, replaceArea } from "./memory";
import { putUnsigned } from "./integers";
import {
  CODE_NUMBERED,
  CODE_STORED,
  decompose,
  firstBytes,
  keyRecord,
  number,
  prefixBytes,
  splitNumbered,
} from "./keys";
import { ABSENT, linkAddress, segments, slotCode, stockOf } from "./table";
import {
  LINE_BYTES,
  LINE_CODES_BYTES,
  partBytes,
  SEGMENT_CHANGED,
  SEGMENT_DESCRIPTOR_BYTES,
  SEGMENT_ITEMS,
  SEGMENT_PARTS,
  SEGMENT_WAS_CHANGED,
  segmentPart,
} from "./layout";
import { beginCopies, cutActive, endCopies, frozen, frozenSegment } from "./copies";
import {
  accumulatorCount,
  codeOf,
  failedOf,
  linked,
  numberOf,
  numberOfAccumulator,
  olderLink,
  openCount,
  openWindow,
  orderOf,
  succeededOf,
  volumeOf,
} from "./windows";
import { firing } from "./time";
import {
  ENTRY_BYTES,
  ENTRY_RECORD,
  ENTRY_SLOT,
  FIRST,
  SECOND,
  sortByBytes,
  sortEntries,
} from "./sort";

const NUMBERED_BYTES_MAX: usize = 40; // of an item: prefix header, number, stock
const STORED_BYTES_MAX: usize = 272;
const WINDOW_HEADER_BYTES: usize = 24;
const ACCUMULATOR_BYTES_MAX: usize = 32;

// Work areas: entries twice; accumulators of open windows twice.
let work: usize = 0;
let workBytes: usize = 0;
let windowWork: usize = 0;
let windowWorkBytes: usize = 0;
/** The encoded segment, in or out. */
export let segmentArea: usize = 0;
export let segmentAreaBytes: usize = 0;
export let encodedLength: u32 = 0;

let nextSegment: u32 = 0;

/** Freezes the state as it is now. */
export function beginCut(): i32 {
  if (cutActive || firing()) return Code.State;
  if (!beginCopies(segments)) return Code.OutOfMemory;
  for (let s: u32 = 0; s < SEGMENTS; s++) {
    const live = segments + <usize> s * SEGMENT_DESCRIPTOR_BYTES, then = frozenSegment(s);
    store<u8>(then, load<u8>(then, SEGMENT_CHANGED), SEGMENT_WAS_CHANGED);
    store<u8>(live, 0, SEGMENT_CHANGED);
  }
  nextSegment = 0;
  return Code.Done;
}

/** Encodes the next changed segment; answers its index, or SEGMENTS when none is left. */
export function encodeNext(): i32 {
  if (!cutActive) return Code.State;
  while (nextSegment < SEGMENTS && !load<u8>(frozenSegment(nextSegment), SEGMENT_CHANGED)) {
    nextSegment++;
  }
  if (nextSegment == SEGMENTS) return SEGMENTS;
  const d = frozenSegment(nextSegment);
  if (!encode(d)) return Code.OutOfMemory;
  store<u8>(d, 0, SEGMENT_CHANGED);
  return nextSegment++;
}

/** Ends the cut. Unless the checkpoint was published, its changes go into the next one again. */
export function endCut(published: bool): void {
  if (!cutActive) return;
  for (let s: u32 = 0; !published && s < SEGMENTS; s++) {
    const live = segments + <usize> s * SEGMENT_DESCRIPTOR_BYTES;
    store<u8>(
      live,
      load<u8>(live, SEGMENT_CHANGED) | load<u8>(frozenSegment(s), SEGMENT_WAS_CHANGED),
      SEGMENT_CHANGED,
    );
  }
  endCopies();
}

// ---- areas ----

/** Makes room for an encoded segment of so many bytes; its reader may load a few bytes more. */
export function reserveSegment(bytes: usize): bool {
  if (bytes + SEGMENT_PADDING <= segmentAreaBytes) return true;
  const size = alignUp(bytes + SEGMENT_PADDING, PAGE_BYTES),
    area = replaceArea(segmentArea, segmentAreaBytes, size);
  if (!area) return false;
  segmentArea = area;
  segmentAreaBytes = size;
  return true;
}

const SEGMENT_PADDING: usize = 64;

export function reserveWork(bytes: usize): usize {
  if (bytes > workBytes) {
    const size = alignUp(bytes, PAGE_BYTES), area = replaceArea(work, workBytes, size);
    if (!area) return 0;
    work = area;
    workBytes = size;
  }
  return work;
}

function reserveWindowWork(bytes: usize): bool {
  if (bytes <= windowWorkBytes) return true;
  const size = alignUp(bytes, PAGE_BYTES), area = replaceArea(windowWork, windowWorkBytes, size);
  if (!area) return false;
  windowWork = area;
  windowWorkBytes = size;
  return true;
}

// ---- one segment ----

let numberedCount: u32 = 0;
let otherBytes: usize = 0;

function encode(d: usize): bool {
  const items = load<u32>(d, SEGMENT_ITEMS);
  if (!reserveWork(2 * <usize> items * ENTRY_BYTES + PAGE_BYTES)) return false;
  gather(d, items);
  const entries = work, end = work + <usize> items * ENTRY_BYTES;
  const others = entries + <usize> numberedCount * ENTRY_BYTES, spare = end;
  sortEntries(entries, spare, numberedCount);
  sortEntries(others, spare, items - numberedCount);
  sortTies(others, end);
  const accumulators = accumulatorCount ? countAccumulators(entries, end) : 0;
  if (
    accumulators &&
    !reserveWindowWork(2 * <usize> accumulators * TUPLE_BYTES + <usize> (openCount + 1) * 4)
  ) return false;
  const bytes = 64 + <usize> items * NUMBERED_BYTES_MAX + otherBytes +
    <usize> accumulators * ACCUMULATOR_BYTES_MAX +
    <usize> openCount * WINDOW_HEADER_BYTES;
  if (!reserveSegment(bytes)) return false;
  let o = putUnsigned(segmentArea, items);
  o = putUnsigned(o, numberedCount);
  o = putNumbered(o, entries, others);
  o = putOthers(o, others, end);
  o = putStocks(o, entries, end);
  o = putWindows(o, entries, end, accumulators);
  encodedLength = <u32> (o - segmentArea);
  return true;
}

/** Fills the entries: numbered items from the front, the others from the back. */
function gather(d: usize, items: u32): void {
  let front = work, back = work + <usize> items * ENTRY_BYTES;
  const parts = load<u32>(d, SEGMENT_PARTS), bytes = partBytes(d);
  otherBytes = 0;
  for (let i: u32 = 0; i < parts; i++) {
    const part = frozen(segmentPart(d, i));
    for (let line = part; line < part + bytes; line += LINE_BYTES) {
      for (let slot = line; slot < line + LINE_CODES_BYTES; slot += 8) {
        const code = slotCode(slot);
        if (!code) break;
        const record = code >> 62 == CODE_STORED ? keyRecord(code) : 0;
        const isNumbered = record
          ? decompose(record + 9, <u32> load<u8>(record, 8))
          : code >> 62 == CODE_NUMBERED && splitNumbered(code);
        let e: usize;
        if (isNumbered) {
          e = front;
          front += ENTRY_BYTES;
          store<u64>(e, bswap(prefixBytes), FIRST);
          store<u64>(e, number, SECOND);
        } else {
          e = back -= ENTRY_BYTES;
          putFirstBytes(e, code, record);
        }
        store<u32>(e, <u32> slot, ENTRY_SLOT);
        store<u32>(e, <u32> record, ENTRY_RECORD);
      }
    }
  }
  numberedCount = <u32> ((front - work) / ENTRY_BYTES);
}

const INLINE_MASK: u64 = 0x00ffffffffffffff;

/** Sort keys of an item without number: its first 16 bytes. */
function putFirstBytes(e: usize, code: u64, record: usize): void {
  if (!record) {
    store<u64>(e, bswap(code & INLINE_MASK), FIRST);
    store<u64>(e, 0, SECOND);
    return;
  }
  const n = <u32> load<u8>(record, 8);
  store<u64>(e, bswap(firstBytes(record + 9, min(n, 8))), FIRST);
  store<u64>(e, n > 8 ? bswap(firstBytes(record + 17, min(n - 8, 8))) : 0, SECOND);
  otherBytes += STORED_BYTES_MAX;
}

/** Ids that share their first 16 bytes are sorted by all of them. */
function sortTies(from: usize, end: usize): void {
  while (from < end) {
    let run = from + ENTRY_BYTES;
    while (
      run < end && load<u64>(run) == load<u64>(from) &&
      load<u64>(run, SECOND) == load<u64>(from, SECOND)
    ) run += ENTRY_BYTES;
    const n = <u32> ((run - from) / ENTRY_BYTES);
    if (n > 1) sortByBytes(from, n);
    from = run;
  }
}

/** Ids have no zero byte, so that the bytes of a word that are not zero are the text. */
@inline
function textLength(word: u64): u32 {
  return 8 - (word ? <u32> ctz(word) >> 3 : 8);
}

function putNumbered(o: usize, from: usize, end: usize): usize {
  while (from < end) {
    const prefix = load<u64>(from), length = textLength(prefix);
    let run = from + ENTRY_BYTES;
    while (run < end && load<u64>(run) == prefix) run += ENTRY_BYTES;
    store<u8>(o, <u8> length);
    store<u64>(o, bswap(prefix), 1);
    o = putUnsigned(o + 1 + length, (run - from) / ENTRY_BYTES);
    let before: u64 = 0;
    for (; from < run; from += ENTRY_BYTES) {
      const n = load<u64>(from, SECOND);
      o = putUnsigned(o, n - before);
      before = n;
    }
  }
  return o;
}

function putOthers(o: usize, from: usize, end: usize): usize {
  for (; from < end; from += ENTRY_BYTES) {
    const record = <usize> load<u32>(from, ENTRY_RECORD);
    if (record) {
      const n = <u32> load<u8>(record, 8);
      memory.copy(o, record + 8, n + 1);
      o += n + 1;
    } else {
      const word = load<u64>(from), n = textLength(word);
      store<u8>(o, <u8> n);
      store<u64>(o, bswap(word), 1);
      o += n + 1;
    }
  }
  return o;
}

function putStocks(o: usize, from: usize, end: usize): usize {
  for (; from < end; from += ENTRY_BYTES) {
    const stock = stockOf(<usize> load<u32>(from, ENTRY_SLOT));
    o = putUnsigned(o, stock == ABSENT ? 0 : <u64> stock + 1);
  }
  return o;
}

// ---- open windows of a segment ----
//   tuple, 16 B: 0 place of the window among the open ones u32, 4 index of the item u32, 8 accumulator u32

const TUPLE_BYTES: usize = 16;

// The walk along an item's accumulators as of the cut.
let walkCode: u64 = 0;
let walkBefore: i64 = 0;

/** The item's newest accumulator, readable as of the cut, or 0. */
@inline
function newest(slot: usize): usize {
  walkCode = slotCode(slot);
  walkBefore = i64.MAX_VALUE;
  return accept(linked(linkAddress(slot)));
}

@inline
function older(a: usize): usize {
  return accept(linked(olderLink(a)));
}

function accept(p: usize): usize {
  const a = p ? frozen(p) : 0;
  if (!a || codeOf(a) != walkCode) return 0;
  const n = numberOfAccumulator(a);
  if (n >= walkBefore) return 0;
  walkBefore = n;
  return a;
}

function countAccumulators(from: usize, end: usize): u32 {
  let count: u32 = 0;
  for (; from < end; from += ENTRY_BYTES) {
    for (let a = newest(<usize> load<u32>(from, ENTRY_SLOT)); a; a = older(a)) count++;
  }
  return count;
}

function putWindows(o: usize, from: usize, end: usize, accumulators: u32): usize {
  if (!accumulators) return putUnsigned(o, 0);
  // Gather by item, then sort by window (counting sort: stable, so that the items stay in their order).
  const tuples = windowWork, sorted = tuples + <usize> accumulators * TUPLE_BYTES;
  const counts = sorted + <usize> accumulators * TUPLE_BYTES;
  memory.fill(counts, 0, <usize> (openCount + 1) * 4);
  let t = tuples, item: u32 = 0;
  for (let e = from; e < end; e += ENTRY_BYTES, item++) {
    for (let a = newest(<usize> load<u32>(e, ENTRY_SLOT)); a; a = older(a)) {
      const place = orderOf(numberOfAccumulator(a)), c = counts + (<usize> place << 2);
      store<u32>(t, place);
      store<u32>(t, item, 4);
      store<u32>(t, <u32> a, 8);
      t += TUPLE_BYTES;
      store<u32>(c, load<u32>(c) + 1);
    }
  }
  let windows: u32 = 0, sum: u32 = 0;
  for (let i: u32 = 0; i < openCount; i++) {
    const c = counts + (<usize> i << 2), n = load<u32>(c);
    windows += <u32> (n != 0);
    store<u32>(c, sum);
    sum += n;
  }
  for (let q = tuples; q < t; q += TUPLE_BYTES) {
    const c = counts + (<usize> load<u32>(q) << 2), at = load<u32>(c);
    store<u32>(c, at + 1);
    v128.store(sorted + <usize> at * TUPLE_BYTES, v128.load(q));
  }
  return putSorted(putUnsigned(o, windows), sorted, sorted + <usize> accumulators * TUPLE_BYTES);
}

function putSorted(o: usize, from: usize, end: usize): usize {
  let windowBefore: i64 = 0;
  while (from < end) {
    const place = load<u32>(from), window = numberOf(openWindow(place));
    let run = from;
    while (run < end && load<u32>(run) == place) run += TUPLE_BYTES;
    o = putUnsigned(o, <u64> (window - windowBefore));
    windowBefore = window;
    o = putUnsigned(o, (run - from) / TUPLE_BYTES);
    let itemBefore: u32 = 0;
    for (; from < run; from += TUPLE_BYTES) {
      const item = load<u32>(from, 4), a = <usize> load<u32>(from, 8);
      o = putUnsigned(o, item - itemBefore);
      itemBefore = item;
      o = putUnsigned(o, succeededOf(a));
      o = putUnsigned(o, failedOf(a));
      o = putUnsigned(o, <u64> volumeOf(a));
    }
  }
  return o;
}
