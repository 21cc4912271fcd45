import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  batchInfo,
  decodeBatch,
  encodeBatch,
  encodeUtf8,
  isIntact,
  type NewRecord,
  setBaseOffset,
} from "../../src/types/mod.ts";
import { seedOfTest } from "../../tools/kit/random.ts";

const field = fc.option(fc.uint8Array({ maxLength: 200 }).map((b) => Uint8Array.from(b)));
const record: fc.Arbitrary<NewRecord> = fc.record({
  timestamp: fc.oneof(fc.maxSafeNat(), fc.constant(-1), fc.constant(2 ** 53 - 1)),
  key: field,
  value: field,
  headers: fc.array(
    fc.record({ key: fc.string({ unit: "grapheme" }), value: field }, { noNullPrototype: true }),
    {
      maxLength: 3,
    },
  ),
});

Deno.test("decodeBatch reads what encodeBatch wrote", () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 100 }),
      fc.maxSafeNat(),
      (records, base) => {
        fc.pre(Number.isSafeInteger(base + records.length));
        const batch = encodeBatch(records);
        setBaseOffset(batch, base);
        assert(isIntact(batch));
        assertEquals(
          decodeBatch(batch),
          records.map((r, i) => ({ ...r, headers: r.headers!, offset: base + i })),
        );
        const info = batchInfo(batch);
        assertEquals(info.baseOffset, base);
        assertEquals(info.lastOffset, base + records.length - 1);
        assertEquals(info.records, records.length);
        assertEquals(info.maxTimestamp, Math.max(...records.map((r) => r.timestamp)));
        assertEquals(info.length, batch.length);
      },
    ),
    { seed: seedOfTest() | 0 },
  );
});

Deno.test("isIntact is false after any change behind the CRC", () => {
  const batch = encodeBatch([{ timestamp: 5, key: null, value: encodeUtf8("value") }]);
  for (let i = 21; i < batch.length; i++) {
    batch[i]! ^= 4;
    assert(!isIntact(batch), `byte ${i}`);
    batch[i]! ^= 4;
  }
});

Deno.test("decodeBatch refuses what is not such a batch", () => {
  const batch = encodeBatch([{ timestamp: 5, key: encodeUtf8("key"), value: encodeUtf8("value") }]);
  const at = (change: (v: DataView) => void): Uint8Array => {
    const copy = batch.slice();
    change(new DataView(copy.buffer));
    return copy;
  };
  assertThrows(() => decodeBatch(batch.slice(0, 20)), RangeError, "at least 61 bytes: 20");
  assertThrows(() => decodeBatch(at((v) => v.setInt8(16, 1))), RangeError, "magic 2: 1");
  assertThrows(() => decodeBatch(at((v) => v.setInt16(21, 4))), RangeError, "attributes 4");
  assertThrows(() => decodeBatch(at((v) => v.setInt8(61, 126))), RangeError, "does not fit");
  assertThrows(() => decodeBatch(at((v) => v.setInt8(65, 126))), RangeError, "does not fit");
});
