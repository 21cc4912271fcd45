// The open windows of a segment that is being encoded: its accumulators, by window, then by item.
// In slices like the rest (encode.ts). Windows may open meanwhile, but none closes, so that its id
// stands for a window where its place among the open ones would not.
//
//   tuple, 12 B: 0 id of the window u32, 4 index of the item u32, 8 accumulator u32

import { putUnsigned } from "./integers";
import { linkAddress, slotCode } from "./runs";
import { frozen } from "./copies";
import {
  codeOf,
  failedOf,
  idOf,
  linked,
  numberOf,
  numberOfAccumulator,
  olderLink,
  openCount,
  openWindow,
  succeededOf,
  volumeOf,
  windowIdOf,
  windowOfId,
  windowsMax,
} from "./windows";
import { reserveWindowWork } from "./work";

const TUPLE_BYTES: usize = 12;

let count: u32 = 0;
let tuples: usize = 0;
let sorted: usize = 0;
/** u32 per window id: its accumulators; then where the next one goes among those sorted. */
let places: usize = 0;
let windows: u32 = 0;

// Where a stage stands.
let nextTuple: usize = 0;
let at: u32 = 0;
let ordered: bool = false;
/** Where the accumulators of the window that is being written end. */
let windowEnd: u32 = 0;
let windowBefore: i64 = 0;
let itemBefore: u32 = 0;
/** Whether everything is written. */
export let allPut: bool = false;

// The walk along an item's accumulators as of the cut.
let walkCode: u64 = 0;
let walkBefore: i64 = 0;

/** The newest accumulator of an item, readable as of the cut, or 0; newer pages are not part of it. */
@inline
function newest(slot: usize): usize {
  walkCode = slotCode(slot);
  walkBefore = i64.MAX_VALUE;
  return accept(linked(linkAddress(slot)));
}

/** Address of the next older one, whose bytes are to be read through frozen; or 0. */
@inline
function older(p: usize): usize {
  return accept(linked(olderLink(frozen(p))));
}

function accept(p: usize): usize {
  const a = p ? frozen(p) : 0;
  if (!a || codeOf(a) != walkCode) return 0;
  const n = numberOfAccumulator(a);
  if (n >= walkBefore) return 0;
  walkBefore = n;
  return p;
}

/** Accumulators of an item. */
export function countAccumulators(slot: usize): u32 {
  let n: u32 = 0;
  for (let p = newest(slot); p; p = older(p)) n++;
  return n;
}

/** Makes room for so many accumulators; false without memory. */
export function beginAccumulators(accumulators: u32): bool {
  const bytes = <usize> accumulators * TUPLE_BYTES;
  tuples = reserveWindowWork(2 * bytes + <usize> windowsMax * 4);
  if (!tuples) return false;
  count = accumulators;
  sorted = tuples + bytes;
  places = sorted + bytes;
  memory.fill(places, 0, <usize> windowsMax * 4);
  nextTuple = tuples;
  ordered = false;
  at = 0;
  windowEnd = 0;
  windowBefore = 0;
  allPut = false;
  return true;
}

/** Notes the accumulators of the next item; returns how many. */
export function gatherAccumulators(slot: usize, item: u32): u32 {
  let n: u32 = 0;
  for (let p = newest(slot); p; p = older(p), n++) {
    const id = windowIdOf(frozen(p)), place = places + (<usize> id << 2);
    store<u32>(nextTuple, id);
    store<u32>(nextTuple, item, 4);
    store<u32>(nextTuple, <u32> p, 8);
    nextTuple += TUPLE_BYTES;
    store<u32>(place, load<u32>(place) + 1);
  }
  return n;
}

/** Orders up to n tuples more by window, oldest first (counting sort: items stay in order); true at the end. */
export function orderAccumulators(n: u32): bool {
  if (!ordered) placeWindows();
  for (; at < count && n; at++, n--) {
    const q = tuples + <usize> at * TUPLE_BYTES, place = places + (<usize> load<u32>(q) << 2);
    const to = sorted + <usize> load<u32>(place) * TUPLE_BYTES;
    store<u32>(place, load<u32>(place) + 1);
    store<u64>(to, load<u64>(q));
    store<u32>(to, load<u32>(q, 8), 8);
  }
  if (at < count) return false;
  at = 0;
  return true;
}

function placeWindows(): void {
  let sum: u32 = 0;
  windows = 0;
  for (let i: u32 = 0; i < openCount; i++) {
    const place = places + (<usize> idOf(openWindow(i)) << 2), n = load<u32>(place);
    windows += <u32> (n != 0);
    store<u32>(place, sum);
    sum += n;
  }
  ordered = true;
}

/** Writes up to n accumulators more; sets allPut behind the last one. */
export function putAccumulators(o: usize, n: u32): usize {
  if (!at) o = putUnsigned(o, windows);
  for (; at < count && n; at++, n--) {
    const q = sorted + <usize> at * TUPLE_BYTES, id = load<u32>(q);
    if (at == windowEnd) {
      const window = numberOf(windowOfId(id));
      windowEnd = load<u32>(places + (<usize> id << 2)); // counted up to its end
      o = putUnsigned(o, <u64> (window - windowBefore));
      o = putUnsigned(o, windowEnd - at);
      windowBefore = window;
      itemBefore = 0;
    }
    const item = load<u32>(q, 4), a = frozen(<usize> load<u32>(q, 8));
    o = putUnsigned(o, item - itemBefore);
    itemBefore = item;
    o = putUnsigned(o, succeededOf(a));
    o = putUnsigned(o, failedOf(a));
    o = putUnsigned(o, <u64> volumeOf(a));
  }
  allPut = at == count;
  return o;
}
