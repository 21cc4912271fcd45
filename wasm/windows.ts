// Open tumbling windows: per item and window one accumulator.
//
//   accumulator, 32 B:
//     0 key code u64, 8 volume i64, 16 succeeded u32, 20 failed u32, 24 next older of the item / 32 u32,
//    28 window id u16, 30 flags u16
//   window page: 0 next page of the window u32, then from byte 32 on 511 accumulators
//   window, 64 B:
//     0 number i64 (start / length), 8 newest page u32, 12 next accumulator u32, 16 end of the page u32,
//    20 accumulators u32, 24 next free window u32, 32 segments with an accumulator, 256 bits
//
// A slot links to the item's newest accumulator, that one to the next older. Links are never taken
// back when a window fires: its pages are zeroed, so a link counts only if it leads to an
// accumulator of the same item, in a window older than where it came from. Counts stop at 2^32 - 1,
// the volume at 2^63 - 1.

import { PAGE_BYTES, SEGMENTS } from "./contract";
import { allocatePages, freeWindowPage, takeWindowPage } from "./memory";
import { ABSENT, linkAddress, slotCode, stockOf } from "./runs";
import { segments } from "./table";
import { SEGMENT_CHANGED, SEGMENT_DESCRIPTOR_BYTES } from "./layout";
import { cutActive, markNew, preserve } from "./copies";

export const ACCUMULATOR_BYTES: usize = 32;
const VOLUME: usize = 8;
const SUCCEEDED: usize = 16;
const FAILED: usize = 20;
const OLDER: usize = 24;
const WINDOW_ID: usize = 28;
const FLAGS: usize = 30;
/** A byte of an accumulator that is 0, and stays so: the high one of its flags. */
export const ACCUMULATOR_UNUSED: usize = 31;
/** The item had not been seen when the accumulator was made. */
const FLAG_UNSEEN: u16 = 1;
const LINK_SHIFT: u32 = 5;

const WINDOW_BYTES: usize = 64;
const WINDOW_NUMBER: usize = 0;
const WINDOW_PAGE: usize = 8;
const WINDOW_NEXT: usize = 12;
const WINDOW_PAGE_END: usize = 16;
const WINDOW_COUNT: usize = 20;
const WINDOW_FREE: usize = 24;
const WINDOW_SEGMENTS: usize = 32;

/** Length in ms; 0 = no windows. */
export let windowMs: i64 = 0;
/** Windows that can be open at once. */
export let windowsMax: u32 = 0;
export let openCount: u32 = 0;
export let accumulatorCount: u32 = 0;

/** End of the oldest open window in ms; the largest i64 when none is open. */
export let oldestEnd: i64 = i64.MAX_VALUE;

let windows: usize = 0;
let usedWindows: u32 = 0;
let freeWindow: u32 = 0; // id + 1
/** Ids of the open windows, u16, oldest first. */
let order: usize = 0;

export function initWindows(length: i64, max: u32): void {
  windowMs = length;
  windowsMax = max;
  if (!max) return;
  windows = allocatePages(<usize> max * WINDOW_BYTES);
  order = allocatePages(<usize> max * 2);
}

// ---- windows ----

@inline
export function windowOfId(id: u32): usize {
  return windows + <usize> id * WINDOW_BYTES;
}

@inline
export function idOf(window: usize): u32 {
  return <u32> ((window - windows) / WINDOW_BYTES);
}

/** The i-th open window, oldest first. */
@inline
export function openWindow(i: u32): usize {
  return windowOfId(<u32> load<u16>(order + (<usize> i << 1)));
}

@inline
export function numberOf(window: usize): i64 {
  return load<i64>(window, WINDOW_NUMBER);
}

@inline
export function windowStart(window: usize): i64 {
  return numberOf(window) * windowMs;
}

@inline
export function windowEnd(window: usize): i64 {
  return (numberOf(window) + 1) * windowMs;
}

/** End of the newest open window in ms, 0 when none is open. */
export function newestWindowEnd(): i64 {
  return openCount ? windowEnd(openWindow(openCount - 1)) : 0;
}

/** Position in the order of the first window with this number or a larger one. */
export function orderOf(n: i64): u32 {
  let low: u32 = 0, high = openCount;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numberOf(openWindow(middle)) < n) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The open window with this number, opened if need be; 0 when too many are open. */
export function windowWithNumber(n: i64): usize {
  const at = orderOf(n);
  if (at < openCount) {
    const w = openWindow(at);
    if (numberOf(w) == n) return w;
  }
  let id: u32;
  if (freeWindow) {
    id = freeWindow - 1;
    freeWindow = load<u32>(windowOfId(id), WINDOW_FREE);
  } else if (usedWindows < windowsMax) id = usedWindows++;
  else return 0;
  const w = windowOfId(id);
  memory.fill(w, 0, WINDOW_BYTES);
  store<i64>(w, n, WINDOW_NUMBER);
  const place = order + (<usize> at << 1);
  memory.copy(place + 2, place, <usize> (openCount - at) << 1);
  store<u16>(place, <u16> id);
  openCount++;
  oldestEnd = windowEnd(openWindow(0));
  return w;
}

/** Closes the oldest window, whose accumulators are done with. */
export function closeOldest(): void {
  const w = openWindow(0);
  let page = <usize> load<u32>(w, WINDOW_PAGE);
  while (page) {
    const next = <usize> load<u32>(page);
    freeWindowPage(page);
    page = next;
  }
  accumulatorCount -= load<u32>(w, WINDOW_COUNT);
  store<u32>(w, freeWindow, WINDOW_FREE);
  freeWindow = idOf(w) + 1;
  openCount--;
  memory.copy(order, order + 2, <usize> openCount << 1);
  oldestEnd = openCount ? windowEnd(openWindow(0)) : i64.MAX_VALUE;
}

