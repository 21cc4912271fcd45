// Key codes: an item id in 8 bytes, exact and reversible.
//
//   bits 63..62
//     1  numbered  | prefix id 12 bits | number 50 bits |   "item_" + 42
//     2  inline    | length 6 bits | up to 7 bytes, first byte lowest |   "cup"
//     3  stored    | address / 8, 29 bits | packed, 1 bit | place, 32 bits |   bytes in a key record
//     0  never a code: stands for "not known to the table"
//
// Without its address, the code of a stored id follows from the id: it is sought by that, and what has the same bits
// beside the address is compared with the id byte by byte.
//
// A numbered id ends in a decimal number of 1 to 15 digits without leading zeros (zeros before it
// belong to the prefix) behind a prefix of at most 8 bytes. Its prefix is kept in a dictionary; once
// that is full it stays as it is until the next restore, and ids with other prefixes are stored.
//
// Where an item stands follows from 64 bits, called its hash here:
//
//   bits 63..56   segment: a hash of the id's bytes alone, which everybody can compute, because
//                 checkpoints store one encoding per segment
//   bits 31..0    place within the segment: secret (see secret.ts), so that nobody can choose ids
//                 that meet there. Of the code if it is numbered or inline, else of the bytes

import { allocatePages } from "./memory";
import { initSecret, placeOfBytes, placeOfWord, placeOfWords } from "./secret";
import { digitMask, lastDigits, putDecimal } from "./integers";
import {
  freeKey,
  isKey,
  keyLength,
  keyText,
  PACKED,
  putKeyText,
  RECORD_ALIGNMENT,
  takeKey,
} from "./key_records";
import { UUID_TEXT_BYTES } from "./uuid";

export const CODE_NUMBERED: u64 = 1;
export const CODE_INLINE: u64 = 2;
export const CODE_STORED: u64 = 3;
const NUMBER_BITS: u64 = 50;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
const INLINE_BYTES_MAX: u32 = 7;
const PREFIX_BYTES_MAX: u32 = 8;
const DIGITS_MAX: u32 = 15;
const PLACE_MASK: u64 = 0xffffffff;

// ---- hash ----

const C1: u64 = 0x9e3779b97f4a7c15;
const C2: u64 = 0xd6e8feb86659fd93;

@inline
function mix(x: u64): u64 {
  let h = x * C1;
  h ^= h >> 32;
  h *= C2;
  h ^= h >> 29;
  h *= C1;
  return h ^ (h >> 32);
}

const SEGMENT_BITS: u64 = 0xff << 56;

/** Segment of a hash that everybody can compute, place of a secret one. */
@inline
function joined(known: u64, place: u64): u64 {
  return (known & SEGMENT_BITS) | place;
}

@inline
function prefixHash(prefix: u64, length: u32): u64 {
  return mix(prefix ^ (<u64> length << 56));
}

/** Lowest n bytes of what stands at p (n at most 8). */
@inline
export function firstBytes(p: usize, n: u32): u64 {
  return n ? load<u64>(p) & (<u64> -1 >> ((8 - n) << 3)) : 0;
}

function bytesHash(p: usize, n: u32): u64 {
  let h = <u64> n * C2;
  for (; n >= 8; n -= 8, p += 8) h = hashStep(h, load<u64>(p));
  return mix(h ^ firstBytes(p, n));
}

@inline
function hashStep(h: u64, word: u64): u64 {
  h = (h ^ word) * C1;
  return h ^ (h >> 32);
}

/** Hash of an id by its bytes. */
function idHash(p: usize, n: u32): u64 {
  return n == UUID_TEXT_BYTES ? longHash(p) : joined(bytesHash(p, n), placeOfBytes(p, n));
}

/** The same of 36 bytes, the length of UUIDs, without loops: each word is loaded once. */
@inline
function longHash(p: usize): u64 {
  const a = load<u64>(p), b = load<u64>(p, 8), c = load<u64>(p, 16), d = load<u64>(p, 24);
  const last = <u64> load<u32>(p, 32), start = <u64> UUID_TEXT_BYTES * C2;
  const h = hashStep(hashStep(hashStep(hashStep(start, a), b), c), d);
  return joined(mix(h ^ last), placeOfWords(UUID_TEXT_BYTES, a, b, c, d, last));
}

