// Restoring a segment that checkpoint.ts encoded. The chunks' hashes were compared before; still
// every length is checked, so that no input can make the core read or write outside its areas.

import { Code, ITEM_ID_BYTES_MAX, PAGE_BYTES, SEGMENTS } from "./contract";
import { CHUNK_BYTES, ensure } from "./memory";
import { cursor, putDecimal, readUnsigned, setCursor } from "./integers";
import { keyCode, keyHash } from "./keys";
import {
  ABSENT,
  BLOCK_GROWTH_BYTES,
  insert,
  linkAddress,
  segmentOf,
  segments,
  setStock,
  sizeFor,
  slotCode,
  stockOf,
} from "./table";
import { SEGMENT_CHANGED, SEGMENT_DESCRIPTOR_BYTES, SEGMENT_ITEMS } from "./layout";
import { cutActive } from "./copies";
import { accumulator, setCounts, windowMs, windowsMax, windowWithNumber } from "./windows";
import { firing } from "./time";
import { countItem } from "./state";
import { reserveWork, segmentArea, segmentAreaBytes } from "./checkpoint";

const NUMBER_MAX: u64 = 999999999999999;
const id = memory.data(320, 16);
const idBefore = memory.data(320, 16);

let end: usize = 0;
let bad: bool = false;

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

/** Restores one segment, which holds no item yet, from the segment area. */
export function restore(segment: u32, length: u32): i32 {
  if (cutActive || firing()) return Code.State;
  if (segment >= SEGMENTS || length > segmentAreaBytes) return Code.Segment;
  const d = segments + <usize> segment * SEGMENT_DESCRIPTOR_BYTES;
  if (load<u32>(d, SEGMENT_ITEMS)) return Code.State;
  setCursor(segmentArea);
  end = segmentArea + length;
  bad = false;
  const items = readCount(), numbered = readCount();
  if (bad || numbered > items) return Code.Segment;
  // Keys, accumulators and the lines themselves; an accumulator takes at least 4 bytes of the input.
  const bytes = <usize> items * 64 + <usize> length * 8 + BLOCK_GROWTH_BYTES +
    <usize> windowsMax * PAGE_BYTES + CHUNK_BYTES;
  const slots = reserveWork(<usize> items * 4 + PAGE_BYTES);
  if (!slots || !ensure(bytes) || !sizeFor(d, items) || !ensure(bytes)) return Code.OutOfMemory;
  readNumbered(d, slots, numbered);
  readOthers(d, slots + (<usize> numbered << 2), items - numbered);
  readStocks(slots, items);
  readWindows(slots, items, segment);
  if (bad || cursor != end) return Code.Segment;
  store<u8>(d, 0, SEGMENT_CHANGED);
  return Code.Done;
}

/** Inserts the id of n bytes, which must belong to the segment. */
function add(d: usize, slots: usize, n: u32): void {
  keyCode(id, n);
  if (segmentOf(keyHash) != d) bad = true;
  else store<u32>(slots, <u32> insert(id, n));
}

function readNumbered(d: usize, slots: usize, items: u32): void {
  let prefixBefore: u64 = 0, first = true;
  while (items && !bad) {
    const length = cursor < end ? <u32> load<u8>(cursor) : u32.MAX_VALUE;
    if (length > 8 || end - cursor <= length) {
      bad = true;
      return;
    }
    const prefix = length ? load<u64>(cursor, 1) & (<u64> -1 >> ((8 - length) << 3)) : 0;
    setCursor(cursor + 1 + length);
    const ordered = bswap(prefix);
    if (!first && ordered <= prefixBefore) bad = true;
    prefixBefore = ordered;
    first = false;
    const n = readCount();
    if (!n || n > items) bad = true;
    store<u64>(id, prefix);
    let number: u64 = 0;
    for (let i: u32 = 0; i < n && !bad; i++, slots += 4) {
      const difference = read();
      number += difference;
      if ((i && !difference) || difference > NUMBER_MAX || number > NUMBER_MAX) bad = true;
      else add(d, slots, length + putDecimal(id + length, number));
    }
    items -= min(n, items);
  }
}

function readOthers(d: usize, slots: usize, items: u32): void {
  let before: u32 = 0;
  for (; items && !bad; items--, slots += 4) {
    const n = cursor < end ? <u32> load<u8>(cursor) : 0;
    if (!n || n > ITEM_ID_BYTES_MAX || end - cursor <= n) {
      bad = true;
      return;
    }
    memory.copy(id, cursor + 1, n);
    setCursor(cursor + 1 + n);
    const c = memory.compare(idBefore, id, min(before, n));
    if (before && (c > 0 || (c == 0 && before >= n))) bad = true;
    else add(d, slots, n);
    memory.copy(idBefore, id, n);
    before = n;
  }
}

function readStocks(slots: usize, items: u32): void {
  for (let i: u32 = 0; i < items && !bad; i++, slots += 4) {
    const stock = read();
    if (!stock) continue; // insert left it ABSENT
    if (stock - 1 > <u64> i64.MAX_VALUE) bad = true;
    setStock(<usize> load<u32>(slots), <i64> (stock - 1));
    countItem();
  }
}

function readWindows(slots: usize, items: u32, segment: u32): void {
  const n: u32 = bad ? 0 : readCount();
  if (n && !windowMs) bad = true;
  let number: i64 = 0;
  for (let w: u32 = 0; w < n && !bad; w++) {
    number += <i64> read();
    if (number < 0 || number > i64.MAX_VALUE / 2 / windowMs) bad = true;
    const count = readCount();
    if (bad) return;
    const window = windowWithNumber(number);
    if (!window) bad = true;
    let item: u64 = 0;
    for (let i: u32 = 0; i < count && !bad; i++) {
      const difference = read();
      item += difference;
      const succeeded = read(), failed = read(), volume = read();
      if (
        (i && !difference) || difference >= items || item >= items || succeeded > u32.MAX_VALUE ||
        failed > u32.MAX_VALUE
      ) bad = true;
      if (bad || volume > <u64> i64.MAX_VALUE) {
        bad = true;
        return;
      }
      const slot = <usize> load<u32>(slots + (<usize> item << 2));
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
}
