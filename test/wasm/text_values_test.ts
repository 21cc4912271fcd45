// The core reads text values 16 bytes at a time, from both ends: wherever the fields end, it must read what the codec reads.

import { assert, assertEquals } from "@std/assert";
import {
  codecOf,
  encodeBatch,
  encodeUtf8,
  Format,
  InvalidRecordError,
  type ItemTransaction,
  setBaseOffset,
} from "../../src/types/mod.ts";
import { Code, OUTCOME_INVALID } from "../../src/wasm/mod.ts";
import { Driver, PLAIN } from "./driver.ts";

const codec = codecOf(Format.Text);

/** Values whose fields have many lengths; the longest items do not fit. */
function* plainValues(): Generator<string> {
  const digits = (n: number) => "9182736450918273645".slice(0, n);
  const others = [
    ["1", "1", "1"],
    ["-12", "", "-7"],
    ["9223372036854775807", "1700000000000", "2147483647"],
    ["-9223372036854775808", "170000000000000", "-2147483648"],
    ["9223372036854775808", "1700000000000", "2147483648"],
    ["", "0", "0"],
  ] as const;
  const lengths = [...Array.from({ length: 100 }, (_, n) => n), 247, 248, 249, 250, 251];
  for (const length of lengths) {
    for (const [id, ts, quantity] of others) {
      yield [id, ts, "item of the house, on the shelf ".repeat(8).slice(0, length), quantity]
        .join("\t");
    }
  }
  for (let n = 1; n <= 20; n++) {
    yield `${digits(n)}\t${digits(Math.min(n, 16))}\titem_${digits(n)}\t${digits(n)}`;
    yield `-${digits(n)}\t1\titem_${digits(n)}\t-${digits(n)}`;
    yield `${n}\t${digits(n)}\titem_${n}\t${n}`;
    yield `${n}\t${"1234567890".repeat(2).slice(0, n)}\titem_${n}\t${n}`;
  }
}

/** Each of some values with each of its bytes replaced, one left out, and one more between any two. */
function* changedValues(): Generator<Uint8Array> {
  const bases = [
    "1\t2\tcup\t4",
    "-1234567890123456789\t1700000000000\titem_123456\t-2500",
    "1234567890123456789\t1700000000000\t0f8fad5b-d9cd-469f-a165-70867728950e\t1234567890",
    "12345678\t1700000000000\tan item whose name ends behind the first 64 bytes\t12",
  ];
  const bytes = [9, 45, 48, 57, 97, 32, 1, 127, 195, 255];
  for (const base of bases.map((text) => encodeUtf8(text))) {
    for (let at = 0; at <= base.length; at++) {
      yield new Uint8Array([...base.subarray(0, at), ...base.subarray(at + 1)]);
      for (const byte of bytes) {
        yield new Uint8Array([...base.subarray(0, at), byte, ...base.subarray(at + 1)]);
        yield new Uint8Array([...base.subarray(0, at), byte, ...base.subarray(at)]);
      }
    }
  }
}

function read(value: Uint8Array): ItemTransaction | number {
  try {
    return codec.parseTransactionBytes(value);
  } catch (error) {
    if (error instanceof InvalidRecordError) return error.reason;
    throw error;
  }
}

Deno.test("the core reads text values as the codec does, wherever their fields end", () => {
  const values = [...[...plainValues()].map((text) => encodeUtf8(text)), ...changedValues()];
  const driver = new Driver(PLAIN);
  for (let at = 0; at < values.length; at += 500) {
    const batch = encodeBatch(
      values.slice(at, at + 500).map((value) => ({ timestamp: 0, key: null, value })),
    );
    setBaseOffset(batch, at);
    assertEquals(driver.fold(batch, { outcomes: true }), Code.Done);
  }
  const results = driver.results.values(), stock = new Map<string, bigint>();
  let valid = 0;
  values.forEach((value, i) => {
    const expected = read(value), outcome = driver.outcomes[i]!;
    const text = new TextDecoder().decode(value);
    if (typeof expected === "number") {
      assertEquals(outcome, OUTCOME_INVALID | expected, text);
      return;
    }
    valid++;
    const after = (stock.get(expected.itemId) ?? 0n) + BigInt(expected.quantity);
    if (after >= 0n) stock.set(expected.itemId, after);
    assertEquals(outcome, after >= 0n ? 1 : 0, text);
    const { value: result } = results.next();
    assertEquals([result!.key, result!.value.split("\t").slice(0, 4)], [
      expected.itemId,
      text.split("\t"),
    ]);
  });
  const ids = [...stock.keys()];
  assertEquals(
    driver.core.lookUp(ids.map((id) => encodeUtf8(id))),
    ids.map((id) => stock.get(id)!),
  );
  assert(valid > 1000 && values.length - valid > 1000, `${valid} of ${values.length} are valid`);
});
