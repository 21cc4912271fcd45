// One segment as of the cut, written in the format of checkpoint.ts. A call writes a slice: whoever
// chooses ids may put all of them into one segment, which must not keep the thread for long. Records
// are folded between slices, so a slot is read through frozen whenever it is needed.

import { Code, PAGE_BYTES } from "./contract";
import { putUnsigned } from "./integers";
import { keyLength, keyText, putKeyText } from "./key_records";
import {
  CODE_NUMBERED,
  firstBytes,
  keyOfCode,
  number,
  prefixBytes,
  splitNumbered,
  splitStored,
} from "./keys";
import { ABSENT, slotCode, stockOf } from "./runs";
import {
  LINE_BYTES,
  LINE_CODES_BYTES,
  partBytes,
  SEGMENT_ITEMS,
  SEGMENT_PARTS,
  segmentPart,
  shard,
  shardCount,
} from "./layout";
import { frozen } from "./copies";
import { accumulatorCount, windowsMax } from "./windows";
import {
  allPut,
  beginAccumulators,
  countAccumulators,
  gatherAccumulators,
  orderAccumulators,
  putAccumulators,
} from "./encode_windows";
import {
  beginSort,
  ENTRY_BYTES,
  ENTRY_KEY,
  ENTRY_SLOT,
  FIRST,
  SECOND,
  sortedAt,
  sortOn,
} from "./sort";
import { reserveSegment, reserveWork, segmentArea } from "./work";

const NUMBERED_BYTES_MAX: usize = 40; // of an item: prefix header, number, stock
const WINDOW_HEADER_BYTES: usize = 24;
const ACCUMULATOR_BYTES_MAX: usize = 32;

/** Steps of a call; an item takes about one in each stage. A segment of 6,000 items takes one call. */
const SLICE: i32 = 65536;
const SORT_STEPS: i32 = 4;

// Stages, in their order.
const IDLE: u32 = 0;
const GATHER: u32 = 1;
const SORT_NUMBERED: u32 = 2;
const SORT_OTHERS: u32 = 3;
const COUNT_ACCUMULATORS: u32 = 4;
const BEGIN_OUTPUT: u32 = 5;
const NUMBERED: u32 = 6;
const OTHERS: u32 = 7;
const STOCKS: u32 = 8;
const GATHER_ACCUMULATORS: u32 = 9;
const ORDER_ACCUMULATORS: u32 = 10;
const ACCUMULATORS: u32 = 11;
const FINISHED: u32 = 12;

export let encodedLength: u32 = 0;
/** Sum of the stocks of the segment encoded last, modulo 2^64. */
export let encodedStock: i64 = 0;

let stage: u32 = IDLE;
/** Steps left of this call. */
let steps: i32 = 0;
let items: u32 = 0;
let numberedCount: u32 = 0;
let otherBytes: usize = 0;
let accumulators: u32 = 0;
let work: usize = 0;
// Where the entries stand: sorting moves them to and fro between the halves of the area.
let numbered: usize = 0;
let others: usize = 0;
/** Where the next byte goes. */
let out: usize = 0;

// Where a stage stands.
let at: u32 = 0;
let atShard: u32 = 0;
let atPart: u32 = 0;
let front: usize = 0;
let back: usize = 0;
let prefixEnd: u32 = 0;
let numberBefore: u64 = 0;

/** Forgets the segment that is half encoded. */
export function giveUpEncoding(): void {
  stage = IDLE;
}

/** Writes a slice of the segment; More when something is left. */
export function encodeSlice(d: usize): i32 {
  steps = SLICE;
  if (stage == IDLE && !begin(d)) return Code.OutOfMemory;
  while (steps > 0) {
    if (!advance(d)) {
      stage = IDLE;
      return Code.OutOfMemory;
    }
    if (stage == FINISHED) {
      encodedLength = <u32> (out - segmentArea);
      stage = IDLE;
      return Code.Done;
    }
  }
  return Code.More;
}

