// Ids that are kept as their bytes are found by their places first: what else stands there must not be taken for them.

import { assertEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import { Code } from "../../src/wasm/mod.ts";
import { FastRandom, seedOfTest } from "../../tools/kit/random.ts";
import { hashOfCore } from "../model/state_hash.ts";
import { contents, Driver, PLAIN } from "./driver.ts";
import { homeLine, idOf, idsIn, KNOWN, NUMBERED, TEXT } from "./ids.ts";

/** Ids that share a segment and, with that secret, a place: found by trying 4,000,000 of each kind. */
const PAIRS = [
  ["018f4c2e-91d3-7a10-8000-0000000108fa", "018f4c2e-91d3-7a10-8000-00000008b406"],
  ["018f4c2e-91d3-7a10-8000-000000032407", "018f4c2e-91d3-7a10-8000-00000010e1d7"],
  ["a-longer-name-of-282584-units", "a-longer-name-of-1809424-units"],
  ["a-longer-name-of-558102-units", "a-longer-name-of-2926892-units"],
] as const;

/** Folds transactions given as [item, quantity], all of which are accepted. */
function fold(driver: Driver, rows: readonly (readonly [string, number])[]): void {
  const batch = encodeBatch(rows.map(([id, quantity]) => ({
    timestamp: 0,
    key: null,
    value: encodeUtf8(`1\t0\t${id}\t${quantity}`),
  })));
  setBaseOffset(batch, Number(driver.core.position));
  assertEquals(driver.fold(batch), Code.Done);
}

Deno.test("stored ids with one place in one segment are items of their own", () => {
  for (const [one, other] of PAIRS) {
    assertEquals(TEXT.segmentOf(one), TEXT.segmentOf(other));
    assertEquals(TEXT.placeOf(one), TEXT.placeOf(other));
  }
  const driver = new Driver(PLAIN, KNOWN);
  const ids = PAIRS.flat(), expected = new Map<string, bigint>();
  // Each is first once, in a block of new items, of known ones, and of both.
  for (const block of [ids.slice(0, 3), ids, ids.toReversed(), [...ids, ...ids]]) {
    const batch = encodeBatch(block.map((id, i) => {
      expected.set(id, (expected.get(id) ?? 0n) + BigInt(i + 1));
      return { timestamp: 0, key: null, value: encodeUtf8(`1\t0\t${id}\t${i + 1}`) };
    }));
    setBaseOffset(batch, Number(driver.core.position));
    assertEquals(driver.fold(batch), Code.Done);
    const known = [...expected.keys()];
    assertEquals(
      driver.core.lookUp(known.map((id) => encodeUtf8(id))),
      known.map((id) => expected.get(id)!),
    );
  }
  assertEquals(driver.results.length, 3 + 8 + 8 + 16);
  const segments = driver.checkpoint();
  assertEquals(contents(segments).stock, expected);
  const restored = Driver.restore(PLAIN, segments, driver.core.state);
  assertEquals(hashOfCore(restored.core), hashOfCore(driver.core));
});

/** A core in which an item, the only one, has the largest stock. */
function coreWithFull(item: string): Driver {
  const one = new Driver(PLAIN, KNOWN);
  fold(one, [[item, 1]]);
  const [[segment, bytes]] = [...one.checkpoint()] as [[number, Uint8Array]];
  // At its end: the stock and one more, and the number of windows.
  assertEquals([...bytes.slice(-2)], [2, 0]);
  const largest = [...Array.from({ length: 9 }, () => 0x80), 1];
  const full = Uint8Array.from([...bytes.slice(0, -2), ...largest, 0]);
  return Driver.restore(PLAIN, new Map([[segment, full]]), one.core.state, KNOWN);
}

Deno.test("stored ids with one place behind another item in its line are found, whatever that one's stock is", () => {
  for (const [one, other] of PAIRS) {
    const line = homeLine(TEXT.placeOf(one), 8);
    const isThere = (place: bigint) => homeLine(place, 8) === line;
    const [first] = idsIn(NUMBERED, TEXT.segmentOf(one), 1, isThere) as [string];
    const driver = coreWithFull(first);
    fold(driver, [[one, 1], [other, 10]]);
    fold(driver, [[one, 2], [other, 20]]);
    fold(driver, [[other, 30], [first, -7], [one, 3]]);
    assertEquals(
      driver.core.lookUp([first, one, other].map((id) => encodeUtf8(id))),
      [2n ** 63n - 8n, 6n, 60n],
    );
  }
});

Deno.test("blocks that mix all kinds of ids book each on its item, with a full dictionary of prefixes, too", () => {
  const random = new FastRandom(seedOfTest());
  const driver = new Driver(PLAIN);
  const expected = new Map<string, bigint>();
  for (let items = 1000; items <= 70_000; items += 1500) {
    const batch = encodeBatch(Array.from({ length: 1500 }, () => {
      const id = idOf(random.below(items)), quantity = 1 + random.below(1000);
      expected.set(id, (expected.get(id) ?? 0n) + BigInt(quantity));
      return { timestamp: 0, key: null, value: encodeUtf8(`1\t0\t${id}\t${quantity}`) };
    }));
    setBaseOffset(batch, Number(driver.core.position));
    assertEquals(driver.fold(batch), Code.Done);
  }
  assertEquals(driver.core.state.items, BigInt(expected.size));
  assertEquals(contents(driver.checkpoint()).stock, expected);
  const known = [...expected.keys()];
  assertEquals(
    driver.core.lookUp(known.map((id) => encodeUtf8(id))),
    known.map((id) => expected.get(id)!),
  );
  // Those of others are stored as text.
  assertEquals(driver.core.info.prefixes, 4095);
});
