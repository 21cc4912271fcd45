import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  decodeMetadata,
  encodeMetadata,
  notReadable,
} from "../../../src/kafka/committed_metadata.ts";
import { NO_TIME } from "../../../src/wasm/mod.ts";

const POSITIONS = [
  { offset: 7, start: 0, watermark: NO_TIME, parametersHash: "", secret: null, raisedAt: null },
  {
    offset: 2 ** 52,
    start: 2 ** 51,
    watermark: 1_700_000_000_000n,
    parametersHash: "0123456789abcdef",
    secret: "00112233445566778899aabbccddeeff",
    raisedAt: 2 ** 51 + 7,
  },
  { offset: 7, start: null, watermark: -1n, parametersHash: "ff", secret: null, raisedAt: null },
];

const IDENTITIES = [
  { topicId: null, last: null },
  { topicId: "Zk1-_AAAAAAAAAAAAAAAAA", last: null },
  { topicId: null, last: { baseOffset: 2 ** 52 - 1, crc: 0xab } },
];

Deno.test("committed metadata survives a round trip", () => {
  for (const position of POSITIONS) {
    for (const identity of IDENTITIES) {
      const metadata = encodeMetadata(position, identity);
      assertEquals(decodeMetadata(position.offset, metadata), { position, identity });
    }
  }
});

Deno.test("committed metadata of the first form, which knows no identity of the log, is read", () => {
  assertEquals(decodeMetadata(9, "stockflow1 start=3 watermark=5 fold=ab"), {
    position: {
      offset: 9,
      start: 3,
      watermark: 5n,
      parametersHash: "ab",
      secret: null,
      raisedAt: null,
    },
    identity: { topicId: null, last: null },
  });
  assertEquals(decodeMetadata(9, "stockflow1 start=none watermark=none fold=none")?.position, {
    offset: 9,
    start: null,
    watermark: NO_TIME,
    parametersHash: "",
    secret: null,
    raisedAt: null,
  });
});

Deno.test("an offset of a later version is not taken for one that a tool has set: its remedy removes nothing", () => {
  const later = notReadable("The offset", "stockflow4 start=0 anything");
  assertStringIncludes(later.message, "written by another version of stockflow, as stockflow4");
  assertStringIncludes(later.message, "stockflow1 to stockflow3");
  assertStringIncludes(later.remedy, "start the version that wrote it");
  for (const metadata of ["", "stockflow", "by hand: stockflow3 start=0"]) {
    const foreign = notReadable("The offset", metadata);
    assertStringIncludes(foreign.message, "is not of this job");
    assertStringIncludes(foreign.remedy, "a tool has set it");
  }
});

Deno.test("decodeMetadata refuses what is not ours", () => {
  const others = [
    "",
    "stockflow2 start=0 watermark=none fold=none",
    "stockflow1 start=0 watermark=none fold=none topic=none last=none",
    "stockflow2 start=0 watermark=none fold=none topic=short last=none",
    "stockflow2 start=0 watermark=none fold=none topic=none last=5",
    "stockflow1 start=01",
    "x",
  ];
  for (const metadata of others) assertEquals(decodeMetadata(1, metadata), null);
});