function begin(d: usize): bool {
  items = load<u32>(d, SEGMENT_ITEMS);
  work = reserveWork(2 * <usize> items * ENTRY_BYTES + PAGE_BYTES);
  if (!work) return false;
  front = work;
  back = work + <usize> items * ENTRY_BYTES;
  otherBytes = 0;
  accumulators = 0;
  encodedStock = 0;
  atShard = 0;
  atPart = 0;
  enter(GATHER);
  return true;
}

function enter(next: u32): void {
  stage = next;
  at = 0;
  prefixEnd = 0;
}

/** Works on the stage; false without memory. */
function advance(d: usize): bool {
  if (stage == GATHER) gather(d);
  else if (stage == SORT_NUMBERED) sort(SORT_OTHERS);
  else if (stage == SORT_OTHERS) sort(accumulatorCount ? COUNT_ACCUMULATORS : BEGIN_OUTPUT);
  else if (stage == COUNT_ACCUMULATORS) {
    for (; at < items && steps > 0; at++) {
      const n = countAccumulators(slotOf(entryAt(at)));
      accumulators += n;
      steps -= 1 + <i32> n;
    }
    if (at == items) enter(BEGIN_OUTPUT);
  } else if (stage == BEGIN_OUTPUT) return beginOutput();
  else if (stage == NUMBERED) putNumbered();
  else if (stage == OTHERS) putOthers();
  else if (stage == STOCKS) putStocks();
  else if (stage == GATHER_ACCUMULATORS) {
    for (; at < items && steps > 0; at++) {
      steps -= 1 + <i32> gatherAccumulators(slotOf(entryAt(at)), at);
    }
    if (at == items) enter(ORDER_ACCUMULATORS);
  } else if (stage == ORDER_ACCUMULATORS) {
    if (orderAccumulators(<u32> steps)) enter(ACCUMULATORS);
    steps -= SLICE / 4;
  } else {
    out = putAccumulators(out, <u32> steps);
    steps -= SLICE / 4;
    if (allPut) enter(FINISHED);
  }
  return true;
}

/** The i-th item's entry. */
@inline
function entryAt(i: u32): usize {
  return i < numberedCount
    ? numbered + <usize> i * ENTRY_BYTES
    : others + <usize> (i - numberedCount) * ENTRY_BYTES;
}

/** The slot of an entry, as of the cut. */
@inline
function slotOf(e: usize): usize {
  return frozen(<usize> load<u32>(e, ENTRY_SLOT));
}

// ---- gather and sort ----

/** Fills the entries, a page of lines at a time: numbered items from the front, the others from the back. */
function gather(d: usize): void {
  const run = shard(d, atShard), bytes = partBytes(run);
  if (atPart < load<u32>(run, SEGMENT_PARTS)) {
    gatherLines(segmentPart(run, atPart), bytes);
    steps -= <i32> (bytes >> 5);
    atPart++;
    return;
  }
  atPart = 0;
  if (++atShard < shardCount(d)) return;
  numberedCount = <u32> ((front - work) / ENTRY_BYTES);
  numbered = work;
  others = front;
  const spare = work + <usize> items * ENTRY_BYTES;
  beginSort(numbered, spare, numberedCount);
  enter(SORT_NUMBERED);
}

function gatherLines(part: usize, bytes: usize): void {
  const then = frozen(part);
  for (let line = then; line < then + bytes; line += LINE_BYTES) {
    for (let slot = line; slot < line + LINE_CODES_BYTES; slot += 8) {
      const code = slotCode(slot);
      if (!code) break;
      const key = keyOfCode(code);
      const isNumbered = key
        ? splitStored(key)
        : code >> 62 == CODE_NUMBERED && splitNumbered(code);
      let e: usize;
      if (isNumbered) {
        e = front;
        front += ENTRY_BYTES;
        store<u64>(e, bswap(prefixBytes), FIRST);
        store<u64>(e, number, SECOND);
      } else {
        e = back -= ENTRY_BYTES;
        putFirstBytes(e, code, key);
      }
      store<u32>(e, <u32> (part + (slot - then)), ENTRY_SLOT);
      store<u32>(e, key, ENTRY_KEY);
    }
  }
}

