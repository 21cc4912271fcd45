// Restoring a segment that encode.ts wrote, in slices, for one segment may hold most of the items. The
// chunks' hashes were compared before; still every length is checked, so that no input can make the
// core read or write outside its areas.

import { Code, ITEM_ID_BYTES_MAX, PAGE_BYTES, SEGMENTS } from "./contract";
import { CHUNK_BYTES, ensure } from "./memory";
import { cursor, putDecimal, readUnsigned, setCursor } from "./integers";
import { codePlace, keyCode, keyHash } from "./keys";
import { ABSENT, linkAddress, setStock, sizeFor, slotCode, stockOf } from "./runs";
import { beginShards, layOutShard, shardsFor } from "./shards";
import {
  BLOCK_GROWTH_BYTES,
  clearMoved,
  find,
  growFull,
  growOne,
  insert,
  segmentOf,
  segments,
} from "./table";
import { SEGMENT_CHANGED, SEGMENT_DESCRIPTOR_BYTES, SEGMENT_ITEMS } from "./layout";
import { cutActive } from "./copies";
import { accumulator, setCounts, windowMs, windowsMax, windowWithNumber } from "./windows";
import { firing } from "./time";
import { countItem } from "./state";
import { reserveWork, segmentArea, segmentAreaBytes } from "./work";

const NUMBER_MAX: u64 = 999999999999999;
/** Items or accumulators of a call. A segment of up to 8,000 items takes one call. */
const SLICE: i32 = 32768;
/** Steps that the layout of a shard counts for. */
const SHARD_STEPS: i32 = 8192;
/** Bytes beside its id that a stored key takes at the most. */
const KEY_BYTES_MAX: usize = 8;

// Stages, in their order.
const IDLE: u32 = 0;
const SHARDS: u32 = 1;
const NUMBERED: u32 = 2;
const OTHERS: u32 = 3;
const STOCKS: u32 = 4;
const WINDOWS: u32 = 5;
const FINISHED: u32 = 6;

let stage: u32 = IDLE;
/** Steps left of this call. */
let steps: i32 = 0;
let segment: u32 = 0;
let d: usize = 0;
let shards: u32 = 0;
let items: u32 = 0;
let numbered: u32 = 0;
/** Of each item in turn: its slot u32; in a segment with shards, which may grow, its code u64. */
let slots: usize = 0;
/** Items that are restored by the stage. */
let at: u32 = 0;
let end: usize = 0;
let bad: bool = false;
/** Sum of the stocks of the segment restored last, modulo 2^64. */
export let restoredStock: i64 = 0;

// The prefix or the window that is being read.
const id = memory.data(320, 16);
const idBefore = memory.data(320, 16);
let lengthBefore: u32 = 0;
let prefixBefore: u64 = 0;
let prefixLength: u32 = 0;
let prefixLeft: u32 = 0;
let number: u64 = 0;
let windowsLeft: u32 = 0;
let window: usize = 0;
let windowNumber: i64 = 0;
let countsLeft: u32 = 0;
let item: u64 = 0;
let isFirst: bool = false;

@inline
function read(): u64 {
  if (cursor >= end) {
    bad = true;
    return 0;
  }
  const x = readUnsigned();
  if (cursor > end) bad = true;
  return x;
}

/** Reads a count of things of at least one byte each. */
function readCount(): u32 {
  const n = read();
  if (n > <u64> (end - min(cursor, end))) bad = true;
  return bad ? 0 : <u32> n;
}

/** Whether a segment is half restored: nothing else may happen then. */
@inline
export function restoring(): bool {
  return stage != IDLE;
}

/** Begins to restore a segment, which holds no item yet, from the segment area; restoreSlice goes on. */
export function beginRestore(index: u32, length: u32): i32 {
  if (cutActive || firing() || stage != IDLE) return Code.State;
  if (index >= SEGMENTS || length > segmentAreaBytes) return Code.Segment;
  segment = index;
  d = segments + <usize> index * SEGMENT_DESCRIPTOR_BYTES;
  if (load<u32>(d, SEGMENT_ITEMS)) return Code.State;
  setCursor(segmentArea);
  end = segmentArea + length;
  bad = false;
  restoredStock = 0;
  items = readCount();
  numbered = readCount();
  if (bad || numbered > items) return Code.Segment;
  shards = shardsFor(items);
  const bytes = <usize> length + <usize> (items - numbered) * KEY_BYTES_MAX + BLOCK_GROWTH_BYTES +
    CHUNK_BYTES;
  slots = reserveWork(<usize> items * (shards ? 8 : 4) + PAGE_BYTES);
  if (!slots || !ensure(bytes)) return Code.OutOfMemory;
  if (!(shards ? beginShards(d, shards) : sizeFor(d, items)) || !ensure(bytes)) {
    return Code.OutOfMemory;
  }
  prefixBefore = 0;
  prefixLeft = 0;
  isFirst = true;
  lengthBefore = 0;
  enter(shards ? SHARDS : NUMBERED);
  return Code.Done;
}

function enter(next: u32): void {
  stage = next;
  at = 0;
}

/** Restores a slice; More when something is left. After a refusal the instance is of no use. */
export function restoreSlice(): i32 {
  if (stage == IDLE) return Code.State;
  steps = SLICE;
  while (steps > 0) {
    if (!advance()) return leave(Code.OutOfMemory);
    if (bad) return leave(Code.Segment);
    if (stage != FINISHED) continue;
    if (cursor != end) return leave(Code.Segment);
    store<u8>(d, 0, SEGMENT_CHANGED);
    return leave(Code.Done);
  }
  return Code.More;
}

