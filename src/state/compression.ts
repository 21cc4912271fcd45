// Compression of segments: zstd frames, as any zstd reads them.

import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdDecompress, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { DamagedCheckpointError, sha256 } from "./manifest.ts";

const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/**
 * Segments up to so many bytes are stored as they are, in a frame of one raw block: to set zstd up takes
 * some 20 us for each call, and it gains next to nothing on so few bytes.
 */
const RAW_BYTES_MAX = 128;

// RFC 8878: magic, descriptor (a single segment, its size in one byte), size, header of the block.
const MAGIC = 0xfd2fb528;
const SINGLE_SEGMENT = 0x20;
const LAST_RAW_BLOCK = 1;
const RAW_HEADER_BYTES = 9;

/** Whether this thread has done it. */
let isWarm = false;

/** Has zstd and SHA-256 set themselves up, which would take the first piece of a checkpoint milliseconds. */
export function warmUpCompression(): void {
  if (isWarm) return;
  isWarm = true;
  for (const length of [1, 20_000]) sha256(zstdCompressSync(new Uint8Array(length).fill(7), ZSTD));
}

/** A zstd frame of the bytes. */
export function compress(bytes: Uint8Array): Uint8Array {
  return bytes.length <= RAW_BYTES_MAX ? rawFrame(bytes) : zstdCompressSync(bytes, ZSTD);
}

/**
 * The bytes of a zstd frame; at most `length` of them.
 *
 * @throws {DamagedCheckpointError} when it is not such a frame
 */
export function decompress(frame: Uint8Array, length: number): Uint8Array {
  if (isRawFrame(frame) && frame.length - RAW_HEADER_BYTES <= length) {
    return frame.subarray(RAW_HEADER_BYTES);
  }
  try {
    const bytes = zstdDecompressSync(frame, { maxOutputLength: Math.max(1, length) });
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } catch (error) {
    throw new DamagedCheckpointError(
      `A segment cannot be decompressed: ${(error as Error).message}`,
    );
  }
}

/**
 * SHA-256 of what chunks of a zstd frame are unpacked to, which is never held as a whole; null when it is not a frame
 * of exactly so many bytes.
 */
export async function unpackedHash(
  chunks: readonly Uint8Array[],
  length: number,
): Promise<string | null> {
  const unpacking = createZstdDecompress();
  const feeding = pipeline(Readable.from(chunks), unpacking).catch(() => {});
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    for await (const part of unpacking) {
      bytes += part.length;
      if (bytes > length) return null;
      hash.update(part);
    }
    await feeding;
  } catch {
    return null; // not zstd
  } finally {
    unpacking.destroy();
  }
  return bytes === length ? hash.digest("hex") : null;
}

function rawFrame(bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(RAW_HEADER_BYTES + bytes.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, SINGLE_SEGMENT);
  view.setUint8(5, bytes.length);
  view.setUint16(6, bytes.length << 3 | LAST_RAW_BLOCK, true);
  frame.set(bytes, RAW_HEADER_BYTES);
  return frame;
}

/** Whether a frame is one that rawFrame made. */
function isRawFrame(frame: Uint8Array): boolean {
  const length = frame.length - RAW_HEADER_BYTES;
  if (length < 0 || length > RAW_BYTES_MAX) return false;
  const view = new DataView(frame.buffer, frame.byteOffset, RAW_HEADER_BYTES);
  return view.getUint32(0, true) === MAGIC && view.getUint8(4) === SINGLE_SEGMENT &&
    view.getUint8(5) === length && view.getUint8(8) === 0 &&
    view.getUint16(6, true) === (length << 3 | LAST_RAW_BLOCK);
}
