import { assert, assertEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, Format, setBaseOffset } from "../../src/types/mod.ts";
import { Code } from "../../src/wasm/mod.ts";
import type { ModelOptions } from "../model/model.ts";
import { Random, sayOfTest, seedOfTest, timesOfTest } from "../../tools/kit/random.ts";
import { Driver, PLAIN } from "./driver.ts";

const ALERTS = { ...PLAIN, alertTotalMin: 0, alertRateMin: 0 };
const WINDOWS: readonly ModelOptions[] = [
  PLAIN,
  { ...ALERTS, windowMs: 60_000 },
  { ...ALERTS, windowMs: 60_000, eventTime: true, outOfOrderMs: 30_000 },
  { ...ALERTS, windowMs: 60_000, eventTime: true, format: Format.Json },
];

interface Row {
  readonly timestamp: number;
  readonly value: string;
}

/** Transactions of mixed ids; event time wanders, so that some are late and windows fire. */
function makeRows(random: Random, n: number, format: Format): Row[] {
  return Array.from({ length: n }, (_, i) => {
    const timestamp = 1_700_000_000_000 + 40 * i;
    const ts = timestamp + random.below(120_000) - 110_000;
    const itemId = ["item_", "x", "some-longer-name ", "q"][random.below(4)]! + random.below(300) +
      ["", "", "z"][random.below(3)]!;
    const quantity = random.below(200) - 110;
    const value = random.below(60) === 0
      ? "broken"
      : format === Format.Json
      ? `{"quantity":${quantity},"transactionId":${i},"ts":${ts},"itemId":${
        JSON.stringify(itemId)
      }}`
      : `${i}\t${ts}\t${itemId}\t${quantity}`;
    return { timestamp, value };
  });
}

function batchOf(rows: readonly Row[], from: number, to: number): Uint8Array {
  const batch = encodeBatch(
    rows.slice(from, to).map((r) => ({
      timestamp: r.timestamp,
      key: null,
      value: encodeUtf8(r.value),
    })),
  );
  setBaseOffset(batch, from);
  return batch;
}

/** Folds rows in batches of random sizes. */
function foldInBatches(driver: Driver, rows: readonly Row[], random: Random, max: number): void {
  for (let at = 0; at < rows.length;) {
    const to = Math.min(rows.length, at + 1 + random.below(max));
    assertEquals(driver.fold(batchOf(rows, at, to)), Code.Done);
    at = to;
  }
}

Deno.test("fold gives the same state and results for any batch cuts", () => {
  const seed = seedOfTest();
  sayOfTest(`seed ${seed}`);
  for (const options of WINDOWS) {
    const random = new Random(seed);
    const rows = makeRows(random, timesOfTest(2000, 1500), options.format);
    const whole = new Driver(options);
    assertEquals(whole.fold(batchOf(rows, 0, rows.length)), Code.Done);
    const expected = whole.checkpoint();
    for (const max of [1, 7, 200, 3000]) {
      const cut = new Driver({ ...options, batchBytesMax: 2000, resultBytes: 160_000 });
      foldInBatches(cut, rows, random, max);
      assertEquals(cut.core.state, whole.core.state);
      assertEquals(cut.results, whole.results);
      assertEquals(cut.summaries, whole.summaries);
      assertEquals(cut.deadLetters.map((d) => d.offset), whole.deadLetters.map((d) => d.offset));
      assertEquals(cut.checkpoint(), expected);
    }
    assert(whole.summaries.length > 10 || options.windowMs === 0, "windows fired");
    assert(whole.core.state.late > 100n || !options.eventTime, "some were late");
  }
});

Deno.test("fold with emission off leaves the same state", () => {
  const random = new Random(seedOfTest());
  for (const options of WINDOWS) {
    const rows = makeRows(random, 4000, options.format);
    const loud = new Driver(options);
    const silent = new Driver(options);
    loud.fold(batchOf(rows, 0, rows.length));
    assertEquals(silent.fold(batchOf(rows, 0, rows.length), { emit: false }), Code.Done);
    assertEquals(silent.core.state, loud.core.state);
    assertEquals(silent.checkpoint(), loud.checkpoint());
    assertEquals(silent.results, []);
    assertEquals(silent.deadLetters, []);
  }
});

Deno.test("discarding results keeps dead letters, outcomes, summaries and state", () => {
  const random = new Random(seedOfTest());
  for (const options of WINDOWS) {
    const rows = makeRows(random, 4000, options.format);
    const loud = new Driver(options);
    const quiet = new Driver(options);
    loud.fold(batchOf(rows, 0, rows.length), { outcomes: true });
    const how = { outcomes: true, discardResults: true };
    assertEquals(quiet.fold(batchOf(rows, 0, rows.length), how), Code.Done);
    assert(loud.deadLetters.length > 0);
    assertEquals(quiet.deadLetters, loud.deadLetters);
    assertEquals(quiet.outcomes, loud.outcomes);
    assertEquals(quiet.summaries, loud.summaries);
    assertEquals(quiet.checkpoint(), loud.checkpoint());
    assertEquals(quiet.results, []);
  }
});

