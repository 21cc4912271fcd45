// Decimal integers and variable-length integers, read and written.
// Readers may load up to 16 bytes before and 16 bytes behind the digits: every area is padded.

import { alignUp } from "./memory";

const ZERO: u8 = 48;

// Whether bytes lie in a range is one signed comparison: first the range is moved to the lowest bytes, -128 and up.
// Vectors stand in memory at fixed addresses, where each is one load. V8 would build a constant anew in every use.
const FROM_DIGITS = memory.data<u64>([0x5050505050505050, 0x5050505050505050], 16);
const BEHIND_DIGITS = memory.data<u64>([0x8a8a8a8a8a8a8a8a, 0x8a8a8a8a8a8a8a8a], 16);

/** Bit i is set where byte i of `v` is a decimal digit. */
@inline
export function digitMask(v: v128): u32 {
  return i8x16.bitmask(i8x16.lt_s(i8x16.add(v, v128.load(FROM_DIGITS)), v128.load(BEHIND_DIGITS)));
}

/** Digits at `p`, at most 16. */
@inline
export function digitRun(p: usize): u32 {
  return ctz(~digitMask(v128.load(p)) | 0x10000);
}

/** Value of the n digits (1 to 3) at `p`. */
@inline
function fewDigits(p: usize, n: u32): u64 {
  let d = (load<u32>(p) << ((4 - n) << 3)) & 0x0f0f0f0f;
  d = d * 10 + (d >> 8);
  return <u64> (((d & 0x00ff00ff) * 0x00640001) >> 16 & 0xffff);
}

// Sixteen digits are added up by pairs: lanes of 16 bits with two digits, of 32 bits with four, then with eight.
// From its n-th byte on, LAST_BYTES keeps the value of the last n digits, and makes the others 0.
const LAST_BYTES = memory.data<u64>([0, 0, 0x0f0f0f0f0f0f0f0f, 0x0f0f0f0f0f0f0f0f], 16);
/** 2561 in each lane: of a tens digit a and a unit b, which stand as a + 256b, it makes 256(10a + b) + a. */
const TENS = memory.data<u64>([0x0a010a010a010a01, 0x0a010a010a010a01], 16);
/** 100, 1, and so on. */
const HUNDREDS = memory.data<u64>([0x0001006400010064, 0x0001006400010064], 16);
/** 10000, 1, and so on. */
const TEN_THOUSANDS = memory.data<u64>([0x0001271000012710, 0x0001271000012710], 16);

/** Value of the n digits (0 to 16) at the end of `v`. */
@inline
export function lastDigits(v: v128, n: u32): u64 {
  const digits = v128.and(v, v128.load(LAST_BYTES + <usize> n));
  const twos = i16x8.shr_u(i16x8.mul(digits, v128.load(TENS)), 8);
  const fours = i32x4.dot_i16x8_s(twos, v128.load(HUNDREDS));
  const eights = i32x4.dot_i16x8_s(
    i16x8.narrow_i32x4_s(fours, fours),
    v128.load(TEN_THOUSANDS),
  );
  const both = <u64> i64x2.extract_lane(eights, 0);
  return (both & 0xffffffff) * 100000000 + (both >> 32);
}

/** Value of the n digits (0 to 16) that end before `end`. */
@inline
export function digitsBefore(end: usize, n: u32): u64 {
  return lastDigits(v128.load(end - 16), n);
}

/** Value of the n digits (1 to 19) at `p`. */
@inline
export function digitsAt(p: usize, n: u32): u64 {
  const low = digitsBefore(p + n, min(n, 16));
  return n <= 16 ? low : fewDigits(p, n - 16) * 10000000000000000 + low;
}

// Registers of scanInteger.
export let intEnd: usize = 0;
export let intNegative: bool = false;
/** Magnitude; 2^64 - 1 stands for everything beyond 19 digits. */
export let intMagnitude: u64 = 0;

/**
 * Reads a canonical decimal integer at `p`: an optional minus sign, no leading zero, no "-0".
 * False when there is none before `end`; what follows it is the caller's matter.
 */
