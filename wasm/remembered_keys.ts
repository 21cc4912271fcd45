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

/** Hash of the n bytes of an item id at p, in the high 62 bits. Reads up to 3 bytes more. */
export function itemHashOf(p: usize, n: u32): u64 {
  let high = load<u64>(itemKeys) + <u64> n * load<u64>(itemKeys, 16),
    low = load<u64>(itemKeys, 8) + <u64> n * load<u64>(itemKeys, 24),
    k = itemKeys + 32;
  for (; n >= 4; n -= 4, p += 4, k += 16) {
    const word = <u64> load<u32>(p);
    high += word * load<u64>(k);
    low += word * load<u64>(k, 8);
  }
  if (n) {
    const word = <u64> (load<u32>(p) & (u32.MAX_VALUE >> ((4 - n) << 3)));
    high += word * load<u64>(k);
    low += word * load<u64>(k, 8);
  }
  return (high & 0xffffffff00000000) | (low >> 32 & ~OUTCOME_BITS);
}

/** What distinguishes two transactions of one identity. */
@inline
export function checkOf(ts: i64, quantity: i64): u32 {
  return <u32> ((load<u64>(checkKeys) + (<u64> ts & 0xffffffff) * load<u64>(checkKeys, 8) +
    (<u64> ts >> 32) * load<u64>(checkKeys, 16) +
    (<u64> quantity & 0xffffffff) * load<u64>(checkKeys, 24)) >> 32);
}
