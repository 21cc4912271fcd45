// Item ids that are UUIDs: canonical ones are kept as 16 bytes, and nobody outside of the core may see it.

import { assert, assertEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import { Code, type Core } from "../../src/wasm/mod.ts";
import { Random, seedOfTest } from "../../tools/kit/random.ts";
import { hashOfCore } from "../model/state_hash.ts";
import { contents, Driver, PLAIN } from "./driver.ts";

const WINDOWS = {
  ...PLAIN,
  windowMs: 60_000,
  eventTime: true,
  outOfOrderMs: 600_000,
  alertTotalMin: 0,
  alertRateMin: -1,
};

function anyUuid(random: Random): string {
  const digits = (n: number) =>
    Array.from({ length: n }, () => random.below(16).toString(16)).join("");
  return [8, 4, 4, 4, 12].map(digits).join("-");
}

/** UUIDs whose first 16 characters are equal, as those of one moment often are. */
const sameStart = (n: number): string =>
  `018f4c2e-91d3-7a${n.toString(16).padStart(2, "0")}-8000-0123456789ab`;

/** A UUID with each of its characters replaced by digits, hyphens and the neighbours of digits and letters. */
function nearly(uuid: string): string[] {
  const others = ["0", "9", "a", "f", "/", ":", "`", "g", "A", "F", "-", "\u00e9"];
  const changed = [...uuid].flatMap((_, at) =>
    others.map((other) => uuid.slice(0, at) + other + uuid.slice(at + 1))
  );
  const hex = uuid.replaceAll("-", "");
  return [
    ...changed,
    uuid.toUpperCase(),
    uuid.slice(1),
    uuid.slice(0, 35),
    uuid + "0",
    "0" + uuid,
    `{${uuid}}`,
    hex,
    `${hex.slice(0, 7)}-${hex.slice(7, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${
      hex.slice(20)
    }`,
  ].filter((id) => id !== uuid);
}

const isCanonical = (id: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);

/** All kinds, each once; the same for a seed. */
function idsOf(seed: number): string[] {
  const random = new Random(seed);
  const uuids = Array.from({ length: 3000 }, () => anyUuid(random));
  return [
    ...new Set([
      ...uuids,
      ...nearly(uuids[0]!),
      ...Array.from({ length: 256 }, (_, n) => sameStart(n)),
      ...nearly(sameStart(7)),
      "00000000-0000-0000-0000-000000000000",
      "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ]),
  ];
}

/** Adds to each item its place in the list, and one. */
function fold(driver: Driver, ids: readonly string[], ts: number, sign = 1): void {
  for (let at = 0; at < ids.length; at += 1000) {
    const batch = encodeBatch(
      ids.slice(at, at + 1000).map((id, i) => ({
        timestamp: 1_200_000,
        key: null,
        value: encodeUtf8(`1\t${ts}\t${id}\t${sign * (at + i + 1)}`),
      })),
    );
    setBaseOffset(batch, Number(driver.core.position));
    assertEquals(driver.fold(batch), Code.Done);
  }
}

function assertHolds(core: Core, ids: readonly string[]): void {
  assertEquals(core.lookUp(ids.map((id) => encodeUtf8(id))), ids.map((_, i) => BigInt(i + 1)));
}

Deno.test("UUIDs, and what is nearly one, come back from the core as they were", () => {
  const ids = idsOf(seedOfTest());
  assert(ids.filter((id) => !isCanonical(id)).length > 500);
  const driver = new Driver(WINDOWS);
  fold(driver, ids, 1_200_000);
  assertHolds(driver.core, ids);
  assertEquals(driver.results.map((result) => result.key), ids);
  const segments = driver.checkpoint();
  const stock = new Map(ids.map((id, i) => [id, BigInt(i + 1)]));
  assertEquals(contents(segments).stock, stock);
  const restored = Driver.restore(WINDOWS, segments, driver.core.state);
  assertHolds(restored.core, ids);
  assertEquals(hashOfCore(restored.core), hashOfCore(driver.core));
  for (const { summaries } of [driver, restored].map((each) => (each.idle(), each))) {
    assertEquals(summaries.map((s) => s.key).toSorted(), ids.toSorted());
    assertEquals(summaries.map((s) => s.value.split("\t")[0]), summaries.map((s) => s.key));
  }
});

Deno.test("an id that differs from a UUID in one character is another item", () => {
  const random = new Random(seedOfTest());
  const uuid = anyUuid(random);
  const driver = new Driver(PLAIN);
  fold(driver, [uuid], 0);
  const others = nearly(uuid).map((id) => encodeUtf8(id));
  assertEquals(driver.core.lookUp(others), others.map(() => null));
  assertHolds(driver.core, [uuid]);
});

Deno.test("a canonical UUID takes 16 bytes beside its slot, another id its own and a length", () => {
  const random = new Random(seedOfTest());
  const driver = new Driver(WINDOWS);
  const uuids = Array.from({ length: 2000 }, () => anyUuid(random));
  const mixed = uuids.flatMap((id, i) => i % 4 === 0 ? [id, id.toUpperCase(), id.slice(1)] : [id]);
  const bytes = mixed.reduce((n, id) => n + (isCanonical(id) ? 16 : 40), 0); // 1 + 35 or 36, by eights
  let memory = 0;
  for (let round = 0; round < 4; round++) {
    const ts = 1_200_000 * (round + 1);
    fold(driver, uuids, ts, -1); // refused: each stays for its window alone
    assertEquals(driver.core.info.keyBytes, 16 * uuids.length);
    driver.idle();
    assertEquals([driver.core.info.slots, driver.core.info.keyBytes], [0, 0]);
    fold(driver, mixed, ts + 60_000, -1);
    const { slots, keyBytes } = driver.core.info;
    assertEquals([slots, keyBytes], [mixed.length, bytes]);
    driver.idle();
    assertEquals([driver.core.info.slots, driver.core.info.keyBytes], [0, 0]);
    // What was given back serves again.
    if (round === 0) memory = driver.core.info.memoryBytes;
    assertEquals(driver.core.info.memoryBytes, memory);
  }
});

Deno.test("refused transactions of unknown items leave nothing behind their windows, once the dictionary of prefixes is full, too", () => {
  const driver = new Driver(WINDOWS);
  // More prefixes than the dictionary takes: the others are kept as their bytes, in the segments of numbered ids.
  const ids = Array.from({ length: 6000 }, (_, i) => `p${i}_${i % 7}`);
  for (let round = 1; round <= 2; round++) {
    fold(driver, ids, 1_200_000 * round, -1);
    assertEquals(driver.core.info.slots, ids.length);
    assert(driver.core.info.keyBytes > 0);
    driver.idle();
    assertEquals([driver.core.info.slots, driver.core.info.keyBytes], [0, 0]);
  }
});

/** SHA-256 over the state of the fixed ids, as the core wrote it when it kept UUIDs as text. */
const HASH_AS_TEXT = "c3893b1c36bd23ef8cba58622ff6ac2b2f38c6c501032ef81f23a1392c9fcfdc";

Deno.test("the state of UUIDs has the bytes that it had when their text was kept", () => {
  const driver = new Driver(WINDOWS);
  fold(driver, idsOf(18), 1_200_000);
  assertEquals(hashOfCore(driver.core), HASH_AS_TEXT);
});