function leave(code: i32): i32 {
  stage = IDLE;
  clearMoved();
  return code;
}

/** Works on the stage; false without memory. */
function advance(): bool {
  if (stage == SHARDS) {
    for (; at < shards && steps > 0; at++, steps -= SHARD_STEPS) {
      if (!layOutShard(d, at, items)) return false;
    }
    if (at == shards) enter(NUMBERED);
    return true;
  }
  if (stage == NUMBERED) readNumbered();
  else if (stage == OTHERS) readOthers();
  else if (stage == STOCKS) return readStocks();
  else if (windowsLeft || countsLeft) readWindows();
  else enter(FINISHED);
  // Shards have room for what chance puts there; beyond that they grow.
  if (!shards) return true;
  growOne();
  return growFull() && ensure(BLOCK_GROWTH_BYTES);
}

/** Inserts the id of n bytes, which must belong to the segment, as the i-th item. */
function add(i: u32, n: u32): void {
  steps--;
  const code = keyCode(id, n);
  if (segmentOf(keyHash) != d) {
    bad = true;
    return;
  }
  const slot = insert(id, n, code, keyHash);
  if (shards) store<u64>(slots + (<usize> i << 3), slotCode(slot));
  else store<u32>(slots + (<usize> i << 2), <u32> slot);
}

function slotAt(i: u32): usize {
  if (!shards) return <usize> load<u32>(slots + (<usize> i << 2));
  const code = load<u64>(slots + (<usize> i << 3));
  return find(code, (<u64> segment << 56) | codePlace(code));
}

/** Items of a stage between two looks at shards that are full: a block. */
const PIECE: u32 = 64;

function readNumbered(): void {
  for (let n: u32 = 0; at < numbered && n < PIECE && !bad; n++) {
    if (!prefixLeft) beginPrefix();
    if (bad) return;
    const difference = read();
    number += difference;
    if ((!isFirst && !difference) || difference > NUMBER_MAX || number > NUMBER_MAX) bad = true;
    else add(at, prefixLength + putDecimal(id + prefixLength, number));
    isFirst = false;
    prefixLeft--;
    at++;
  }
  if (at == numbered) enter(OTHERS);
}

function beginPrefix(): void {
  prefixLength = cursor < end ? <u32> load<u8>(cursor) : u32.MAX_VALUE;
  if (prefixLength > 8 || end - cursor <= prefixLength) {
    bad = true;
    return;
  }
  const prefix = prefixLength ? load<u64>(cursor, 1) & (<u64> -1 >> ((8 - prefixLength) << 3)) : 0;
  setCursor(cursor + 1 + prefixLength);
  const ordered = bswap(prefix);
  if (at && ordered <= prefixBefore) bad = true;
  prefixBefore = ordered;
  prefixLeft = readCount();
  if (!prefixLeft || prefixLeft > numbered - at) bad = true;
  store<u64>(id, prefix);
  number = 0;
  isFirst = true;
}

function readOthers(): void {
  const count = items - numbered;
  for (let k: u32 = 0; at < count && k < PIECE && !bad; k++) {
    const n = cursor < end ? <u32> load<u8>(cursor) : 0;
    if (!n || n > ITEM_ID_BYTES_MAX || end - cursor <= n) {
      bad = true;
      return;
    }
    memory.copy(id, cursor + 1, n);
    setCursor(cursor + 1 + n);
    const c = memory.compare(idBefore, id, min(lengthBefore, n));
    if (lengthBefore && (c > 0 || (c == 0 && lengthBefore >= n))) bad = true;
    else add(numbered + at, n);
    memory.copy(idBefore, id, n);
    lengthBefore = n;
    at++;
  }
  if (at == count) enter(STOCKS);
}

function readStocks(): bool {
  for (; at < items && steps > 0 && !bad; at++, steps--) {
    const stock = read();
    if (!stock) continue; // insert left it ABSENT
    if (stock - 1 > <u64> i64.MAX_VALUE) bad = true;
    setStock(slotAt(at), <i64> (stock - 1));
    restoredStock += <i64> (stock - 1);
    countItem();
  }
  if (bad || at < items) return true;
  windowsLeft = readCount();
  if (windowsLeft && !windowMs) bad = true;
  if (bad) return true;
  windowNumber = 0;
  countsLeft = 0;
  enter(WINDOWS);
  // An accumulator of 32 bytes takes at least 4 bytes of the input.
  return !windowsLeft || ensure((end - cursor) * 8 + <usize> windowsMax * PAGE_BYTES);
}

function readWindows(): void {
  if (!countsLeft) {
    beginWindow();
    return;
  }
  for (; countsLeft && steps > 0; countsLeft--, steps--) {
    const difference = read();
    item += difference;
    const succeeded = read(), failed = read(), volume = read();
    if (
      (!isFirst && !difference) || difference >= items || item >= items ||
      succeeded > u32.MAX_VALUE || failed > u32.MAX_VALUE || volume > <u64> i64.MAX_VALUE
    ) bad = true;
    if (bad) return;
    isFirst = false;
    const slot = slotAt(<u32> item);
    const a = accumulator(
      linkAddress(slot),
      slotCode(slot),
      window,
      segment,
      stockOf(slot) == ABSENT,
    );
    setCounts(a, <u32> succeeded, <u32> failed, <i64> volume);
  }
}

function beginWindow(): void {
  windowsLeft--;
  steps--;
  windowNumber += <i64> read();
  if (windowNumber < 0 || windowNumber > i64.MAX_VALUE / 2 / windowMs) bad = true;
  countsLeft = readCount();
  if (bad) return;
  window = windowWithNumber(windowNumber);
  if (!window) bad = true;
  item = 0;
  isFirst = true;
}
