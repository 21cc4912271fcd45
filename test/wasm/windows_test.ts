import { assert, assertEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import { Code } from "../../src/wasm/mod.ts";
import { contents, Driver, PLAIN } from "./driver.ts";

const MINUTE = 60_000;
const EVENT = {
  ...PLAIN,
  windowMs: MINUTE,
  eventTime: true,
  outOfOrderMs: MINUTE,
  alertTotalMin: 0,
  alertRateMin: 0,
};
const PROCESSING = { ...PLAIN, windowMs: MINUTE, alertTotalMin: 0, alertRateMin: 0 };

/** Folds transactions given as [ts, item, quantity] or [ts, item, quantity, record timestamp]. */
function fold(
  driver: Driver,
  rows: (readonly [number, string, number, number?])[],
  replay = false,
): void {
  const batch = encodeBatch(rows.map(([ts, item, quantity, timestamp]) => ({
    timestamp: timestamp ?? ts,
    key: null,
    value: encodeUtf8(`1\t${ts}\t${item}\t${quantity}`),
  })));
  setBaseOffset(batch, Number(driver.core.position));
  assertEquals(driver.fold(batch, replay ? { replay, emit: false } : {}), Code.Done);
}

const fired = (driver: Driver) =>
  driver.summaries.map((s) => s.value.split("\t").slice(0, 5).join(" "));

Deno.test("a window fires when the watermark reaches its end, not before", () => {
  const driver = new Driver(EVENT);
  fold(driver, [[10, "a", -1], [2 * MINUTE - 1, "b", -1]]);
  assertEquals(fired(driver), []);
  fold(driver, [[2 * MINUTE, "b", -1]]);
  assertEquals(fired(driver), ["a 0 60000 0 1"]);
  assertEquals(driver.core.watermark, BigInt(MINUTE));
});

Deno.test("a summary carries the largest record timestamp so far, not its window's end", () => {
  const driver = new Driver(EVENT);
  fold(driver, [[10, "a", -1, 5], [2 * MINUTE, "b", -1, 2 * MINUTE - 7], [
    3 * MINUTE,
    "b",
    -1,
    9 * MINUTE,
  ]]);
  assertEquals(driver.summaries.map((s) => s.timestamp), [2 * MINUTE - 7]);
});

Deno.test("lateness does not depend on batch cuts", () => {
  const rows: [number, string, number][] = [
    [0, "a", -1],
    [2 * MINUTE, "b", -1], // moves the watermark to 1 minute
    [MINUTE - 1, "a", -1], // late: its window ended at the watermark
    [MINUTE, "a", -1], // the next window, not late
    [3 * MINUTE, "b", 1],
    [2 * MINUTE - 1, "a", -1], // late
  ];
  const whole = new Driver(EVENT);
  fold(whole, rows);
  const single = new Driver(EVENT);
  for (const row of rows) fold(single, [row]);
  assertEquals(single.core.state, whole.core.state);
  assertEquals(single.summaries, whole.summaries);
  assertEquals(whole.core.state.late, 2n);
  assertEquals(fired(whole), ["a 0 60000 0 1", "a 60000 120000 0 1"]);
});

Deno.test("a ts too far ahead executes, joins no window, moves no watermark, and is counted", () => {
  const driver = new Driver(EVENT);
  const day = EVENT.maxAheadMs;
  fold(driver, [[0, "a", 1, 0], [day + 1, "a", 1, 0], [day, "b", 1, 0]]);
  assertEquals(driver.core.state.farAhead, 1n);
  assertEquals(driver.core.lookUp([encodeUtf8("a")]), [2n]);
  assertEquals(driver.core.state.largestTs, BigInt(day));
});

Deno.test("in processing time the largest record timestamp decides, so nothing is late", () => {
  const driver = new Driver(PROCESSING);
  fold(driver, [[0, "a", -1, 10], [0, "a", -1, MINUTE + 5], [0, "a", -1, 20]]);
  assertEquals(fired(driver), ["a 0 60000 0 1"]);
  assertEquals(driver.core.state.late, 0n);
  driver.idle();
  assertEquals(fired(driver).slice(1), ["a 60000 120000 0 2"]);
});

Deno.test("an invalid record moves the clock of processing time", () => {
  const driver = new Driver(PROCESSING);
  fold(driver, [[0, "a", -1, 10], [-1, "a", 1, MINUTE]]);
  assertEquals(fired(driver), ["a 0 60000 0 1"]);
});

Deno.test("idle firing moves the watermark alone", () => {
  for (const options of [EVENT, PROCESSING]) {
    const driver = new Driver(options);
    fold(driver, [[10, "a", -1], [MINUTE + 10, "a", 1]]);
    const before = driver.core.state;
    driver.idle();
    assertEquals(driver.core.state, { ...before, watermark: BigInt(2 * MINUTE) });
    assertEquals(driver.core.info.openWindows, 0);
    // What comes for a window that was fired is late, executes, and is counted.
    fold(driver, [[MINUTE + 20, "a", 5, MINUTE + 20]]);
    assertEquals(driver.core.state.late, 1n);
    assertEquals(driver.core.lookUp([encodeUtf8("a")]), [6n]);
    const summaries = driver.summaries.length;
    driver.idle(); // nothing is open: nothing happens
    assertEquals(driver.summaries.length, summaries);
  }
});

Deno.test("replay below the committed watermark fires nothing", () => {
  const rows: [number, string, number][] = [
    [10, "a", -1],
    [20, "b", 5],
    [2 * MINUTE, "b", -1],
    [30, "c", -1], // late
    [MINUTE + 9, "d", -9],
    [4 * MINUTE, "b", 1],
  ];
  const original = new Driver(EVENT);
  fold(original, rows.slice(0, 2));
  const segments = original.checkpoint();
  const scalars = original.core.state;
  fold(original, rows.slice(2));
  original.idle();
  const committed = original.core.state;

  const again = Driver.restore(EVENT, segments, scalars);
  again.core.advance(committed.watermark);
  again.fire(false);
  fold(again, rows.slice(2), true);
  assertEquals(again.summaries, []);
  assertEquals(again.core.state, committed);
  assertEquals(again.core.info.openWindows, 0);
  assertEquals(again.core.info.slots, original.core.info.slots);
  // From here on both go on alike.
  fold(original, [[9 * MINUTE, "e", 1], [9 * MINUTE, "b", 1]]);
  fold(again, [[9 * MINUTE, "e", 1], [9 * MINUTE, "b", 1]]);
  assertEquals(again.core.state, original.core.state);
  // The original's segments changed since its checkpoint, the other's since the restore.
  const chain = new Map([...segments, ...original.checkpoint()]);
  assertEquals(contents(new Map([...segments, ...again.checkpoint()])), contents(chain));
});

Deno.test("an unseen item whose transactions fail lives as long as its windows", () => {
  const driver = new Driver(EVENT);
  const before = driver.core.info;
  const junk = Array.from(
    { length: 3000 },
    (_, i) => [i % 50, `an item with a long name ${i}x`, -1] as const,
  );
  fold(driver, junk);
  assertEquals(driver.core.info.slots, 3000);
  assertEquals(driver.core.state.items, 0n);
  fold(driver, [[MINUTE + 5, junk[7]![1], -1], [5, junk[8]![1], 3]]);
  fold(driver, [[2 * MINUTE, "tick", 1]]);
  // Left: one with a later window, one that was seen, and the last.
  assertEquals(driver.core.info.slots, 3);
  fold(driver, [[3 * MINUTE, "tick", 1]]);
  assertEquals(driver.core.info.slots, 2);
  driver.idle();
  assertEquals(driver.core.info.slots, 2);
  assertEquals(driver.core.info.windowBytes, before.windowBytes);
  assert(driver.core.info.keyBytes < 100);
  assertEquals(driver.core.lookUp([encodeUtf8(junk[8]![1])]), [3n]);
});

Deno.test("the alert filter's bounds are strict", () => {
  const driver = new Driver({ ...EVENT, alertTotalMin: 2, alertRateMin: 0.5 });
  const rows: [number, string, number][] = [
    [0, "two", -1],
    [0, "two", -1],
    [0, "half", -1],
    [0, "half", -1],
    [0, "half", 1],
    [0, "half", 1],
    [0, "three", -1],
    [0, "three", -1],
    [0, "three", 1],
  ];
  fold(driver, rows);
  driver.idle();
  assertEquals(driver.summaries.map((s) => s.value), ["three\t0\t60000\t1\t2\t3"]);
  assertEquals(driver.core.info.summariesFired, 3);
});

Deno.test("a volume beyond int64 stops at its end", () => {
  const driver = new Driver(EVENT);
  fold(driver, [[0, "a", 1]]);
  const segments = driver.checkpoint();
  const [segment, bytes] = [...segments][0]!;
  // The volume is the last LEB128 number: 1. Put 2^63 - 3 in its place.
  const large = Uint8Array.from([
    ...bytes.slice(0, -1),
    0xfd,
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    0xff,
    0x7f,
  ]);
  const restored = Driver.restore(EVENT, new Map([[segment, large]]), driver.core.state);
  fold(restored, [[0, "a", 5]]);
  restored.idle();
  assertEquals(restored.summaries, []); // nothing failed
  const again = Driver.restore(
    { ...EVENT, alertRateMin: -1 },
    new Map([[segment, large]]),
    driver.core.state,
  );
  fold(again, [[0, "a", 5]]);
  again.idle();
  assertEquals(again.summaries[0]!.value, `a\t0\t60000\t2\t0\t${2n ** 63n - 1n}`);
});

Deno.test("firing a large window goes on in pieces and finishes the same", () => {
  const driver = new Driver({ ...EVENT, summaryBytes: 8192, batchBytesMax: 1200 });
  for (let i = 0; i < 30; i++) {
    fold(driver, Array.from({ length: 1000 }, (_, k) => [0, `item_${1000 * i + k}`, -1] as const));
  }
  driver.core.idle();
  let pieces = 0;
  assertEquals(driver.core.cut(), Code.State);
  for (let code = driver.core.fire(true); code !== Code.Done; code = driver.core.fire(true)) {
    assert(code === Code.More || code === Code.OutputFull);
    if (code === Code.OutputFull) driver.core.take();
    pieces++;
    assertEquals(driver.core.begin(encodeBatch([])), Code.State);
  }
  driver.core.take();
  assert(pieces > 100);
  assertEquals(driver.core.info.alerts, 30_000);
  assertEquals(driver.core.info.slots, 0);
  assertEquals(driver.core.cut(), Code.Done);
  assertEquals(driver.core.fire(true), Code.State);
  driver.core.endCut(false);
});
