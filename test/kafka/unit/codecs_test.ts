// Decompression stays within its limit, and a batch that breaks it does no harm to the next one.

import { assertEquals, assertThrows } from "@std/assert";
import { recordBytes, withRecords } from "../../../src/kafka/batches.ts";
import {
  CodecError,
  type CodecName,
  CODECS,
  compressBatch,
  decompressBatch,
} from "../../../src/kafka/codecs.ts";
import { crc32c, encodeBatch, encodeUtf8 } from "../../../src/types/mod.ts";
import { plainBatch as good } from "../plain_batch.ts";

const BYTES_MAX = 100_000;
const LZ4_FRAME = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];
const LZ4_BLOCK_MAX = 4 * 1024 * 1024;

/** A frame of lz4 that holds so many blocks of 4 MiB of zeros each. */
function lz4Zeros(blocks: number): Uint8Array {
  // One literal, a match of it that goes on and on, and five literals at the end.
  const matched = LZ4_BLOCK_MAX - 1 - 5 - 4 - 15;
  const block = new Uint8Array(4 + Math.floor(matched / 255) + 1 + 6);
  block.set([0x1f, 0, 1, 0]);
  block.fill(255, 4, 4 + Math.floor(matched / 255));
  block[4 + Math.floor(matched / 255)] = matched % 255;
  block[block.length - 6] = 0x50;
  const frame = new Uint8Array(LZ4_FRAME.length + blocks * (4 + block.length) + 4);
  frame.set(LZ4_FRAME);
  const view = new DataView(frame.buffer);
  for (let n = 0, at = LZ4_FRAME.length; n < blocks; n++, at += 4 + block.length) {
    view.setUint32(at, block.length, true);
    frame.set(block, at + 4);
  }
  return frame;
}

Deno.test("lz4: blocks of several kinds and sizes are decompressed, up to the limit exactly", () => {
  const zeros = withRecords(good, lz4Zeros(2), CODECS.lz4);
  const bytes = recordBytes(decompressBatch(zeros, 2 * LZ4_BLOCK_MAX));
  assertEquals(bytes.length, 2 * LZ4_BLOCK_MAX);
  assertEquals(bytes.findIndex((byte) => byte !== 0), -1);
  assertThrows(
    () => decompressBatch(zeros, 2 * LZ4_BLOCK_MAX - 1),
    CodecError,
    "input.batch.bytes.max",
  );
  // Bytes of chance are kept as they are, those of repetitions are not.
  for (const length of [0, 1, 12, 100, 70_000, 300_000]) {
    const value = new Uint8Array(length);
    for (let at = 0; at < length / 2; at += 65_536) {
      crypto.getRandomValues(value.subarray(at, Math.min(at + 65_536, length >> 1)));
    }
    const batch = encodeBatch([
      { timestamp: 1, key: null, value },
      ...Array(30).fill({
        timestamp: 2,
        key: null,
        value: encodeUtf8("the same again and again"),
      }),
    ]);
    const compressed = compressBatch(batch, "lz4");
    const records = recordBytes(batch);
    assertEquals(decompressBatch(compressed, records.length), batch);
    assertThrows(() => decompressBatch(compressed, records.length - 1), CodecError);
  }
});

Deno.test("lz4: what would not fit into memory is refused by its length", () => {
  const huge = withRecords(good, lz4Zeros(1100), CODECS.lz4);
  assertThrows(() => decompressBatch(huge, BYTES_MAX), CodecError, "input.batch.bytes.max");
  assertEquals(decompressBatch(compressBatch(good, "lz4"), BYTES_MAX), good);
});

for (const codec of ["snappy", "lz4"] as CodecName[]) {
  Deno.test(`${codec}: after batches that are damaged the next good one is decompressed`, () => {
    const compressed = compressBatch(good, codec);
    let refused = 0;
    for (let at = 61; at < compressed.length; at++) {
      const damaged = compressed.slice();
      damaged[at]! ^= 0xff;
      new DataView(damaged.buffer).setUint32(17, crc32c(damaged, 21));
      try {
        decompressBatch(damaged, BYTES_MAX);
      } catch (error) {
        assertEquals((error as Error).name, "CodecError");
        refused++;
      }
      assertEquals(decompressBatch(compressed, BYTES_MAX), good, `after a damage at ${at}`);
    }
    assertEquals(refused > 10, true, `${refused} were refused`);
  });
}