// ---- dictionary of prefixes ----
//   entry, 24 B: 0 bytes u64, 8 hash u64, 16 uses u32, 20 next entry of the bucket u16, 22 length u8
// Ids run from 1; 0 = none. A prefix without a use goes back to the free list.

const PREFIXES_MAX: u32 = 4095;
const BUCKET_BITS: u64 = 12;
const BUCKETS: u32 = 1 << 12;
const PREFIX_ENTRY_BYTES: usize = 24;
let prefixes: usize = 0;
let buckets: usize = 0;
let freePrefix: u32 = 0;
let nextPrefix: u32 = 1;
/** Set when a prefix found no room: from then on no prefix is added. */
let prefixesClosed: bool = false;
export let prefixCount: u32 = 0;

// The prefix met last.
let lastPrefix: u64 = 0;
let lastLength: u32 = u32.MAX_VALUE;
let lastId: u32 = 0;
let lastHash: u64 = 0;

export function initKeys(secret0: u64, secret1: u64): void {
  initSecret(secret0, secret1);
  prefixes = allocatePages((PREFIXES_MAX + 1) * PREFIX_ENTRY_BYTES);
  buckets = allocatePages(BUCKETS * 2);
}

@inline
function prefixEntry(id: u32): usize {
  return prefixes + <usize> id * PREFIX_ENTRY_BYTES;
}

/** Secret too, so that nobody can choose prefixes that meet in one bucket. */
@inline
function bucketOf(prefix: u64): usize {
  return buckets + (<usize> (placeOfWord(prefix) >> (32 - BUCKET_BITS)) << 1);
}

function findPrefix(prefix: u64, length: u32): u32 {
  let id = <u32> load<u16>(bucketOf(prefix));
  while (id) {
    const e = prefixEntry(id);
    if (load<u64>(e) == prefix && <u32> load<u8>(e, 22) == length) return id;
    id = <u32> load<u16>(e, 20);
  }
  return 0;
}

function addPrefix(prefix: u64, length: u32, hash: u64): u32 {
  if (prefixesClosed) return 0;
  let id = freePrefix;
  if (id) freePrefix = <u32> load<u16>(prefixEntry(id), 20);
  else if (nextPrefix <= PREFIXES_MAX) id = nextPrefix++;
  else {
    prefixesClosed = true;
    return 0;
  }
  const e = prefixEntry(id), bucket = bucketOf(prefix);
  store<u64>(e, prefix);
  store<u64>(e, hash, 8);
  store<u32>(e, 0, 16);
  store<u16>(e, load<u16>(bucket), 20);
  store<u8>(e, <u8> length, 22);
  store<u16>(bucket, <u16> id);
  lastLength = u32.MAX_VALUE;
  prefixCount++;
  return id;
}

function dropPrefix(id: u32): void {
  const e = prefixEntry(id);
  let link = bucketOf(load<u64>(e));
  while (<u32> load<u16>(link) != id) link = prefixEntry(<u32> load<u16>(link)) + 20;
  store<u16>(link, load<u16>(e, 20));
  store<u16>(e, <u16> freePrefix, 20);
  freePrefix = id;
  lastLength = u32.MAX_VALUE;
  prefixCount--;
}

// ---- stored keys ----

const STORED_PACKED: u64 = 32;

/** For the bytes of a packed id. */
const spare = memory.data(48, 16);

/** Reference of a code's key record (see key_records.ts); 0 if it has none. */
@inline
export function keyOfCode(code: u64): u32 {
  return isStored(code) ? keyOfStored(code) : 0;
}

/** The same of a stored code; of 0 it is 0. */
@inline
export function keyOfStored(code: u64): u32 {
  return (<u32> (code >> 30) & ~(RECORD_ALIGNMENT - 1)) | (<u32> (code >> STORED_PACKED) & PACKED);
}

/** Sets prefixBytes and number from a stored id that ends in one; else false. */
@inline
export function splitStored(key: u32): bool {
  return !(key & PACKED) && decompose(keyText(key, spare), keyLength(key));
}