const INLINE_MASK: u64 = 0x00ffffffffffffff;
/** For the bytes of a packed id. */
const spare = memory.data(48, 16);

/** Sort keys of an item without number: its first 16 bytes. */
function putFirstBytes(e: usize, code: u64, key: u32): void {
  if (!key) {
    store<u64>(e, bswap(code & INLINE_MASK), FIRST);
    store<u64>(e, 0, SECOND);
    return;
  }
  const n = keyLength(key), p = keyText(key, spare);
  store<u64>(e, bswap(firstBytes(p, min(n, 8))), FIRST);
  store<u64>(e, n > 8 ? bswap(firstBytes(p + 8, min(n - 8, 8))) : 0, SECOND);
  otherBytes += 1 + n;
}

function sort(next: u32): void {
  const n = sortOn();
  if (n) {
    steps -= SORT_STEPS * <i32> n;
    return;
  }
  if (stage == SORT_NUMBERED) {
    numbered = sortedAt;
    const spare = work + <usize> (items + numberedCount) * ENTRY_BYTES;
    beginSort(others, spare, items - numberedCount);
  } else others = sortedAt;
  enter(next);
}

// ---- output ----

function beginOutput(): bool {
  if (accumulators && !beginAccumulators(accumulators)) return false;
  const bytes = 64 + <usize> items * NUMBERED_BYTES_MAX + otherBytes +
    <usize> accumulators * ACCUMULATOR_BYTES_MAX +
    <usize> min(accumulators, windowsMax) * WINDOW_HEADER_BYTES;
  if (!reserveSegment(bytes)) return false;
  out = putUnsigned(putUnsigned(segmentArea, items), numberedCount);
  enter(NUMBERED);
  return true;
}

/** Ids have no zero byte, so that the bytes of a word that are not zero are the text. */
@inline
function textLength(word: u64): u32 {
  return 8 - (word ? <u32> ctz(word) >> 3 : 8);
}

function putNumbered(): void {
  while (at < numberedCount && steps > 0) {
    const e = entryAt(at);
    if (at == prefixEnd) beginPrefix(e);
    const n = load<u64>(e, SECOND);
    out = putUnsigned(out, n - numberBefore);
    numberBefore = n;
    at++;
    steps--;
  }
  if (at == numberedCount) enter(OTHERS);
}

/** Writes a prefix and the number of its items, which are found by bisection: the first may have all. */
function beginPrefix(e: usize): void {
  const prefix = load<u64>(e), length = textLength(prefix);
  let low = at + 1, high = numberedCount;
  while (low < high) {
    const middle = low + ((high - low) >> 1);
    if (load<u64>(entryAt(middle)) == prefix) low = middle + 1;
    else high = middle;
  }
  prefixEnd = low;
  store<u8>(out, <u8> length);
  store<u64>(out, bswap(prefix), 1);
  out = putUnsigned(out + 1 + length, low - at);
  numberBefore = 0;
}

function putOthers(): void {
  const count = items - numberedCount;
  for (; at < count && steps > 0; at++, steps--) {
    const e = others + <usize> at * ENTRY_BYTES, key = load<u32>(e, ENTRY_KEY);
    if (key) {
      const n = putKeyText(out + 1, key);
      store<u8>(out, <u8> n);
      out += n + 1;
    } else {
      const word = load<u64>(e), n = textLength(word);
      store<u8>(out, <u8> n);
      store<u64>(out, bswap(word), 1);
      out += n + 1;
    }
  }
  if (at == count) enter(STOCKS);
}

function putStocks(): void {
  for (; at < items && steps > 0; at++, steps--) {
    const stock = stockOf(slotOf(entryAt(at)));
    out = putUnsigned(out, stock == ABSENT ? 0 : <u64> stock + 1);
    if (stock != ABSENT) encodedStock += stock;
  }
  if (at < items) return;
  if (!accumulators) out = putUnsigned(out, 0);
  enter(accumulators ? GATHER_ACCUMULATORS : FINISHED);
}
