// The index of a checkpoint: which chunks make up each segment. Binary, little endian:
//   per segment that was ever written: number u8 (there are 256), format u8, chunks u16, length u32, compressed length u32,
//   SHA-256 of the encoded segment, then SHA-256 of each chunk. Chunks hold the segment in a frame of zstd.
//
// The format is that of the encoding (wasm/checkpoint.ts). A checkpoint may refer to segments of several: one
// that did not change keeps the format that it was written in. 0 is format 1, as it was written before formats were.

import { KV_VALUE_BYTES_MAX } from "../kv/mod.ts";
import { SEGMENT_FORMAT } from "../wasm/mod.ts";
import { DamagedCheckpointError } from "./manifest.ts";

const HASH_BYTES = 32;

/**
 * An encoded segment has fewer bytes: to restore it, a core reserves eight times as many, and has 4 GiB. It is
 * looked at before a segment is unpacked, for a few kilobytes can be unpacked to gigabytes.
 */
export const SEGMENT_BYTES_MAX = 2 ** 29;
const FIXED_BYTES = 12 + HASH_BYTES;

export interface SegmentEntry {
  /** Of the encoding, from 1. */
  readonly format: number;
  /** Length of the encoded segment. */
  readonly length: number;
  /** Length of all its chunks. */
  readonly stored: number;
  /** SHA-256 of the encoded segment, hexadecimal. */
  readonly hash: string;
  /** SHA-256 of its chunks, hexadecimal. */
  readonly chunks: readonly string[];
}

export type SegmentIndex = ReadonlyMap<number, SegmentEntry>;

/** No items, no numbered ones, no windows: see the format in wasm/checkpoint.ts. */
export function isEmptySegment(bytes: Uint8Array): boolean {
  return bytes.length === 3 && bytes.every((byte) => byte === 0);
}

/** The chunks of all segments. */
export function chunksOf(index: SegmentIndex): string[] {
  return [...index.values()].flatMap((entry) => entry.chunks);
}

export function encodeIndex(index: SegmentIndex): Uint8Array {
  let length = 0;
  for (const { chunks } of index.values()) length += FIXED_BYTES + HASH_BYTES * chunks.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [segment, entry] of [...index].toSorted(([a], [b]) => a - b)) {
    bytes[at] = segment;
    bytes[at + 1] = entry.format;
    view.setUint16(at + 2, entry.chunks.length, true);
    view.setUint32(at + 4, entry.length, true);
    view.setUint32(at + 8, entry.stored, true);
    at += 12;
    for (const hash of [entry.hash, ...entry.chunks]) {
      bytes.set(Uint8Array.fromHex(hash), at);
      at += HASH_BYTES;
    }
  }
  return bytes;
}

/** @throws {DamagedCheckpointError} when the bytes do not follow the format */
export function decodeIndex(bytes: Uint8Array): Map<number, SegmentEntry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const index = new Map<number, SegmentEntry>();
  let at = 0;
  const hash = () => bytes.subarray(at, at += HASH_BYTES).toHex();
  while (at < bytes.length) {
    if (bytes.length - at < FIXED_BYTES) throw new DamagedCheckpointError("The index is cut");
    const segment = bytes[at]!;
    const format = bytes[at + 1]! || 1;
    const count = view.getUint16(at + 2, true);
    const length = view.getUint32(at + 4, true);
    const stored = view.getUint32(at + 8, true);
    at += 12;
    if (bytes.length - at < HASH_BYTES * (count + 1)) {
      throw new DamagedCheckpointError("The index is cut");
    }
    if (format > SEGMENT_FORMAT) {
      throw new DamagedCheckpointError(
        `Segment ${segment} is of format ${format}; this program reads formats up to ${SEGMENT_FORMAT}`,
      );
    }
    if (index.has(segment)) {
      throw new DamagedCheckpointError(`The index has segment ${segment} twice`);
    }
    if (length > SEGMENT_BYTES_MAX) {
      throw new DamagedCheckpointError(
        `Segment ${segment} has ${length} bytes; at most ${SEGMENT_BYTES_MAX} can be restored`,
      );
    }
    if (count === 0 || stored > count * KV_VALUE_BYTES_MAX) {
      throw new DamagedCheckpointError(`Segment ${segment} has ${stored} bytes in ${count} chunks`);
    }
    const own = hash();
    const chunks = Array.from({ length: count }, hash);
    index.set(segment, { format, length, stored, hash: own, chunks });
  }
  return index;
}
