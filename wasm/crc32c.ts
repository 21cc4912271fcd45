// CRC32C (Castagnoli, RFC 3720), the checksum of record batches. Four streams of 1 KiB run side by
// side with slicing-by-8, so that the table loads of one hide behind those of the others; the
// streams are joined by shifting a CRC over 1 KiB of zeros.

import { allocatePages } from "./memory";

const POLYNOMIAL: u32 = 0x82f63b78; // reflected
const STREAM_BYTES: usize = 1024;

/** 8 tables of 256 u32: entry [t][b] is the CRC of byte b followed by t zero bytes. */
let tables: usize = 0;
/** 4 tables of 256 u32: byte k of a CRC shifted over STREAM_BYTES zeros. */
let shifts: usize = 0;

export function initCrc(): void {
  tables = allocatePages(12 * 1024);
  shifts = tables + 8 * 1024;
  for (let i: u32 = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ POLYNOMIAL : c >> 1;
    store<u32>(tables + (<usize> i << 2), c);
  }
  for (let t: u32 = 1; t < 8; t++) {
    for (let i: u32 = 0; i < 256; i++) {
      store<u32>(tables + (<usize> t << 10) + (<usize> i << 2), zeroByte(entry(t - 1, i)));
    }
  }
  for (let bit: u32 = 0; bit < 32; bit++) {
    let c = <u32> 1 << bit;
    for (let z: usize = 0; z < STREAM_BYTES; z += 8) c = eightBytes(c, 0);
    const table = shifts + (<usize> (bit >> 3) << 10);
    for (let i: u32 = 0; i < 256; i++) {
      if (!(i & (1 << (bit & 7)))) continue;
      const at = table + (<usize> i << 2);
      store<u32>(at, load<u32>(at) ^ c);
    }
  }
}

@inline
function entry(table: u32, byte: u32): u32 {
  return load<u32>(tables + (<usize> table << 10) + (<usize> byte << 2));
}

@inline
function zeroByte(c: u32): u32 {
  return (c >> 8) ^ entry(0, c & 255);
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
function shiftStream(c: u32): u32 {
  return load<u32>(shifts + (<usize> (c & 255) << 2)) ^
    load<u32>(shifts + 1024 + (<usize> ((c >> 8) & 255) << 2)) ^
    load<u32>(shifts + 2048 + (<usize> ((c >> 16) & 255) << 2)) ^
    load<u32>(shifts + 3072 + (<usize> (c >> 24) << 2));
}

/** CRC32C of `length` bytes at `p`. */
export function crc32c(p: usize, length: usize): u32 {
  const end = p + length;
  let c: u32 = ~0;
  while (end - p >= 4 * STREAM_BYTES) {
    let c1: u32 = 0, c2: u32 = 0, c3: u32 = 0;
    for (let q = p; q < p + STREAM_BYTES; q += 8) {
      c = eightBytes(c, load<u64>(q));
      c1 = eightBytes(c1, load<u64>(q, STREAM_BYTES));
      c2 = eightBytes(c2, load<u64>(q, 2 * STREAM_BYTES));
      c3 = eightBytes(c3, load<u64>(q, 3 * STREAM_BYTES));
    }
    c = shiftStream(shiftStream(shiftStream(c) ^ c1) ^ c2) ^ c3;
    p += 4 * STREAM_BYTES;
  }
  while (end - p >= 8) {
    c = eightBytes(c, load<u64>(p));
    p += 8;
  }
  while (p < end) c = (c >> 8) ^ entry(0, (c ^ <u32> load<u8>(p++)) & 255);
  return ~c;
}
