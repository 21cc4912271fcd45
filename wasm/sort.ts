// Sorting the entries of a segment by two u64 keys, then by the bytes of stored ids: runs by radix,
// which are merged, in slices.
//
//   entry, 24 B: 0 first key u64, 8 second key u64, 16 slot u32, 20 key reference of a stored id u32, else 0

import { keyLength, keyText, PACKED } from "./key_records";
import { uuidLess } from "./uuid";

export const ENTRY_BYTES: usize = 24;
export const FIRST: usize = 0;
export const SECOND: usize = 8;
export const ENTRY_SLOT: usize = 16;
export const ENTRY_KEY: usize = 20;

const DIGIT_BITS: u64 = 11;
const BUCKETS: u32 = 1 << 11;
const FEW: u32 = 24;
/** Entries of a run, and of a slice. */
const RUN: u32 = 4096;
const histogram = memory.data(2048 * 4, 16);
const spare = memory.data(24, 8);
/** For the bytes of a packed id: of the two that are compared, one at the most. */
const text = memory.data(48, 16);

@inline
function copyEntry(to: usize, from: usize): void {
  const a = load<u64>(from), b = load<u64>(from, SECOND), c = load<u64>(from, ENTRY_SLOT);
  store<u64>(to, a);
  store<u64>(to, b, SECOND);
  store<u64>(to, c, ENTRY_SLOT);
}

@inline
function keyLess(p: usize, q: usize): bool {
  const a = load<u64>(p), b = load<u64>(q);
  return a < b || (a == b && load<u64>(p, SECOND) < load<u64>(q, SECOND));
}

// What is being sorted: entries of `from` into `to`, and where it stands.
let from: usize = 0;
let to: usize = 0;
let total: u32 = 0;
/** Length of the sorted runs; 0 = there are none yet. */
let width: u32 = 0;
let at: u32 = 0;
let left: u32 = 0;
let right: u32 = 0;

/** Where the entries stand once they are sorted: at one of the two addresses that beginSort was given. */
export let sortedAt: usize = 0;

/** Begins to sort n entries at p; `other` has room for as many. */
export function beginSort(p: usize, other: usize, n: u32): void {
  from = p;
  to = other;
  total = n;
  width = 0;
  at = 0;
}

/** Sorts on; returns how many entries were worked on, 0 when all are sorted. */
export function sortOn(): u32 {
  if (!width) {
    if (at < total) {
      const n = min(RUN, total - at), p = from + <usize> at * ENTRY_BYTES;
      sortEntries(p, to + <usize> at * ENTRY_BYTES, n);
      sortTies(p, p + <usize> n * ENTRY_BYTES);
      at += n;
      return n;
    }
    width = RUN;
    beginPass();
  }
  sortedAt = from;
  return width < total ? mergeSome() : 0;
}

function beginPass(): void {
  at = 0;
  left = 0;
  right = min(width, total);
}

/** Merges pairs of runs, up to RUN entries. */
function mergeSome(): u32 {
  let n: u32 = 0;
  while (n < RUN) {
    // The pair that entry `at` of the result belongs to.
    const start = at / (2 * width) * (2 * width);
    const middle = min(start + width, total), end = min(start + 2 * width, total);
    const stop = min(end, at + (RUN - n));
    n += stop - at;
    for (; at < stop; at++) {
      const l = from + <usize> left * ENTRY_BYTES, r = from + <usize> right * ENTRY_BYTES;
      const takeRight = left == middle || (right < end && entryLess(r, l));
      copyEntry(to + <usize> at * ENTRY_BYTES, takeRight ? r : l);
      if (takeRight) right++;
      else left++;
    }
    if (at < end) break;
    if (end == total) {
      const merged = to;
      to = from;
      from = merged;
      width <<= 1;
      beginPass();
      break;
    }
    left = end;
    right = min(end + width, total);
  }
  return n;
}

@inline
function entryLess(p: usize, q: usize): bool {
  const a = load<u64>(p), b = load<u64>(q);
  if (a != b) return a < b;
  const c = load<u64>(p, SECOND), d = load<u64>(q, SECOND);
  return c != d ? c < d : bytesLess(p, q);
}

/** Ids that share both keys are sorted by all their bytes. Those of numbered ids differ. */
function sortTies(p: usize, end: usize): void {
  while (p < end) {
    let run = p + ENTRY_BYTES;
    while (
      run < end && load<u64>(run) == load<u64>(p) && load<u64>(run, SECOND) == load<u64>(p, SECOND)
    ) run += ENTRY_BYTES;
    const n = <u32> ((run - p) / ENTRY_BYTES);
    if (n > 1) sortByBytes(p, n);
    p = run;
  }
}

