import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { compress, decompress } from "../../src/state/compression.ts";
import { DamagedCheckpointError } from "../../src/state/mod.ts";
import { noise } from "./state_fixture.ts";

const LENGTHS = [1, 3, 4, 31, 32, 127, 128, 129, 255, 256, 5000];

Deno.test("compression: any zstd reads what it writes, few bytes or many", () => {
  for (const length of LENGTHS) {
    const bytes = noise(length, length);
    const frame = compress(bytes);
    assertEquals(new Uint8Array(zstdDecompressSync(frame)), bytes, `${length} bytes`);
    assertEquals(decompress(frame, length), bytes, `${length} bytes`);
  }
});

Deno.test("compression: it reads what any zstd writes", () => {
  for (const length of LENGTHS) {
    for (const level of [1, 19]) {
      const bytes = noise(length, length);
      // Without that the highest level sets up 100 MB for a few bytes.
      const window = length > 1000 ? {} : { [constants.ZSTD_c_windowLog]: 17 };
      const params = { [constants.ZSTD_c_compressionLevel]: level, ...window };
      assertEquals(decompress(zstdCompressSync(bytes, { params }), length), bytes);
    }
  }
});

/** Null = damaged; any other error is thrown. */
function attempt(frame: Uint8Array, length: number): Uint8Array | null {
  try {
    return decompress(frame, length);
  } catch (error) {
    if (error instanceof DamagedCheckpointError) return null;
    throw error;
  }
}

Deno.test("compression: a frame that is cut or altered never gives its bytes, nor too many", () => {
  for (const length of LENGTHS) {
    const bytes = noise(length, length);
    const frame = compress(bytes);
    if (length > 1) assertEquals(attempt(frame, length - 1), null, `${length} bytes`);
    for (let cut = 0; cut < frame.length; cut += 1 + Math.floor(cut / 40)) {
      assertNotEquals(attempt(frame.subarray(0, cut), length), bytes, `${length} bytes, ${cut}`);
    }
    for (let at = 0; at < 20 && at < frame.length; at++) {
      const altered = frame.slice();
      altered[at]! ^= 0x10;
      const found = attempt(altered, length);
      assert(found === null || found.length <= length, `${length} bytes, altered at ${at}`);
    }
  }
});
