// Ids that are kept as their bytes are found by their places first: what else stands there must not be taken for them.

import { assertEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import { Code } from "../../src/wasm/mod.ts";
import { bytesHash } from "../../tools/kit/floods.ts";
import { FastRandom, seedOfTest } from "../../tools/kit/random.ts";
import { hashOfCore } from "../model/state_hash.ts";
import { contents, Driver, PLAIN } from "./driver.ts";

/** The chance of a core whose secret is known here. */
const KNOWN = () => 0.5;
const KNOWN_SECRET = 0x8000_0000_8000_0000n;

/** Ids that share a segment and, with that secret, a place: found by trying 4,000,000 of each kind. */
const PAIRS = [
  ["018f4c2e-91d3-7a10-8000-0000000108fa", "018f4c2e-91d3-7a10-8000-00000008b406"],
  ["018f4c2e-91d3-7a10-8000-000000032407", "018f4c2e-91d3-7a10-8000-00000010e1d7"],
  ["a-longer-name-of-282584-units", "a-longer-name-of-1809424-units"],
  ["a-longer-name-of-558102-units", "a-longer-name-of-2926892-units"],
] as const;

const u64 = (x: bigint) => BigInt.asUintN(64, x);

function finish(x: bigint): bigint {
  x = u64((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = u64((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

/** The place of an id as wasm/secret.ts has it, with that secret. */
function placeOf(id: string): bigint {
  let stream = KNOWN_SECRET;
  const next = () => {
    stream = u64(stream + 0x9e3779b97f4a7c15n);
    return finish(finish(stream) ^ KNOWN_SECRET);
  };
  const [wordKey, first, second, third] = [next(), next() | 1n, next() | 1n, next() | 1n];
  const bytes = encodeUtf8(id), padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8);
  padded.set(bytes);
  const words = new DataView(padded.buffer);
  let sum = BigInt(bytes.length) * next();
  for (let at = 0; at < padded.length; at += 4) {
    sum = u64(sum + BigInt(words.getUint32(at, true)) * next());
  }
  let h = u64((sum ^ wordKey) * first);
  h ^= h >> 32n;
  h = u64(h * second);
  h ^= h >> 29n;
  return u64(h * third) >> 32n;
}

Deno.test("stored ids with one place in one segment are items of their own", () => {
  for (const [one, other] of PAIRS) {
    assertEquals(bytesHash(one) >> 56n, bytesHash(other) >> 56n);
    assertEquals(placeOf(one), placeOf(other));
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

/** An id of each kind in turn: numbered, with a prefix of its own, short, text, a UUID. */
function idOf(n: number): string {
  const kinds = [
    `item_${n}`,
    `p${n}_${n}`,
    n.toString(36).padStart(5, "x") + "z",
    `shelf ${n} of the house`,
    `018f4c2e-91d3-7a10-8000-${n.toString(16).padStart(12, "0")}`,
  ];
  return kinds[n % kinds.length]!;
}

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
