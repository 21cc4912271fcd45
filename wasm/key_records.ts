// The bytes of ids that have no other code (see keys.ts).
//
//   key record     0 length u8, 1 bytes; a multiple of 8 bytes
//   packed record  16 bytes: a canonical UUID, which needs no length
//   free record    0 next usize; a list for each size
//
// A key reference is the address of a record, which is a multiple of 8, plus PACKED; 0 = none.

import { alignUp, allocate } from "./memory";
import { isUuid, packUuid, putUuid, UUID_BYTES, UUID_TEXT_BYTES } from "./uuid";

export const PACKED: u32 = 1;
const TEXT: usize = 1;

export const RECORD_ALIGNMENT: u32 = 8;
const RECORD_SHIFT: u32 = 3;
const freeRecords = memory.data(33 * 4, 8); // by size / 8
/** Bytes of all records in use. */
export let keyBytes: u64 = 0;

const packed = memory.data(16, 16);

function takeRecord(size: u32): usize {
  const list = freeRecords + (<usize> (size >> RECORD_SHIFT) << 2);
  const r = load<usize>(list);
  keyBytes += size;
  if (!r) return allocate(size, RECORD_ALIGNMENT);
  store<usize>(list, load<usize>(r));
  return r;
}

@inline
function textRecordBytes(n: u32): u32 {
  return <u32> alignUp(TEXT + n, RECORD_ALIGNMENT);
}

/** Stores the id of n bytes at p; returns its reference. */
export function takeKey(p: usize, n: u32): u32 {
  if (n == UUID_TEXT_BYTES && packUuid(packed, p)) {
    const r = takeRecord(UUID_BYTES);
    v128.store(r, v128.load(packed));
    return <u32> r | PACKED;
  }
  const r = takeRecord(textRecordBytes(n));
  store<u8>(r, <u8> n);
  memory.copy(r + TEXT, p, n);
  return <u32> r;
}

export function freeKey(key: u32): void {
  const size = key & PACKED ? UUID_BYTES : textRecordBytes(keyLength(key)),
    r = <usize> (key & ~PACKED),
    list = freeRecords + (<usize> (size >> RECORD_SHIFT) << 2);
  store<usize>(r, load<usize>(list));
  store<usize>(list, r);
  keyBytes -= size;
}

/** Bytes of the id. */
@inline
export function keyLength(key: u32): u32 {
  return key & PACKED ? UUID_TEXT_BYTES : <u32> load<u8>(key);
}

/** Where the id's bytes stand: within the record, or, of a packed one, at `spare`, where 36 bytes are written. */
@inline
export function keyText(key: u32, spare: usize): usize {
  if (!(key & PACKED)) return <usize> key + TEXT;
  putUuid(spare, <usize> (key & ~PACKED));
  return spare;
}

/** Writes the id; returns its length. */
export function putKeyText(o: usize, key: u32): u32 {
  const n = keyLength(key);
  if (key & PACKED) putUuid(o, <usize> (key & ~PACKED));
  else memory.copy(o, <usize> key + TEXT, n);
  return n;
}

/** Whether the id is that of n bytes at p. */
@inline
export function isKey(key: u32, p: usize, n: u32): bool {
  if (keyLength(key) != n) return false;
  return key & PACKED ? isUuid(<usize> (key & ~PACKED), p) : areEqual(<usize> key + TEXT, p, n);
}

/** Whether n bytes are equal: 16 at a time, the last of them perhaps for the second time. */
function areEqual(p: usize, q: usize, n: u32): bool {
  if (n < 16) return memory.compare(p, q, n) == 0;
  const last = n - 16;
  let differences = v128.xor(v128.load(p + last), v128.load(q + last));
  for (let i: u32 = 0; i < last; i += 16) {
    differences = v128.or(differences, v128.xor(v128.load(p + i), v128.load(q + i)));
  }
  return !v128.any_true(differences);
}