// ---- ids to codes ----

// Registers of decompose.
export let prefixBytes: u64 = 0;
export let prefixLength: u32 = 0;
export let number: u64 = 0;

/** Digits of the number at the end of a numbered id, of which `last` has the last 16 bytes; 0 = it is not numbered. */
@inline
function numberDigits(last: v128, end: usize, n: u32): u32 {
  // Digits at the end: ones from the highest of the 16 mask bits down.
  let digits = min(n, clz(~(digitMask(last) << 16)));
  if (digits > DIGITS_MAX) return 0;
  while (digits > 1 && load<u8>(end - digits) == 48) digits--;
  return n - digits > PREFIX_BYTES_MAX ? 0 : digits;
}

/** Splits a numbered id into its prefix and number. Loads up to 16 bytes before and behind the id. */
export function decompose(p: usize, n: u32): bool {
  const last = v128.load(p + n - 16), digits = numberDigits(last, p + n, n);
  if (!digits) return false;
  prefixLength = n - digits;
  prefixBytes = firstBytes(p, prefixLength);
  number = lastDigits(last, digits);
  return true;
}

@inline
function numbered(prefixId: u32, value: u64): u64 {
  return (CODE_NUMBERED << 62) | (<u64> prefixId << NUMBER_BITS) | value;
}

function inlined(p: usize, n: u32): u64 {
  return (CODE_INLINE << 62) | (<u64> n << 56) | firstBytes(p, n);
}

@inline
function stored(key: u32, hash: u64): u64 {
  return (CODE_STORED << 62) | (<u64> (key & ~PACKED) << 30) |
    (<u64> (key & PACKED) << STORED_PACKED) | (hash & PLACE_MASK);
}

/** Hash of the id that keyCode was last called for. */
export let keyHash: u64 = 0;

/** Set when an id may be a stored one. */
export let storedMet: bool = false;

export function forgetStoredMet(): void {
  storedMet = false;
}

/** What the code of a stored id has in common with the code that it is sought by. */
export const SOUGHT_BITS: u64 = (CODE_STORED << 62) | PLACE_MASK;

/** The code that a stored id is sought by. */
@inline
function soughtCode(): u64 {
  storedMet = true;
  return (CODE_STORED << 62) | (keyHash & PLACE_MASK);
}

/** Whether a code is that of a stored id, or one to seek it by. */
@inline
export function isStored(code: u64): bool {
  return code >> 62 == CODE_STORED;
}

/**
 * The code of an id, or, if it can only be a stored one, the code that it is sought by; 0 if it is not in the table for
 * sure. Sets keyHash, and storedMet where it may be a stored one; no id is added or dropped.
 */
@inline
export function keyCode(p: usize, n: u32): u64 {
  const code = unmixedCode(p, n);
  keyHash = mixedHash(code, keyHash);
  return code;
}

/** The same, but that keyHash of a numbered id is still to be mixed: many together take less time. */
@inline
export function unmixedCode(p: usize, n: u32): u64 {
  const last = v128.load(p + n - 16), digits = numberDigits(last, p + n, n);
  if (!digits) return otherCode(p, n);
  const length = n - digits, prefix = firstBytes(p, length), value = lastDigits(last, digits);
  if (prefix != lastPrefix || length != lastLength) rememberPrefix(prefix, length);
  keyHash = lastHash ^ value;
  if (lastId) return numbered(lastId, value);
  // Until its prefix is in the dictionary, such an id is not in the table.
  keyHash = joined(mix(keyHash), prefixesClosed ? placeOfBytes(p, n) : 0);
  return prefixesClosed ? soughtCode() : 0;
}

/** The hash that unmixedCode left unmixed. */
@inline
export function mixedHash(code: u64, hash: u64): u64 {
  return code >> 62 == CODE_NUMBERED ? joined(mix(hash), placeOfWord(code)) : hash;
}

function otherCode(p: usize, n: u32): u64 {
  if (n <= INLINE_BYTES_MAX) {
    const code = inlined(p, n);
    keyHash = joined(mix(code), placeOfWord(code));
    return code;
  }
  keyHash = idHash(p, n);
  return soughtCode();
}

