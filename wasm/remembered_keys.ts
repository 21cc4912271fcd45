// Keyed hashes of what is remembered. Their keys are drawn from a secret that belongs to the log, so that the state is a
// function of the log; full collisions of an open hash are made in a minute.
//
// Each is a sum of 32-bit words, each multiplied by a key of 64 bits of its own, of which the high 32 bits count: strongly
// universal, so two different items have equal hashes of 62 bits once in 2^62 (Lemire and Kaser, Strongly universal
// string hashing is fast, 2014).

import { ITEM_ID_BYTES_MAX } from "./contract";
import { nextKey, seedKeys } from "./secret";

/** The first one is added; then one for the length, and one for each 4 bytes of an id. */
const WORDS: u32 = 2 + (ITEM_ID_BYTES_MAX + 3) / 4;
/** For each word two keys of 8 bytes, one for each half of the hash. */
const itemKeys = memory.data(66 * 16, 16);
const checkKeys = memory.data(4 * 8, 16);

/** The outcome stands in these bits of an item's hash. */
export const OUTCOME_BITS: u64 = 3;

export function initRememberedKeys(secret0: u64, secret1: u64): void {
  seedKeys(secret0, secret1);
  for (let i: u32 = 0; i < 2 * WORDS; i++) store<u64>(itemKeys + (<usize> i << 3), nextKey());
  for (let i: u32 = 0; i < 4; i++) store<u64>(checkKeys + (<usize> i << 3), nextKey());
}

// Of the item hashed last.
let high: u64 = 0;
let low: u64 = 0;

/** Hash of the n bytes of an item id at p, in the high 62 bits. Reads up to 15 bytes more. */
@inline
export function itemHashOf(p: usize, n: u32): u64 {
  const length = <u64> n;
  let h = load<u64>(itemKeys) + length * load<u64>(itemKeys, 16),
    l = load<u64>(itemKeys, 8) + length * load<u64>(itemKeys, 24);
  // Where the keys stand is known when it is compiled: V8 checks no bounds then.
  const first = firstBytes(p, n),
    a = i64x2.extract_lane(first, 0),
    b = i64x2.extract_lane(first, 1);
  const a0 = <u64> a & 0xffffffff,
    a1 = <u64> a >> 32,
    b0 = <u64> b & 0xffffffff,
    b1 = <u64> b >> 32;
  h += a0 * load<u64>(itemKeys, 32) + a1 * load<u64>(itemKeys, 48) +
    b0 * load<u64>(itemKeys, 64) + b1 * load<u64>(itemKeys, 80);
  l += a0 * load<u64>(itemKeys, 40) + a1 * load<u64>(itemKeys, 56) +
    b0 * load<u64>(itemKeys, 72) + b1 * load<u64>(itemKeys, 88);
  if (n > 16) {
    hashRest(p, n, h, l);
    h = high;
    l = low;
  }
  return (h & 0xffffffff00000000) | (l >> 32 & ~OUTCOME_BITS);
}

/** The first 16 of n bytes at p, zeros behind them. */
@inline
function firstBytes(p: usize, n: u32): v128 {
  const at = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return v128.and(v128.load(p), i8x16.lt_u(at, i8x16.splat(<i8> n)));
}

/** Adds what stands behind the first 16 bytes. */
function hashRest(p: usize, n: u32, h: u64, l: u64): void {
  let k = itemKeys + 96;
  for (let at: u32 = 16; at < n; at += 4, k += 16) {
    const left = n - at;
    let word = load<u32>(p + at);
    if (left < 4) word &= u32.MAX_VALUE >> ((4 - left) << 3);
    h += <u64> word * load<u64>(k);
    l += <u64> word * load<u64>(k, 8);
  }
  high = h;
  low = l;
}

/** What distinguishes two transactions of one identity. */
@inline
export function checkOf(ts: i64, quantity: i64): u32 {
  return <u32> ((load<u64>(checkKeys) + (<u64> ts & 0xffffffff) * load<u64>(checkKeys, 8) +
    (<u64> ts >> 32) * load<u64>(checkKeys, 16) +
    (<u64> quantity & 0xffffffff) * load<u64>(checkKeys, 24)) >> 32);
}
