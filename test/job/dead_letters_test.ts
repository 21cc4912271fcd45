import { assert, assertEquals } from "@std/assert";
import { DEAD_LETTER_HEADERS, deadLetterOf } from "../../src/job/worker/dead_letters.ts";
import { decodeUtf8, encodeUtf8, Reason, recordBytesMax } from "../../src/types/mod.ts";

const FACTS = { reason: Reason.Malformed, offset: 7n, timestamp: 99n };
const SOURCE = { topic: "transactions", partition: 3 };
const bytes = (n: number) => new Uint8Array(n).fill(65);

Deno.test("a dead letter keeps key, value and headers, and tells where it comes from", () => {
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

Deno.test("a dead letter that is too large is cut to fit, with its length in a header", () => {
  for (
    const [key, value, foreign] of [[0, 5000, 0], [4000, 5000, 0], [10, 10, 5000], [
      0,
      999,
      0,
    ]] as const
  ) {
    const headers = [{ key: "foreign", value: bytes(foreign) }];
    const record = { key: key ? bytes(key) : null, value: bytes(value), headers };
    const letter = deadLetterOf(record, FACTS, SOURCE, 1200);
    assert(recordBytesMax(letter) <= 1200, `${key} ${value} ${foreign}`);
    const length = letter.headers!.find((h) => h.key === DEAD_LETTER_HEADERS.originalLength);
    assertEquals(decodeUtf8(length!.value!), String(value));
    assert(letter.value!.length > 0 || key > 1000);
  }
});
