// What a broker may answer, damaged: compressed batches, and fetched bytes with control batches in them.

import { assert, assertEquals } from "@std/assert";
import { OldFormatError, readFetched } from "../../src/kafka/batches.ts";
import {
  CodecError,
  type CodecName,
  CODECS,
  compressBatch,
  decompressBatch,
} from "../../src/kafka/codecs.ts";
import { BATCH_HEADER_BYTES, batchInfo, crc32c } from "../../src/types/mod.ts";
import { FastRandom, seedOfTest, timesOfTest } from "../../tools/kit/random.ts";
import { plainBatch as good } from "../kafka/plain_batch.ts";

const RUNS = timesOfTest(8000);
const BYTES_MAX = 100_000;

/**
 * The module of snappy and lz4 traps on some of these batches. Each trap costs it some of its stack, so
 * that it is of no use after some thousands; a job stops at the second damaged batch.
 */
const TRAPS_MAX = 500;
const COMPRESSING = Object.keys(CODECS).filter((name) => name !== "none") as CodecName[];

/** The batch with some bytes behind `from` changed, cut, or added; length and CRC are right again. */
function damage(batch: Uint8Array, from: number, random: FastRandom): Uint8Array {
  let bytes = batch.slice();
  for (let n = 1 + random.below(6); n > 0; n--) {
    bytes[from + random.below(bytes.length - from)] = random.below(256);
  }
  const change = random.below(4);
  if (change === 0) bytes = bytes.slice(0, from + random.below(bytes.length - from + 1));
  else if (change === 1) {
    bytes = Uint8Array.from([...bytes, ...batch.subarray(from, from + random.below(60))]);
  }
  const view = new DataView(bytes.buffer);
  view.setInt32(8, bytes.length - 12);
  view.setUint32(17, crc32c(bytes, 21));
  return bytes;
}

Deno.test("a damaged compressed batch gives bytes within the limit, or a CodecError", () => {
  const seed = seedOfTest();
  const random = new FastRandom(seed);
  console.log(`${RUNS} batches of each codec, seed ${seed}`);
  for (const codec of COMPRESSING) {
    const compressed = compressBatch(good, codec);
    assert(compressed.length < good.length, codec);
    let refused = 0;
    let runs = 0;
    let traps = 0;
    for (let run = 0; run < RUNS && traps < TRAPS_MAX; run++) {
      const damaged = damage(compressed, BATCH_HEADER_BYTES, random);
      runs++;
      let trapped = false;
      try {
        const bytes = decompressBatch(damaged, BYTES_MAX);
        assert(bytes.length <= BATCH_HEADER_BYTES + BYTES_MAX);
        assertEquals(batchInfo(bytes).length, bytes.length);
      } catch (error) {
        assert(error instanceof CodecError, `${codec}: ${(error as Error).stack}`);
        refused++;
        trapped = (error as Error).cause instanceof WebAssembly.RuntimeError;
        if (trapped) traps++;
      }
      // Every good batch behind a trap is read.
      if (run % 16 > 0 && !trapped) continue;
      assertEquals(decompressBatch(compressed, BYTES_MAX), good, codec);
    }
    assert(refused > runs / 20, `${codec}: ${refused} of ${runs} refused`);
    console.log(`${codec}: ${refused} of ${runs} refused, ${traps} by traps`);
  }
});

Deno.test("fetched bytes that are damaged give whole batches, or a RangeError", () => {
  const seed = seedOfTest();
  const random = new FastRandom(seed);
  console.log(`${RUNS} answers, seed ${seed}`);
  let read = 0;
  let refused = 0;
  for (let run = 0; run < RUNS; run++) {
    const parts = Array.from({ length: 1 + random.below(4) }, () => {
      const batch = random.oneIn(2) ? good.slice() : damage(good, BATCH_HEADER_BYTES, random);
      const view = new DataView(batch.buffer, batch.byteOffset);
      view.setInt16(21, random.pick([0, 0x10, 0x30, 0x20, view.getInt16(21)]));
      view.setBigInt64(43, BigInt(random.below(3)));
      return [...batch];
    });
    const bytes = Uint8Array.from(parts.flat());
    // Every second answer is damaged within a header.
    for (let n = random.below(2); n > 0; n--) bytes[random.below(21)] = random.below(256);
    const whole = random.oneIn(2) ? bytes : bytes.subarray(0, random.below(bytes.length + 1));
    try {
      for (const batch of readFetched(whole, [{ producerId: 1n, firstOffset: 0 }])) {
        assertEquals(batchInfo(batch.bytes).length, batch.bytes.length);
        read++;
      }
    } catch (error) {
      // A damaged magic may be that of an old format: it is named, and nothing is read.
      const isOld = error instanceof OldFormatError && (error.magic === 0 || error.magic === 1);
      assert(isOld || error instanceof RangeError, (error as Error).stack);
      refused++;
    }
  }
  assert(read > RUNS / 10 && refused > RUNS / 50, `${read} read, ${refused} refused`);
});