/** Sorts n entries at p by their keys; `other` has room for as many. */
function sortEntries(p: usize, other: usize, n: u32): void {
  if (n < 2) return;
  if (n <= FEW) return insertionSort(p, n);
  // Bits in which the keys differ: digits without any are passed over.
  let firstBits: u64 = 0, secondBits: u64 = 0;
  const end = p + <usize> n * ENTRY_BYTES;
  for (let q = p; q < end; q += ENTRY_BYTES) {
    firstBits |= load<u64>(q) ^ load<u64>(p);
    secondBits |= load<u64>(q, SECOND) ^ load<u64>(p, SECOND);
  }
  let a = p, b = other;
  for (let shift: u64 = 0; shift < 64; shift += DIGIT_BITS) {
    if (!((secondBits >> shift) & (BUCKETS - 1))) continue;
    radixPass(a, b, n, SECOND, shift);
    const t = a;
    a = b;
    b = t;
  }
  for (let shift: u64 = 0; shift < 64; shift += DIGIT_BITS) {
    if (!((firstBits >> shift) & (BUCKETS - 1))) continue;
    radixPass(a, b, n, FIRST, shift);
    const t = a;
    a = b;
    b = t;
  }
  if (a != p) memory.copy(p, a, <usize> n * ENTRY_BYTES);
}

function insertionSort(p: usize, n: u32): void {
  const end = p + <usize> n * ENTRY_BYTES;
  for (let q = p + ENTRY_BYTES; q < end; q += ENTRY_BYTES) {
    copyEntry(spare, q);
    let hole = q;
    while (hole > p && keyLess(spare, hole - ENTRY_BYTES)) {
      copyEntry(hole, hole - ENTRY_BYTES);
      hole -= ENTRY_BYTES;
    }
    copyEntry(hole, spare);
  }
}

function radixPass(source: usize, target: usize, n: u32, key: usize, shift: u64): void {
  const end = source + <usize> n * ENTRY_BYTES;
  memory.fill(histogram, 0, BUCKETS * 4);
  for (let q = source; q < end; q += ENTRY_BYTES) {
    const bucket = bucketOf(q, key, shift);
    store<u32>(bucket, load<u32>(bucket) + 1);
  }
  let sum: u32 = 0;
  for (let b = histogram; b < histogram + BUCKETS * 4; b += 4) {
    const c = load<u32>(b);
    store<u32>(b, sum);
    sum += c;
  }
  for (let q = source; q < end; q += ENTRY_BYTES) {
    const bucket = bucketOf(q, key, shift), place = load<u32>(bucket);
    store<u32>(bucket, place + 1);
    copyEntry(target + <usize> place * ENTRY_BYTES, q);
  }
}

@inline
function bucketOf(q: usize, key: usize, shift: u64): usize {
  return histogram + (<usize> ((load<u64>(q + key) >> shift) & (BUCKETS - 1)) << 2);
}

/** Sorts n entries that are equal in both keys by their whole bytes (heap sort: no bad case). */
function sortByBytes(p: usize, n: u32): void {
  for (let i = n >> 1; i > 0; i--) sink(p, i - 1, n);
  for (let last = n - 1; last > 0; last--) {
    swap(p, p + <usize> last * ENTRY_BYTES);
    sink(p, 0, last);
  }
}

function sink(p: usize, i: u32, n: u32): void {
  while (true) {
    let child: u32 = 2 * i + 1;
    if (child >= n) return;
    if (
      child + 1 < n &&
      bytesLess(p + <usize> child * ENTRY_BYTES, p + <usize> (child + 1) * ENTRY_BYTES)
    ) child++;
    const a = p + <usize> i * ENTRY_BYTES, b = p + <usize> child * ENTRY_BYTES;
    if (!bytesLess(a, b)) return;
    swap(a, b);
    i = child;
  }
}

function swap(a: usize, b: usize): void {
  copyEntry(spare, a);
  copyEntry(a, b);
  copyEntry(b, spare);
}

/** Compares two stored ids whose first 16 bytes are equal; other kinds of code never get here. */
function bytesLess(p: usize, q: usize): bool {
  const a = load<u32>(p, ENTRY_KEY), b = load<u32>(q, ENTRY_KEY);
  if (a & b & PACKED) return uuidLess(<usize> (a & ~PACKED), <usize> (b & ~PACKED));
  const x = keyText(a, text), y = keyText(b, text);
  const m = keyLength(a), n = keyLength(b), common = min(m, n);
  let i: u32 = 16;
  for (; i + 8 <= common; i += 8) {
    const v = load<u64>(x + i), w = load<u64>(y + i);
    if (v != w) return bswap(v) < bswap(w);
  }
  const c = i < common ? memory.compare(x + i, y + i, common - i) : 0;
  return c < 0 || (c == 0 && m < n);
}