Deno.test("fold stops before `until` and passes over what is below the position", () => {
  const random = new Random(seedOfTest());
  for (const options of WINDOWS) {
    const rows = makeRows(random, 1000, options.format);
    const batch = batchOf(rows, 0, rows.length);
    const once = new Driver(options);
    once.fold(batch);
    const parts = new Driver(options);
    for (const until of [1, 2, 64, 65, 500, 500, 999, 1000]) {
      assertEquals(parts.fold(batch, { until: BigInt(until) }), Code.Done);
      assertEquals(parts.core.position, BigInt(until));
    }
    assertEquals(parts.fold(batch), Code.Done); // all of it again: nothing happens
    assertEquals(parts.results, once.results);
    assertEquals(parts.core.state, once.core.state);
    assertEquals(parts.checkpoint(), once.checkpoint());
  }
});

Deno.test("the position moves behind a batch whose last offsets were removed", () => {
  const driver = new Driver(PLAIN);
  const batch = encodeBatch([{ timestamp: 0, key: null, value: encodeUtf8("1\t1\ta\t1") }]);
  new DataView(batch.buffer).setInt32(23, 9);
  assertEquals(driver.fold(batch, { checkCrc: false }), Code.Done);
  assertEquals(driver.core.position, 10n);
  const empty = encodeBatch([]);
  setBaseOffset(empty, 10);
  new DataView(empty.buffer).setInt32(23, 4);
  assertEquals(driver.fold(empty, { checkCrc: false }), Code.Done);
  assertEquals(driver.core.position, 15n);
});

Deno.test("records of a batch with LogAppendTime carry the batch's largest timestamp", () => {
  const driver = new Driver(PLAIN);
  const batch = encodeBatch(
    [5, 9, 7].map((timestamp) => ({ timestamp, key: null, value: encodeUtf8("1\t1\ta\t1") })),
  );
  new DataView(batch.buffer).setInt16(21, 8);
  driver.fold(batch, { checkCrc: false });
  assertEquals(driver.results.map((r) => r.timestamp), [9, 9, 9]);
});

Deno.test("a record without timestamp takes the largest before it, else 0", () => {
  const driver = new Driver(PLAIN);
  driver.fold(
    encodeBatch(
      [-1, 50, 40, -1].map((timestamp) => ({
        timestamp,
        key: null,
        value: encodeUtf8("1\t1\ta\t1"),
      })),
    ),
  );
  assertEquals(driver.results.map((r) => r.timestamp), [0, 50, 40, 50]);
});

Deno.test("with known items alone, fold stops before the first record that would add one, and goes on from there", () => {
  for (const windowMs of [0, 60_000]) {
    const record = (id: string, quantity: number) => ({
      timestamp: 60_000,
      key: null,
      value: encodeUtf8(`1\t60000\t${id}\t${quantity}`),
    });
    const known = Array.from({ length: 70 }, (_, i) => record(`item_${i}`, 5));
    const batch = encodeBatch([
      ...known,
      record("never seen", -1), // rejected: adds an item only where a window counts it
      record("item_7", -2),
      record("new item", 3),
      record("item_8", -3),
    ]);
    const driver = new Driver({ ...PLAIN, windowMs });
    assertEquals(driver.fold(encodeBatch(known)), Code.Done);
    setBaseOffset(batch, 70);
    const at = windowMs > 0 ? 140n : 142n;
    for (let again = 0; again < 2; again++) {
      assertEquals(driver.fold(batch, { knownItems: true }), Code.StateFull);
      assertEquals(driver.core.position, at);
      assertEquals(BigInt(driver.results.length), at);
    }
    assertEquals(driver.fold(batch), Code.Done);
    const plain = new Driver({ ...PLAIN, windowMs });
    plain.fold(encodeBatch(known));
    plain.fold(batch);
    assertEquals(driver.results, plain.results);
    assertEquals(driver.core.state, plain.core.state);
    assertEquals(driver.checkpoint(), plain.checkpoint());
  }
});

Deno.test("a record timestamp that no date can have counts as none from version 2 of the fold on", () => {
  const value = encodeUtf8("1\t1\titem_1\t1");
  const times = [5000, 8.64e15 + 1, 2 ** 53 - 1, -1];
  const timestampsOf = (foldVersion: number, replay = false) => {
    const driver = new Driver({ ...PLAIN, foldVersion });
    const batch = encodeBatch(times.map((timestamp) => ({ timestamp, key: null, value })));
    assertEquals(driver.fold(batch, replay ? { replay, emit: false } : {}), Code.Done);
    const { impossibleTimestamps } = driver.core.info;
    const results = driver.results.map(({ timestamp }) => timestamp);
    return { driver, results, impossibleTimestamps };
  };
  assertEquals(timestampsOf(1).results, [5000, 8.64e15 + 1, 2 ** 53 - 1, 2 ** 53 - 1]);
  const { driver, results, impossibleTimestamps } = timestampsOf(2);
  assertEquals([results, impossibleTimestamps], [[5000, 5000, 5000, 5000], 2]);
  assertEquals(driver.core.state.largestTimestamp, 5000n);
  assertEquals(timestampsOf(2, true).impossibleTimestamps, 0);
  // What version 1 took for the largest one becomes one that a date can be.
  const raised = timestampsOf(1).driver;
  raised.core.raise();
  assertEquals(raised.core.state.largestTimestamp, 8_640_000_000_000_000n);
});
