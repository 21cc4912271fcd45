import { crc32 } from "node:zlib";
import { Partitioner } from "../../wasm/contract.ts";

export { Partitioner };

/** Partitioners by their names in parameters. */
export const PARTITIONERS = {
  "none": Partitioner.None,
  "murmur2": Partitioner.Murmur2,
  "java-hash": Partitioner.JavaHash,
  "consistent": Partitioner.Consistent,
  "fnv1a": Partitioner.Fnv1a,
} as const;

/** A partitioner that assigns partitions, by its name in parameters. */
export type PartitionerName = Exclude<keyof typeof PARTITIONERS, "none">;

/**
 * MurmurHash2 with Kafka's seed (org.apache.kafka.common.utils.Utils.murmur2).
 *
 * @returns the hash as a signed 32-bit integer
 */
export function murmur2(bytes: Uint8Array): number {
  const m = 0x5bd1e995;
  const n = bytes.length;
  let h = 0x9747b28c ^ n;
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    let k = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    k = Math.imul(k, m);
    k = Math.imul(k ^ (k >>> 24), m);
    h = Math.imul(h, m) ^ k;
  }
  const rest = n & 3;
  if (rest === 3) h ^= bytes[i + 2]! << 16;
  if (rest >= 2) h ^= bytes[i + 1]! << 8;
  if (rest >= 1) h = Math.imul(h ^ bytes[i]!, m);
  h = Math.imul(h ^ (h >>> 13), m);
  return h ^ (h >>> 15);
}

/** java.util.Arrays.hashCode(byte[]), as a signed 32-bit integer. */
export function javaArraysHashCode(bytes: Uint8Array): number {
  let h = 1;
  for (const byte of bytes) h = (Math.imul(31, h) + ((byte << 24) >> 24)) | 0;
  return h;
}

/** FNV-1a of 32 bits (draft-eastlake-fnv), as a signed 32-bit integer; Sarama's default takes it. */
export function fnv1a(bytes: Uint8Array): number {
  let h = 0x811c9dc5;
  for (const byte of bytes) h = Math.imul(h ^ byte, 0x01000193);
  return h | 0;
}

/**
 * The partition of a key.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const key = new TextEncoder().encode("item_2");
 * assertEquals(partitionOf(Partitioner.Murmur2, key, 16), 14);
 * ```
 *
 * @throws {RangeError} for Partitioner.None, which assigns no partition
 */
export function partitionOf(kind: Partitioner, key: Uint8Array, partitions: number): number {
  switch (kind) {
    case Partitioner.Murmur2:
      return (murmur2(key) & 0x7fffffff) % partitions;
    case Partitioner.JavaHash: {
      const h = javaArraysHashCode(key);
      return (h === -(2 ** 31) ? 0 : Math.abs(h)) % partitions;
    }
    case Partitioner.Consistent:
      // CRC-32 of IEEE 802.3, as librdkafka takes it.
      return crc32(key) % partitions;
    case Partitioner.Fnv1a:
      return Math.abs(fnv1a(key)) % partitions;
    default:
      throw new RangeError(`No partition is assigned by partitioner ${kind}`);
  }
}
