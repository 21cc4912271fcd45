// The place of an item within its segment, and of a prefix in its dictionary: keyed hashes of 32 bits.
//
// Keys are drawn from a secret, which the host draws anew for each instance. It is never stored, and
// nothing that leaves the core depends on it: segments are encoded in an order of their own. So who
// sends ids cannot know which of them meet, and restored instances place them anew.
//
// Of a word (a key code, a prefix): rounds of multiplication by odd keys, each of which loses nothing;
// the last one alone is universal: the high bits of two different words are equal as rarely as by
// chance, or twice as often (Dietzfelbinger et al., A reliable randomized algorithm for the
// closest-pair problem, 1997). Of bytes: a sum of their 32-bit words, each multiplied by a key of its
// own, which is strongly universal (Lemire and Kaser, Strongly universal string hashing is fast, 2014);
// then the same rounds. A chain of rounds over the words would not do: differences that cancel each
// other in it are found without knowing the key.

import { ITEM_ID_BYTES_MAX } from "./contract";

const WORDS_MAX: u32 = (ITEM_ID_BYTES_MAX + 7) / 8 * 2;

let wordKey: u64 = 0;
// Odd.
let factor0: u64 = 1;
let factor1: u64 = 1;
let factor2: u64 = 1;
let pairFactor: u64 = 1;
/** u64 for the length, then for each 4 bytes of an id. */
const byteKeys = memory.data(65 * 8, 16);

let stream: u64 = 0;
let streamKey: u64 = 0;

export function initSecret(secret0: u64, secret1: u64): void {
  seedKeys(secret0, secret1);
  wordKey = nextKey();
  factor0 = nextKey() | 1;
  factor1 = nextKey() | 1;
  factor2 = nextKey() | 1;
  for (let i: u32 = 0; i <= WORDS_MAX; i++) {
    store<u64>(byteKeys + (<usize> i << 3), nextKey());
  }
  pairFactor = nextKey() | 1;
}

/** From here on nextKey draws from this secret. */
export function seedKeys(secret0: u64, secret1: u64): void {
  stream = secret0;
  streamKey = secret1;
}

/** SplitMix64 (Steele et al., Fast splittable pseudorandom number generators, 2014), keyed twice. */
export function nextKey(): u64 {
  stream += 0x9e3779b97f4a7c15;
  return finish(finish(stream) ^ streamKey);
}

function finish(x: u64): u64 {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/** Place of 8 bytes, in the low 32 bits. */
@inline
export function placeOfWord(word: u64): u64 {
  return mixed(word) >> 32;
}

/** 64 bits, of which the high 32 are the place and the next ones are as random; of two words together. */
@inline
export function placeOfPair(a: u64, b: u64): u64 {
  const h = a * pairFactor + b;
  return (h ^ (h >> 32)) * factor2;
}

@inline
function mixed(word: u64): u64 {
  let h = (word ^ wordKey) * factor0;
  h ^= h >> 32;
  h *= factor1;
  h ^= h >> 29;
  return h * factor2;
}

/** Place of the n bytes (33 to 36) of these words. Where the keys stand is known when it is compiled: V8 checks no bounds. */
@inline
export function placeOfWords(n: u32, a: u64, b: u64, c: u64, d: u64, last: u64): u64 {
  return placeOfWord(
    <u64> n * load<u64>(byteKeys) + product(a, 0) + product(b, 1) + product(c, 2) + product(d, 3) +
      last * load<u64>(byteKeys, 72),
  );
}

/** What the i-th 8 bytes of an id add to the sum. */
@inline
function product(word: u64, i: usize): u64 {
  const keys = byteKeys + 8 + (i << 4);
  return (word & 0xffffffff) * load<u64>(keys) + (word >> 32) * load<u64>(keys, 8);
}

/** Place of an id's bytes, in the low 32 bits. */
export function placeOfBytes(p: usize, n: u32): u64 {
  let sum = <u64> n * load<u64>(byteKeys), k = byteKeys + 8;
  for (; n >= 8; n -= 8, p += 8, k += 16) {
    sum += <u64> load<u32>(p) * load<u64>(k) + <u64> load<u32>(p, 4) * load<u64>(k, 8);
  }
  if (n) {
    const last = load<u64>(p) & (<u64> -1 >> ((8 - n) << 3));
    sum += (last & 0xffffffff) * load<u64>(k) + (last >> 32) * load<u64>(k, 8);
  }
  return placeOfWord(sum);
}