/** Marks every segment that has an accumulator in the window as changed. */
export function markSegments(window: usize): void {
  for (let s: usize = 0; s < SEGMENTS; s++) {
    if (load<u8>(window + (s >> 3), WINDOW_SEGMENTS) & (<u8> 1 << <u8> (s & 7))) {
      store<u8>(segments + s * SEGMENT_DESCRIPTOR_BYTES, 1, SEGMENT_CHANGED);
    }
  }
}

// ---- walking through a window ----

/** First page to walk through, the newest one, which is the only one that may not be full. */
@inline
export function firstPage(window: usize): usize {
  return <usize> load<u32>(window, WINDOW_PAGE);
}

@inline
export function nextPage(page: usize): usize {
  return <usize> load<u32>(page);
}

/** End of the accumulators in a page of the window. */
@inline
export function pageEnd(window: usize, page: usize): usize {
  return page == firstPage(window) ? <usize> load<u32>(window, WINDOW_NEXT) : page + PAGE_BYTES;
}

@inline
export function codeOf(a: usize): u64 {
  return load<u64>(a);
}

@inline
export function volumeOf(a: usize): i64 {
  return load<i64>(a, VOLUME);
}

@inline
export function succeededOf(a: usize): u32 {
  return load<u32>(a, SUCCEEDED);
}

@inline
export function failedOf(a: usize): u32 {
  return load<u32>(a, FAILED);
}

@inline
export function madeUnseen(a: usize): bool {
  return (load<u16>(a, FLAGS) & FLAG_UNSEEN) != 0;
}

@inline
export function numberOfAccumulator(a: usize): i64 {
  return numberOf(windowOfId(<u32> load<u16>(a, WINDOW_ID)));
}

@inline
export function windowIdOf(a: usize): u32 {
  return <u32> load<u16>(a, WINDOW_ID);
}

// ---- accumulators of an item ----

/** Address behind a link, perhaps stale. */
@inline
export function linked(link: usize): usize {
  return <usize> load<u32>(link) << LINK_SHIFT;
}

@inline
export function olderLink(a: usize): usize {
  return a + OLDER;
}

@inline
function setLink(link: usize, a: usize): void {
  if (cutActive) preserve(link);
  store<u32>(link, <u32> (a >> LINK_SHIFT));
}

/** Counts one transaction in the item's accumulator for the window. */
@inline
export function count(
  slot: usize,
  window: usize,
  segment: u32,
  succeeded: bool,
  quantity: i64,
): void {
  const code = slotCode(slot), link = linkAddress(slot);
  let a = linked(link);
  if (load<u64>(a) != code || <u32> load<u16>(a, WINDOW_ID) != idOf(window)) {
    a = accumulator(link, code, window, segment, stockOf(slot) == ABSENT);
  }
  if (cutActive) preserve(a);
  const at = a + (succeeded ? SUCCEEDED : FAILED);
  const n = load<u32>(at) + 1;
  if (n) store<u32>(at, n);
  const volume = volumeOf(a) + (quantity < 0 ? -quantity : quantity);
  store<i64>(a, volume < 0 ? i64.MAX_VALUE : volume, VOLUME);
}

/** The item's accumulator for the window, made if need be. */
export function accumulator(
  link: usize,
  code: u64,
  window: usize,
  segment: u32,
  unseen: bool,
): usize {
  const n = numberOf(window);
  let before = i64.MAX_VALUE; // number of the window that `link` comes from
  let a = linked(link);
  while (a && load<u64>(a) == code) {
    const found = numberOfAccumulator(a);
    if (found >= before) {
      a = 0; // stale
      break;
    }
    if (found == n) return a;
    if (found < n) break;
    before = found;
    link = olderLink(a);
    a = linked(link);
  }
  if (a && load<u64>(a) != code) a = 0; // stale
  const made = takeAccumulator(window, segment);
  store<u64>(made, code);
  store<u32>(made, <u32> (a >> LINK_SHIFT), OLDER);
  store<u16>(made, <u16> idOf(window), WINDOW_ID);
  store<u16>(made, unseen ? FLAG_UNSEEN : 0, FLAGS);
  setLink(link, made);
  return made;
}

/** A zeroed accumulator at the end of the window. */
function takeAccumulator(window: usize, segment: u32): usize {
  let a = <usize> load<u32>(window, WINDOW_NEXT);
  if (a == <usize> load<u32>(window, WINDOW_PAGE_END)) {
    const page = takeWindowPage();
    if (cutActive) markNew(page);
    store<u32>(page, load<u32>(window, WINDOW_PAGE));
    store<u32>(window, <u32> page, WINDOW_PAGE);
    store<u32>(window, <u32> (page + PAGE_BYTES), WINDOW_PAGE_END);
    a = page + ACCUMULATOR_BYTES;
  } else if (cutActive) preserve(a);
  store<u32>(window, <u32> (a + ACCUMULATOR_BYTES), WINDOW_NEXT);
  store<u32>(window, load<u32>(window, WINDOW_COUNT) + 1, WINDOW_COUNT);
  accumulatorCount++;
  const bits = window + WINDOW_SEGMENTS + (<usize> segment >> 3);
  store<u8>(bits, load<u8>(bits) | (<u8> 1 << <u8> (segment & 7)));
  return a;
}

/** Sets what a restored accumulator counted. */
export function setCounts(a: usize, succeeded: u32, failed: u32, volume: i64): void {
  store<u32>(a, succeeded, SUCCEEDED);
  store<u32>(a, failed, FAILED);
  store<i64>(a, volume, VOLUME);
}