export function scanInteger(p: usize, end: usize): bool {
  intNegative = p < end && load<u8>(p) == 45;
  if (intNegative) p++;
  let q = p;
  while (q < end && <u32> load<u8>(q) - ZERO < 10) q++;
  const n = <u32> (q - p);
  if (!n || (load<u8>(p) == ZERO && (n > 1 || intNegative))) return false;
  intMagnitude = n > 19 ? u64.MAX_VALUE : digitsAt(p, n);
  intEnd = q;
  return true;
}

/** Whether the integer last scanned lies in -limit-1 .. limit, limit being 2^63-1 or 2^31-1. */
@inline
export function intFits(limit: u64): bool {
  return intMagnitude <= limit + <u64> intNegative;
}

/** Writes v in decimal; returns the number of bytes (1 to 20). */
export function putDecimal(o: usize, v: u64): u32 {
  let n: u32 = 1;
  for (let t = v; t >= 10; t /= 10) n++;
  let q = o + n;
  do {
    store<u8>(--q, <u8> (ZERO + <u8> (v % 10)));
    v /= 10;
  } while (v);
  return n;
}

// Variable-length integers of record batches (zigzag, KIP-98) and of segments (plain, LEB128).

/** Where the reader stands. */
export let cursor: usize = 0;

@inline
export function setCursor(p: usize): void {
  cursor = p;
}

/** Unsigned, up to 64 bits. Reads at most 10 bytes. */
@inline
export function readUnsigned(): u64 {
  let b = <u64> load<u8>(cursor++);
  if (b < 128) return b;
  let r = b & 127, shift: u64 = 7;
  do {
    b = <u64> load<u8>(cursor++);
    r |= (b & 127) << shift;
    shift += 7;
  } while (b >= 128 && shift < 70);
  return r;
}

/**
 * The value of an unsigned integer whose first byte, of 128 or more, stands before `p`; sets the cursor behind it. Who
 * reads many keeps its place in a local variable: each change of the cursor is a store, and each use a load.
 */
@inline
export function readRest(first: u64, p: usize): u64 {
  const second = <u64> load<u8>(p);
  if (second < 128) {
    cursor = p + 1;
    return (first & 127) | (second << 7);
  }
  cursor = p - 1;
  return readLong();
}

function readLong(): u64 {
  return readUnsigned();
}

@inline
export function unzigzag(z: u64): i64 {
  return <i64> (z >> 1) ^ -<i64> (z & 1);
}

/** Zigzag, up to 64 bits. Reads at most 10 bytes. */
@inline
export function readSigned(): i64 {
  return unzigzag(readUnsigned());
}

@inline
export function putUnsigned(o: usize, x: u64): usize {
  while (x >= 128) {
    store<u8>(o++, <u8> (x | 128));
    x >>= 7;
  }
  store<u8>(o, <u8> x);
  return o + 1;
}

@inline
export function zigzag(x: i64): u64 {
  return <u64> ((x << 1) ^ (x >> 63));
}

/** Bytes that putUnsigned writes. */
@inline
export function unsignedLength(x: u64): u32 {
  return x < 128 ? 1 : x < 16384 ? 2 : (70 - <u32> clz(x)) / 7;
}

/** Bytes of a text constant, read from its UTF-16 form; returns its length. */
export function putAscii(o: usize, text: string): u32 {
  const p = changetype<usize>(text);
  const n = <u32> text.length;
  for (let i: u32 = 0; i < n; i++) store<u8>(o + i, <u8> load<u16>(p + (<usize> i << 1)));
  return n;
}

/** Copies n bytes in steps of 16, so up to 15 bytes more; n may be 0. Returns the end of the n bytes. */
@inline
export function copyFast(o: usize, p: usize, n: u32): usize {
  for (let i: u32 = 0; i < n; i += 16) v128.store(o + i, v128.load(p + i));
  return o + n;
}

/** The same, 64 bytes at once: how many steps a few dozen bytes take cannot be foretold. Up to 63 bytes more. */
@inline
export function copyLong(o: usize, p: usize, n: u32): usize {
  v128.store(o, v128.load(p));
  v128.store(o + 16, v128.load(p + 16));
  v128.store(o + 32, v128.load(p + 32));
  v128.store(o + 48, v128.load(p + 48));
  for (let i: u32 = 64; i < n; i += 16) v128.store(o + i, v128.load(p + i));
  return o + n;
}

/** Rounded up to a multiple of 16. */
@inline
export function padded(n: usize): usize {
  return alignUp(n, 16);
}
