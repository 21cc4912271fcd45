import { assertEquals } from "@std/assert";
import { decodeMetadata, encodeMetadata } from "../../../src/kafka/committed_metadata.ts";
import { NO_TIME } from "../../../src/wasm/mod.ts";

Deno.test("committed metadata survives a round trip", () => {
  for (
    const position of [
      { offset: 7, start: 0, watermark: NO_TIME, parameters: "" },
      {
        offset: 2 ** 52,
        start: 2 ** 51,
        watermark: 1_700_000_000_000n,
        parameters: "0123456789abcdef",
      },
      { offset: 7, start: null, watermark: -1n, parameters: "ff" },
    ]
  ) assertEquals(decodeMetadata(position.offset, encodeMetadata(position)), position);
});

Deno.test("decodeMetadata refuses what is not ours", () => {
  const others = ["", "stockflow2 start=0 watermark=none fold=none", "stockflow1 start=01", "x"];
  for (const metadata of others) assertEquals(decodeMetadata(1, metadata), null);
});