function rememberPrefix(prefix: u64, length: u32): void {
  lastPrefix = prefix;
  lastLength = length;
  lastHash = prefixHash(prefix, length);
  lastId = findPrefix(prefix, length);
}

/** Whether `code` is that of the stored id that is sought by this code. */
@inline
export function isStoredKey(code: u64, p: usize, n: u32, sought: u64): bool {
  return (code & SOUGHT_BITS) == sought && isKey(keyOfCode(code), p, n);
}

/**
 * The code of an id that is about to enter the table, which does not hold it: adds its prefix or bytes,
 * and sets keyHash.
 *
 * @param code what keyCode answered, with this hash, if it is known: nothing else happened meanwhile but other ids that
 *   entered the table; else 0
 */
export function internKey(p: usize, n: u32, code: u64, hash: u64): u64 {
  if (code) keyHash = hash;
  else code = keyCode(p, n);
  if (!code) {
    decompose(p, n); // whose prefix is not in the dictionary
    const id = addPrefix(prefixBytes, prefixLength, prefixHash(prefixBytes, prefixLength));
    if (id) code = numbered(id, number);
    keyHash = joined(keyHash, id ? placeOfWord(code) : placeOfBytes(p, n));
  }
  if (!code || isStored(code)) return stored(takeKey(p, n), keyHash);
  useKey(code);
  return code;
}

/** Counts another item with this code (its prefix has one more use). */
@inline
export function useKey(code: u64): void {
  if (code >> 62 != CODE_NUMBERED) return;
  const e = prefixEntry(prefixId(code));
  store<u32>(e, load<u32>(e, 16) + 1, 16);
}

/** Takes back what internKey gave. */
export function releaseKey(code: u64): void {
  const kind = code >> 62;
  if (kind == CODE_STORED) return freeKey(keyOfCode(code));
  if (kind != CODE_NUMBERED) return;
  const id = prefixId(code), e = prefixEntry(id), uses = load<u32>(e, 16) - 1;
  store<u32>(e, uses, 16);
  if (!uses) dropPrefix(id);
}

@inline
function prefixId(code: u64): u32 {
  return <u32> (code >> NUMBER_BITS) & 0xfff;
}

/** The hash of the id behind a code. Of a stored id it is computed from its text: most need the place alone. */
export function codeHash(code: u64): u64 {
  const kind = code >> 62;
  if (kind == CODE_STORED) {
    const key = keyOfCode(code), p = keyText(key, spare), n = keyLength(key);
    // Once the dictionary is full, numbered ids are stored too, in the segments that they have by their numbers.
    const known = decompose(p, n)
      ? mix(prefixHash(prefixBytes, prefixLength) ^ number)
      : bytesHash(p, n);
    return joined(known, code & PLACE_MASK);
  }
  const known = kind == CODE_INLINE
    ? mix(code)
    : mix(load<u64>(prefixEntry(prefixId(code)), 8) ^ (code & NUMBER_MASK));
  return joined(known, placeOfWord(code));
}

/** The place of the id behind a code within its segment, in the low 32 bits. */
@inline
export function codePlace(code: u64): u64 {
  return isStored(code) ? code & PLACE_MASK : placeOfWord(code);
}

/** Sets prefixBytes and number from the code of a numbered id; true. */
@inline
export function splitNumbered(code: u64): bool {
  prefixBytes = load<u64>(prefixEntry(prefixId(code)));
  number = code & NUMBER_MASK;
  return true;
}

/** Writes the id behind a code; returns its length. Writes up to 8 bytes at least. */
export function putKey(o: usize, code: u64): u32 {
  const kind = code >> 62;
  if (kind == CODE_NUMBERED) {
    const e = prefixEntry(prefixId(code)), n = <u32> load<u8>(e, 22);
    store<u64>(o, load<u64>(e));
    return n + putDecimal(o + n, code & NUMBER_MASK);
  }
  if (kind == CODE_INLINE) {
    store<u64>(o, code);
    return <u32> (code >> 56) & 7;
  }
  return putKeyText(o, keyOfCode(code));
}
