// CRC32C (Castagnoli, RFC 3720), the checksum of record batches.
//
// A batch is a polynomial over GF(2), and its CRC is a remainder by P. So multiples of P may be added to
// it. One of few terms, added so that its first term meets the first byte, removes that byte and adds it
// to a few bytes behind it (Russell, Chorba: a novel CRC32 implementation, 2024): 16 bytes are removed by
// a few loads and XORs. All shifts are of whole bytes: if P divides Q(x), it divides Q(x^8) = Q(x)^8 too.
//
//   wide     x^5321 + x^3574 + x^2491 + 1                      leaves 5321 bytes
//   narrow   x^299 + x^142 + x^134 + x^62 + x^21 + 1           leaves  299 bytes
//
// In both, the first two terms are far apart: what is loaded was stored long enough before. What they
// leave is looked up in tables, 8 bytes at a time.

import { CHECKSUM_BYTES } from "./contract";
import { allocatePages } from "./memory";

const POLYNOMIAL: u32 = 0x82f63b78; // reflected

/** 8 tables of 256 u32: entry [t][b] is the CRC of byte b followed by t zero bytes. */
let tables: usize = 0;

// Distances at which a byte is added to others; the last one is what is left.
const WIDE_1: usize = 5321 - 3574;
const WIDE_2: usize = 5321 - 2491;
const WIDE: usize = 5321;
const NARROW_1: usize = 299 - 142;
const NARROW_2: usize = 299 - 134;
const NARROW_3: usize = 299 - 62;
const NARROW_4: usize = 299 - 21;
const NARROW: usize = 299;
/** Bytes that are removed between two moves of what is left. */
const STRIDE: usize = 16384;
/** Fewer bytes than these are not worth the way. */
const WIDE_MIN: usize = 32768;
const NARROW_MIN: usize = 2 * NARROW;

/** Removed bytes on which others still depend, then those that are being removed: up to WIDE_MIN + 2 * WIDE. */
export let removed: usize = 0;
/** What a wide multiple left, then what a narrow one left. */
let left: usize = 0;

export function initCrc(): void {
  tables = allocatePages(8 * 1024);
  removed = allocatePages(CHECKSUM_BYTES);
  left = removed + CHECKSUM_BYTES - WIDE - NARROW;
  for (let i: u32 = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ POLYNOMIAL : c >> 1;
    store<u32>(tables + (<usize> i << 2), c);
  }
  for (let t: u32 = 1; t < 8; t++) {
    for (let i: u32 = 0; i < 256; i++) {
      const c = entry(t - 1, i);
      store<u32>(tables + (<usize> t << 10) + (<usize> i << 2), (c >> 8) ^ entry(0, c & 255));
    }
  }
}

@inline
function entry(table: u32, byte: u32): u32 {
  return load<u32>(tables + (<usize> table << 10) + (<usize> byte << 2));
}

@inline
function eightBytes(c: u32, x: u64): u32 {
  const low = <u32> x ^ c;
  const high = <u32> (x >> 32);
  return entry(7, low & 255) ^ entry(6, (low >> 8) & 255) ^ entry(5, (low >> 16) & 255) ^
    entry(4, low >> 24) ^
    entry(3, high & 255) ^ entry(2, (high >> 8) & 255) ^ entry(1, (high >> 16) & 255) ^
    entry(0, high >> 24);
}

@inline
function wideAt(o: usize, bytes: v128): v128 {
  return fourOf(bytes, v128.load(o - WIDE_1), v128.load(o - WIDE_2), v128.load(o - WIDE));
}

@inline
function narrowAt(o: usize, bytes: v128): v128 {
  return v128.xor(
    v128.xor(
      v128.xor(bytes, v128.load(o - NARROW_1)),
      v128.xor(v128.load(o - NARROW_2), v128.load(o - NARROW_3)),
    ),
    v128.xor(v128.load(o - NARROW_4), v128.load(o - NARROW)),
  );
}

/** Bytes that a step of a loop removes: one address serves all loads at one distance. */
const STEP: usize = 64;

/** Removes the STEP bytes at `p`, which stand at `o` then. */
@inline
function wideStep(o: usize, p: usize): void {
  const a = o - WIDE_1, b = o - WIDE_2, c = o - WIDE;
  v128.store(o, fourOf(v128.load(p), v128.load(a), v128.load(b), v128.load(c)));
  v128.store(o, fourOf(v128.load(p, 16), v128.load(a, 16), v128.load(b, 16), v128.load(c, 16)), 16);
  v128.store(o, fourOf(v128.load(p, 32), v128.load(a, 32), v128.load(b, 32), v128.load(c, 32)), 32);
  v128.store(o, fourOf(v128.load(p, 48), v128.load(a, 48), v128.load(b, 48), v128.load(c, 48)), 48);
}

@inline
function fourOf(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.xor(v128.xor(a, b), v128.xor(c, d));
}

/** Takes the first 16 to 31 of `n` bytes, so that a multiple of 16 is left, as removed; none was before. */
@inline
function takeFirst(p: usize, n: usize, span: usize, c: u32): usize {
  const first = 16 + (n & 15);
  memory.fill(removed, 0, span);
  memory.copy(removed + span - first, p, first);
  const at = removed + span - first;
  store<u32>(at, load<u32>(at) ^ c);
  return first;
}

/** Leaves WIDE bytes with the same CRC, which begins at 0 for them. */
function removeWide(p: usize, length: usize, c: u32): void {
  let n = length - WIDE;
  const first = takeFirst(p, n, WIDE, c), base = removed + WIDE;
  p += first;
  n -= first;
  while (n) {
    const m = min(n, STRIDE);
    let i: usize = 0;
    for (; i + STEP <= m; i += STEP) wideStep(base + i, p + i);
    for (; i < m; i += 16) {
      v128.store(base + i, wideAt(base + i, v128.load(p + i)));
    }
    memory.copy(removed, removed + m, WIDE);
    p += m;
    n -= m;
  }
  memory.fill(base, 0, WIDE);
  for (let from: usize = 0; from < WIDE; from += 16) {
    const i = min(from, WIDE - 16); // loads nothing behind them
    v128.store(left + i, wideAt(base + i, v128.load(p + i)));
  }
}

/** Leaves NARROW bytes, behind those. */
function removeNarrow(p: usize, length: usize, c: u32): void {
  const n = length - NARROW, first = takeFirst(p, n, NARROW, c), base = removed + NARROW;
  const m = n - first;
  p += first;
  for (let i: usize = 0; i < m; i += 16) {
    v128.store(base + i, narrowAt(base + i, v128.load(p + i)));
  }
  memory.fill(base + m, 0, NARROW);
  for (let from: usize = 0; from < NARROW; from += 16) {
    const i = min(from, NARROW - 16);
    v128.store(left + WIDE + i, narrowAt(base + m + i, v128.load(p + m + i)));
  }
}

/** CRC32C of `length` bytes at `p`. */
export function crc32c(p: usize, length: usize): u32 {
  let c: u32 = ~0;
  if (length >= WIDE_MIN) {
    removeWide(p, length, c);
    p = left;
    length = WIDE;
    c = 0;
  }
  if (length >= NARROW_MIN) {
    removeNarrow(p, length, c);
    p = left + WIDE;
    length = NARROW;
    c = 0;
  }
  const end = p + length;
  while (end - p >= 8) {
    c = eightBytes(c, load<u64>(p));
    p += 8;
  }
  while (p < end) c = (c >> 8) ^ entry(0, (c ^ <u32> load<u8>(p++)) & 255);
  return ~c;
}
