// The partition that an item belongs to: what the producers' partitioners compute from a key.

import { Partitioner } from "./contract";

let partitioner: u32 = 0;
let partition: u32 = 0;
let partitions: u32 = 1;
let crcTable: usize = memory.data(1024, 16);

export function initPartition(kind: u32, own: u32, all: u32): void {
  partitioner = kind;
  partition = own;
  partitions = all;
  for (let i: u32 = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0xedb88320 : c >> 1;
    store<u32>(crcTable + (<usize> i << 2), c);
  }
}

/** Whether the item with this id belongs here. */
export function belongsHere(p: usize, n: u32): bool {
  if (partitioner == Partitioner.Murmur2) {
    return (murmur2(p, n) & 0x7fffffff) % partitions == partition;
  }
  if (partitioner == Partitioner.JavaHash) {
    return nonNegative(javaHash(p, n)) % partitions == partition;
  }
  if (partitioner == Partitioner.Consistent) return crc32(p, n) % partitions == partition;
  if (partitioner == Partitioner.Fnv1a) return fnv1a(p, n) % partitions == partition;
  return true;
}

/** MurmurHash2 as in org.apache.kafka.common.utils.Utils.murmur2. */
function murmur2(p: usize, n: u32): u32 {
  const M: u32 = 0x5bd1e995;
  let h: u32 = 0x9747b28c ^ n;
  const end = p + (n & ~3);
  for (; p < end; p += 4) {
    let k = load<u32>(p) * M;
    k ^= k >> 24;
    h = (h * M) ^ (k * M);
  }
  const rest = n & 3;
  if (rest == 3) h ^= <u32> load<u8>(p, 2) << 16;
  if (rest >= 2) h ^= <u32> load<u8>(p, 1) << 8;
  if (rest >= 1) h = (h ^ <u32> load<u8>(p)) * M;
  h = (h ^ (h >> 13)) * M;
  return h ^ (h >> 15);
}

/** java.util.Arrays.hashCode(byte[]). */
function javaHash(p: usize, n: u32): i32 {
  let h: i32 = 1;
  for (let i: u32 = 0; i < n; i++) h = 31 * h + <i32> load<i8>(p + i);
  return h;
}

function nonNegative(h: i32): u32 {
  return h == i32.MIN_VALUE ? 0 : <u32> abs(h);
}

/** CRC-32 (IEEE 802.3). */
function crc32(p: usize, n: u32): u32 {
  let c: u32 = ~0;
  for (let i: u32 = 0; i < n; i++) {
    c = (c >> 8) ^ load<u32>(crcTable + (<usize> ((c ^ <u32> load<u8>(p + i)) & 255) << 2));
  }
  return ~c;
}

/** FNV-1a of 32 bits as a signed number, its absolute value; that of the smallest is 2^31. */
function fnv1a(p: usize, n: u32): u32 {
  let h: u32 = 0x811c9dc5;
  for (let i: u32 = 0; i < n; i++) h = (h ^ <u32> load<u8>(p + i)) * 0x01000193;
  return <i32> h < 0 ? 0 - h : h;
}
