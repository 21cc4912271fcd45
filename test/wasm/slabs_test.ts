// Lines that a segment left when it grew keep what they held, and may stand right behind those that it has now: nothing
// may be found there.

import { assertEquals } from "@std/assert";
import { encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import { Code } from "../../src/wasm/mod.ts";
import { FastRandom, seedOfTest, timesOfTest } from "../../tools/kit/random.ts";
import { Model } from "../model/model.ts";
import { decodeSegment } from "../model/segments.ts";
import { assertSame, assertSameState, foldBoth } from "./against_model.ts";
import { contents, Driver, PLAIN } from "./driver.ts";
import { homeLine, idOf, idsIn, INLINE, KNOWN, NUMBERED, TEXT, UUIDS } from "./ids.ts";

const MINUTE = 60_000;
const WINDOWS = { ...PLAIN, windowMs: MINUTE, eventTime: true, outOfOrderMs: 0 };

/** Item and quantity. */
type Row = readonly [string, number];

class Both {
  readonly model = new Model(WINDOWS);

  constructor(readonly driver: Driver) {}

  /** Folds transactions of a minute. */
  fold(minute: number, rows: readonly Row[]): void {
    const ts = minute * MINUTE;
    foldBoth(
      this.driver,
      this.model,
      rows.map(([id, quantity]) => ({
        timestamp: ts,
        key: null,
        value: encodeUtf8(`1\t${ts}\t${id}\t${quantity}`),
      })),
    );
  }
}

const added = (ids: readonly string[]): Row[] => ids.map((id) => [id, 1]);

/** By so many items, a segment grows from 8 lines to 16. */
const GROWS_AT = 20;

/**
 * Segment 2 grows into the room of segments 0 and 1, right before the lines that it leaves. Its last line is full, so the
 * first slot behind is that of an item whose home it is.
 */
function growBefore(both: Both, item: string): void {
  const isLast = (place: bigint) => homeLine(place, 16) === 15;
  const last = idsIn(INLINE, 2, 4, isLast).filter((id) => id !== item).slice(0, 3);
  const others = idsIn(INLINE, 2, GROWS_AT - 4, (place) => homeLine(place, 8) < 4);
  for (const segment of [0, 1]) both.fold(0, added(idsIn(INLINE, segment, GROWS_AT)));
  both.fold(0, added(last));
  both.fold(0, [[item, -1]]);
  both.fold(0, added(others));
}

Deno.test("an item is not found in the lines that its segment left, which stand behind those that it has", () => {
  for (const kind of [INLINE, NUMBERED, TEXT, UUIDS]) {
    const [item] = idsIn(kind, 2, 1, (place) => homeLine(place, 16) === 15) as [string];
    // Its prefix stays.
    const [tick] = idsIn(NUMBERED, 3, 1) as [string];
    // It comes anew, or has come anew by another refusal: as the same code then, also if it is a stored one.
    for (const refusals of [1, 2]) {
      const both = new Both(new Driver(WINDOWS, KNOWN));
      const { driver, model } = both;
      both.fold(0, [[tick, 1]]);
      growBefore(both, item);
      both.fold(1, [[tick, 1]]); // the item leaves with its window
      assertSameState(driver, model);
      if (refusals === 2) both.fold(1, [[item, -1]]);
      both.fold(1, [[item, 5]]);
      both.fold(1, [[item, -2]]);
      assertSameState(driver, model);
      assertEquals(driver.core.lookUp([encodeUtf8(item)]), [3n]);
      assertEquals(contents(driver.checkpoint()).stock, model.stock);
      assertSame(driver, model);
    }
  }
});

/** So few that they grow often, and into the room of each other. */
const SEGMENTS = 4;

/** Ids of all kinds in those segments. */
function idsOfFewSegments(): string[] {
  const driver = new Driver(PLAIN), ids: string[] = [];
  for (let n = 0; n < 30_000; n += 1000) {
    const batch = encodeBatch(Array.from({ length: 1000 }, (_, i) => ({
      timestamp: 0,
      key: null,
      value: encodeUtf8(`1\t0\t${idOf(n + i)}\t1`),
    })));
    setBaseOffset(batch, n);
    assertEquals(driver.fold(batch, { emit: false }), Code.Done);
  }
  for (const [segment, bytes] of driver.checkpoint()) {
    if (segment < SEGMENTS) ids.push(...decodeSegment(bytes).items.keys());
  }
  return ids;
}

function shuffled<T>(list: readonly T[], random: FastRandom): T[] {
  const all = [...list];
  for (let i = all.length - 1; i > 0; i--) {
    const k = random.below(i + 1);
    [all[i], all[k]] = [all[k]!, all[i]!];
  }
  return all;
}

/** Folds rows in batches of random lengths. */
function foldInBatches(both: Both, minute: number, rows: readonly Row[], random: FastRandom): void {
  for (let at = 0; at < rows.length;) {
    both.fold(minute, rows.slice(at, at += 1 + random.below(200)));
  }
}

/**
 * In each minute new items come and are refused, while segments grow, and those of the minute before, which have left the
 * table, are added or refused again. Some minutes have a checkpoint, which delays what segments leave.
 */
function comeAndGo(both: Both, ids: readonly string[], random: FastRandom): void {
  const { driver, model } = both;
  let refused: string[] = [];
  for (let minute = 0, at = 0; at < ids.length || refused.length > 0; minute++) {
    const wave = ids.slice(at, at += SEGMENTS * (10 + random.below(20)));
    const again = refused.map((id): Row => [id, random.oneIn(4) ? -1 : 1 + random.below(9)]);
    foldInBatches(both, minute, [["tick", 1], ...shuffled(again, random)], random);
    const cuts = random.oneIn(3);
    if (cuts) assertEquals(driver.core.cut(), Code.Done);
    foldInBatches(both, minute, wave.map((id) => [id, -1]), random);
    if (cuts) driver.encodeAll();
    assertSameState(driver, model);
    refused = [...wave, ...again.filter(([, quantity]) => quantity < 0).map(([id]) => id)];
  }
}

Deno.test("items that are refused, leave and come again while their segments grow are as in the model", () => {
  const random = new FastRandom(seedOfTest()), ids = idsOfFewSegments();
  // About one in a hundred lost stock when the search went on behind the last line of a slab.
  for (let core = timesOfTest(300); core > 0; core--) {
    const both = new Both(new Driver(WINDOWS, () => random.fraction()));
    comeAndGo(both, shuffled(ids, random).slice(0, SEGMENTS * 40), random);
    assertSame(both.driver, both.model);
    const { driver, model } = both;
    driver.core.markSegments(Array.from({ length: 256 }, (_, segment) => segment));
    assertEquals(contents(driver.checkpoint()).stock, model.stock);
  }
});
