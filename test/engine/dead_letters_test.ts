import { assert, assertEquals } from "@std/assert";
import {
  DEAD_LETTER_HEADERS,
  deadLetterOf,
  ORIGINAL_HEADERS,
} from "../../src/engine/dead_letters.ts";
import {
  decodeUtf8,
  encodeUtf8,
  type NewRecord,
  Reason,
  recordBytes,
} from "../../src/types/mod.ts";

const FACTS = { reason: Reason.Malformed, offset: 7n, timestamp: 99n };
const SOURCE = { topic: "transactions", partition: 3 };
const bytes = (n: number) => new Uint8Array(n).fill(65);

Deno.test("a dead letter keeps key, value and headers, and says where it comes from", () => {
  const headers = [{ key: "a", value: null }, { key: "a", value: encodeUtf8("b") }];
  const letter = deadLetterOf({ key: bytes(3), value: null, headers }, FACTS, SOURCE, 1000);
  assertEquals(letter.key, bytes(3));
  assertEquals(letter.value, null);
  assertEquals(letter.timestamp, 99);
  assertEquals(letter.headers!.slice(0, 2), headers);
  assertEquals(letter.headers!.slice(2).map((h) => [h.key, decodeUtf8(h.value!)]), [
    ["stockflow.topic", "transactions"],
    ["stockflow.partition", "3"],
    ["stockflow.offset", "7"],
    ["stockflow.timestamp", "99"],
    ["stockflow.reason", "malformed"],
  ]);
});

/** Headers by name, the last one of a name, without those of provenance. */
function marksOf(letter: NewRecord): Record<string, string> {
  const marks = letter.headers!.filter((h) => h.key.startsWith("stockflow.original."));
  return Object.fromEntries(marks.map((h) => [h.key, decodeUtf8(h.value!)!]));
}

Deno.test("a dead letter that is too large is cut to fit, every cut named by a header, and nothing else", () => {
  const { length, keyLength, headers: count } = ORIGINAL_HEADERS;
  for (
    const [key, value, foreign, expected] of [
      [0, 5000, 0, { [length]: "5000" }],
      [4000, 5000, 0, { [length]: "5000", [keyLength]: "4000" }],
      [10, 10, 5000, { [count]: "2" }],
      [10, 5000, 5000, { [length]: "5000", [count]: "2" }],
      [0, 999, 100, { [length]: "999" }],
    ] as const
  ) {
    const headers = [{ key: "foreign", value: bytes(foreign) }, { key: "b", value: bytes(1) }];
    const record = { key: key ? bytes(key) : null, value: bytes(value), headers };
    const letter = deadLetterOf(record, FACTS, SOURCE, 1200);
    const what = `${key} ${value} ${foreign}`;
    assert(recordBytes(letter) <= 1200, what);
    assertEquals(marksOf(letter), expected, what);
    assertEquals(letter.value!.length === value, !(length in expected), what);
    assertEquals(letter.key?.length ?? 0, keyLength in expected ? letter.key!.length : key, what);
    assert(letter.headers!.some((h) => h.key === "b"), what); // a large one does not push a small one out
    assertEquals(letter.headers!.some((h) => h.key === "foreign"), !(count in expected), what);
  }
});

Deno.test("a dead letter fills what its topic takes to within a few bytes", () => {
  for (let limit = 600; limit < 700; limit++) {
    const record = { key: bytes(9), value: bytes(5000), headers: [] };
    const size = recordBytes(deadLetterOf(record, FACTS, SOURCE, limit));
    assert(size <= limit && size > limit - 100, `${size} of ${limit}`);
  }
  const value = bytes(300);
  const whole = deadLetterOf({ key: null, value, headers: [] }, FACTS, SOURCE, 10_000);
  assertEquals(
    deadLetterOf({ key: null, value, headers: [] }, FACTS, SOURCE, recordBytes(whole)),
    whole,
  );
});

Deno.test("a dead letter that was one before keeps its earlier provenance as far as it fits, and its own", () => {
  const first = deadLetterOf({ key: null, value: bytes(3), headers: [] }, FACTS, SOURCE, 1000);
  const record = { key: null, value: bytes(2000), headers: first.headers! };
  const again = deadLetterOf(record, { ...FACTS, offset: 8n }, SOURCE, 500);
  const offsets = again.headers!.filter((h) => h.key === DEAD_LETTER_HEADERS.offset);
  assertEquals(offsets.map((h) => decodeUtf8(h.value!)).at(-1), "8");
  assertEquals(marksOf(again)[ORIGINAL_HEADERS.length], "2000");
});
