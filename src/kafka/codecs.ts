// The codecs of record batches: 1 gzip, 2 snappy, 3 lz4 (frames), 4 zstd. Java's snappy comes in blocks
// with a header of its library (xerial), other clients' as one block.

import { Buffer } from "node:buffer";
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import {
  lz4Compress,
  lz4Decompress,
  snappyCompress,
  snappyDecompress,
} from "@platformatic/wasm-utils/bundled";
import { isIntact } from "../types/mod.ts";
import { codecOf, recordBytes, withRecords } from "./batches.ts";
import { lz4Length } from "./lz4_length.ts";

export const CODECS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;
export type CodecName = keyof typeof CODECS;

/** A batch that cannot be decompressed, or not within its limit. */
export class CodecError extends Error {
  override readonly name = "CodecError";
}

const XERIAL_MAGIC = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0];
const XERIAL_HEADER_BYTES = 16;
/** No more bytes than that come out of one. */
const LZ4_RATIO_MAX = 255;

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Blocks of snappy, without the frame that Java puts around them. */
function* snappyBlocks(bytes: Uint8Array): Generator<Uint8Array> {
  if (!XERIAL_MAGIC.every((byte, i) => bytes[i] === byte)) return yield bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = XERIAL_HEADER_BYTES; at < bytes.length;) {
    const length = view.getUint32(at);
    yield bytes.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
}

/** What a block of snappy says of its length, in its first varint. */
function snappyLength(block: Uint8Array): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = block[i] ?? 0;
    length += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) break;
  }
  return length;
}

function decompressSnappy(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const blocks = [...snappyBlocks(bytes)];
  const length = blocks.reduce((n, block) => n + snappyLength(block), 0);
  checkLength(length, maxBytes);
  const whole = new Uint8Array(length);
  let at = 0;
  for (const block of blocks) {
    const part = snappyDecompress(asBuffer(block));
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function checkLength(length: number, maxBytes: number): void {
  if (length <= maxBytes) return;
  throw new CodecError(
    `It has at least ${length} bytes decompressed; input.batch.bytes.max is ${maxBytes}`,
  );
}

function decompress(codec: number, bytes: Uint8Array, maxBytes: number): Uint8Array {
  switch (codec) {
    case CODECS.gzip:
      return gunzipSync(bytes, { maxOutputLength: maxBytes });
    case CODECS.snappy:
      return decompressSnappy(bytes, maxBytes);
    case CODECS.lz4:
      // The library unpacks everything, however much that is, and keeps the memory.
      if (bytes.length * LZ4_RATIO_MAX > maxBytes) {
        checkLength(lz4Length(bytes, maxBytes), maxBytes);
      }
      return lz4Decompress(asBuffer(bytes));
    case CODECS.zstd:
      return zstdDecompressSync(bytes, { maxOutputLength: maxBytes });
    default:
      throw new CodecError(`Codec ${codec} is not known`);
  }
}

/**
 * The batch as the core reads it: decompressed.
 *
 * @throws {CodecError} when that is not possible
 */
export function decompressBatch(batch: Uint8Array, maxBytes: number): Uint8Array {
  const codec = codecOf(batch);
  if (codec === CODECS.none) return batch;
  if (!isIntact(batch)) throw new CodecError("Its CRC is wrong");
  let records: Uint8Array;
  try {
    records = decompress(codec, recordBytes(batch), maxBytes);
  } catch (error) {
    if (error instanceof CodecError) throw error;
    throw new CodecError((error as Error).message, { cause: error });
  }
  checkLength(records.length, maxBytes);
  return withRecords(batch, records, CODECS.none);
}

/** The batch with its records compressed; as it is when that makes it no smaller. */
export function compressBatch(batch: Uint8Array, codec: CodecName): Uint8Array {
  const records = recordBytes(batch);
  const compressed = compress(records, codec);
  return compressed.length < records.length ? withRecords(batch, compressed, CODECS[codec]) : batch;
}

function compress(records: Uint8Array, codec: CodecName): Uint8Array {
  switch (codec) {
    case "none":
      return records;
    case "gzip":
      return gzipSync(records, { level: 1 });
    case "snappy":
      return snappyCompress(asBuffer(records));
    case "lz4":
      return lz4Compress(asBuffer(records));
    case "zstd":
      return zstdCompressSync(records);
  }
}
