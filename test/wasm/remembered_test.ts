import { assert, assertEquals, assertThrows } from "@std/assert";
import { codecOf, encodeBatch, encodeUtf8, setBaseOffset } from "../../src/types/mod.ts";
import {
  Code,
  CoreError,
  Format,
  OUTCOME_ACCEPTED,
  OUTCOME_DUPLICATE,
} from "../../src/wasm/mod.ts";
import type { RawRecord } from "../model/arbitraries.ts";
import { Model, type ModelOptions } from "../model/model.ts";
import { Random, seedOfTest, timesOfTest } from "../../tools/kit/random.ts";
import { assertSame, foldBoth } from "./against_model.ts";
import { Driver, PLAIN, restoreRemembered } from "./driver.ts";

/** Folds of each case, of which a third is followed by a restart. */
const STEPS = timesOfTest(10, 24);

const SECRET = Uint8Array.from({ length: 16 }, (_, i) => 7 * i + 1);

function optionsOf(windowMs: number, max: number, others: Partial<ModelOptions> = {}) {
  return { ...PLAIN, ...others, remember: { windowMs, max, secret: SECRET } };
}

/** What a chain of checkpoints has of what is remembered. */
class Chain {
  header = new Uint8Array();
  first = 0n;
  readonly pieces = new Map<bigint, Uint8Array>();

  /** Takes a checkpoint of all that is remembered; the core has been cut. */
  add(driver: Driver, published: boolean): void {
    const { remembered } = driver.core;
    const { header, firstPiece } = remembered.encode();
    const some = [];
    for (let next = remembered.encodeNext(); next; next = remembered.encodeNext()) some.push(next);
    if (!published) return;
    this.header = header;
    this.first = firstPiece;
    for (const { piece, bytes } of some) this.pieces.set(piece, bytes);
    for (const piece of this.pieces.keys()) if (piece < firstPiece) this.pieces.delete(piece);
  }

  inOrder(): Uint8Array[] {
    const sorted = [...this.pieces].toSorted(([a], [b]) => Number(a - b));
    sorted.forEach(([piece], i) => assertEquals(piece, this.first + BigInt(i)));
    return sorted.map(([, bytes]) => bytes);
  }
}

function checkpoint(driver: Driver, chain: Chain, published = true): Map<number, Uint8Array> {
  assertEquals(driver.core.cut(), Code.Done);
  chain.add(driver, published);
  return driver.encodeAll(published);
}

function restored(
  options: ModelOptions,
  segments: Map<number, Uint8Array>,
  driver: Driver,
  chain: Chain,
): Driver {
  const after = Driver.restore(options, segments, driver.core.state);
  restoreRemembered(after, chain.header, chain.inOrder());
  for (const list of ["results", "summaries", "deadLetters"] as const) {
    (after[list] as unknown[]).push(...driver[list]);
  }
  return after;
}

/** A stream with new transactions, repetitions of old ones, and others under their ids. */
class Traffic {
  readonly #sent: { id: bigint; item: string; ts: number; quantity: number }[] = [];
  #time = 1_000_000;
  #next = 1n;

  constructor(readonly random: Random, readonly format: Format, readonly backMax: number) {}

  record(): RawRecord {
    const { random } = this;
    const what = random.below(100);
    this.#time += random.below(40);
    const timestamp = what === 99
      ? -1
      : what === 98
      ? this.#time + 1e12 * random.below(2) + random.below(100_000)
      : this.#time - random.below(50);
    if (what === 97) return { timestamp, key: null, value: encodeUtf8("nonsense") };
    const old = what < 35 && this.#sent.length > 0
      ? this.#sent[this.#sent.length - 1 - random.below(Math.min(this.#sent.length, this.backMax))]!
      : null;
    const fresh = {
      id: old && what < 5 ? old.id : random.below(50) === 0 ? -(this.#next++) : this.#next++,
      item: old && what < 3 ? old.item : `item_${random.below(300)}${"x".repeat(random.below(9))}`,
      ts: this.#time,
      quantity: random.below(40) - 20,
    };
    const t = old && what >= 5 ? old : fresh;
    if (t === fresh) this.#sent.push(t);
    const value = codecOf(this.format).formatTransaction({
      transactionId: t.id,
      ts: t.ts,
      itemId: t.item,
      quantity: t.quantity,
    });
    return { timestamp, key: null, value: encodeUtf8(value) };
  }

  records(count: number): RawRecord[] {
    return Array.from({ length: count }, () => this.record());
  }
}

/** Fails unless the core remembers what the model does. */
function assertRemembers(driver: Driver, { remembered }: Model): void {
  const { remembered: count, duplicates, rememberedClock } = driver.core.info;
  assertEquals(count, remembered!.head - remembered!.tail);
  assertEquals(duplicates, remembered!.duplicates);
  assertEquals(rememberedClock, BigInt(remembered!.clock ?? -(2n ** 63n)));
}

for (
  const [name, windowMs, max, format] of [
    ["forgotten by time", 60_000, 100_000, Format.Text],
    ["forgotten by number", 10_000_000, 1500, Format.Json],
    ["forgotten by both, of few", 20_000, 700, Format.Text],
    ["of a window of few milliseconds", 50, 5000, Format.Json],
    // The index knows cells of 128 numbers.
    ["forgotten by time, of very many", 40_000, 20_000_000, Format.Text],
  ] as const
) {
  Deno.test(`repetitions are answered as the model does, over restores: ${name}`, () => {
    for (let round = 0; round < timesOfTest(0.5, 2); round++) {
      const random = new Random(seedOfTest() + round);
      const options = optionsOf(windowMs, max, { format, windowMs: round % 2 ? 60_000 : 0 });
      const traffic = new Traffic(random, format, 4000);
      const model = new Model(options);
      let driver = new Driver(options);
      let chain = new Chain();
      const segments = new Map<number, Uint8Array>();
      for (let step = 0; step < STEPS; step++) {
        foldBoth(driver, model, traffic.records(1 + random.below(500)));
        assertRemembers(driver, model);
        const then = random.below(6);
        if (then < 2) {
          for (const [i, bytes] of checkpoint(driver, chain, then === 0)) {
            if (then === 0) segments.set(i, bytes);
          }
        } else if (then === 2) {
          for (const [i, bytes] of checkpoint(driver, chain)) segments.set(i, bytes);
          driver = restored(options, segments, driver, chain);
          assertRemembers(driver, model);
          // What is restored is encoded again as it was.
          const again = new Chain();
          driver.core.remembered.mark(0n);
          checkpoint(driver, again);
          assertEquals(again, chain);
          chain = again;
        }
      }
      assertSame(driver, model);
      assert(model.remembered!.duplicates > 500, "too few repetitions were found");
      assert(model.invalid.get(10)! > 50, "too few conflicts were found");
    }
  });
}

Deno.test("what is remembered does not depend on batch cuts, nor on an instance's secret", () => {
  const options = optionsOf(100_000, 5000);
  const random = new Random(seedOfTest());
  const records = new Traffic(random, Format.Text, 3000).records(20_000);
  const chains = [1, 64, 997, 20_000].map((size) => {
    const driver = new Driver(options);
    for (let at = 0; at < records.length; at += size) {
      const batch = encodeBatch(records.slice(at, at + size));
      setBaseOffset(batch, at);
      assertEquals(driver.fold(batch), Code.Done);
    }
    const chain = new Chain();
    checkpoint(driver, chain);
    return chain;
  });
  for (const chain of chains) assertEquals(chain, chains[0]!);
  assert(chains[0]!.pieces.size >= 4);
});

Deno.test("a checkpoint holds what was remembered at its cut, whatever is folded while it is encoded", () => {
  const options = optionsOf(30_000, 6000);
  const random = new Random(seedOfTest());
  const traffic = new Traffic(random, Format.Text, 3000);
  const driver = new Driver(options);
  const model = new Model(options);
  for (let i = 0; i < 12; i++) foldBoth(driver, model, traffic.records(1000));
  const [expected, found] = [new Chain(), new Chain()];
  checkpoint(driver, expected, true);
  driver.core.remembered.mark(0n);
  driver.onCheckpointFirst = () => assert(driver.core.encodeSome() !== null);
  assertEquals(driver.core.cut(), Code.Done);
  // The ring goes round more than once meanwhile.
  for (let i = 0; i < 30; i++) foldBoth(driver, model, traffic.records(1000));
  found.add(driver, true);
  driver.encodeAll();
  assertEquals(found, expected);
  assertRemembers(driver, model);
});

Deno.test("full pieces never change: a later checkpoint writes what came since", () => {
  const options = optionsOf(10_000_000, 100_000);
  const traffic = new Traffic(new Random(seedOfTest()), Format.Text, 100);
  const driver = new Driver(options);
  const model = new Model(options);
  const chain = new Chain();
  for (let i = 0; i < 8; i++) foldBoth(driver, model, traffic.records(1000));
  checkpoint(driver, chain);
  const before = new Map(chain.pieces);
  foldBoth(driver, model, traffic.records(500));
  assertEquals(driver.core.cut(), Code.Done);
  driver.core.remembered.encode();
  const written = [];
  for (let next; (next = driver.core.remembered.encodeNext());) written.push(next.piece);
  driver.encodeAll();
  // The one that was not full, and at most one more.
  assert(written.length <= 2, `${written}`);
  assertEquals(written[0], BigInt(before.size - 1));
});

Deno.test("one timestamp of a far year does not empty what is remembered", () => {
  const options = optionsOf(64_000, 1000);
  const driver = new Driver(options);
  const fold = (timestamp: number, id: number) => {
    const value = encodeUtf8(`${id}\t1\titem\t1`);
    const batch = encodeBatch([{ timestamp, key: null, value }]);
    setBaseOffset(batch, Number(driver.core.position));
    driver.fold(batch, { outcomes: true });
    return driver.outcomes.at(-1);
  };
  assertEquals(fold(1000, 1), 1);
  for (let i = 0; i < 5; i++) fold(4e12, 2);
  assertEquals(fold(1001, 1), 3, "a repetition of one that was accepted");
  // Times of no date do not move the clock at all.
  const clock = driver.core.info.rememberedClock;
  fold(9e15, 2);
  assertEquals(driver.core.info.rememberedClock, clock);
});

Deno.test("when all are forgotten it goes on with the next one", () => {
  const options = optionsOf(100, 1000);
  const driver = new Driver(options);
  const model = new Model(options);
  const record = (timestamp: number, id: number): RawRecord => ({
    timestamp,
    key: null,
    value: encodeUtf8(`${id}\t1\titem\t1`),
  });
  for (let round = 0; round < 3; round++) {
    const at = 1000 * round;
    foldBoth(driver, model, [record(at, 1), record(at, 1), record(at + 1, 2)]);
    // The clock goes on by a 64th of the window at a time: 101 ms take as many records.
    const pause = Array.from(
      { length: 300 },
      () => ({ timestamp: at + 999, key: null, value: null }),
    );
    foldBoth(driver, model, pause);
    assertEquals(driver.core.info.remembered, 0);
    assertRemembers(driver, model);
  }
});

Deno.test("the index goes on when its cells come round", () => {
  const CELLS = 2 ** 20;
  const driver = new Driver(optionsOf(1000, 100_000));
  const records = (from: number, count: number): RawRecord[] =>
    Array.from({ length: count }, (_, i) => ({
      timestamp: 0,
      key: null,
      value: encodeUtf8(`${from + i}\t1\titem_${i % 100}\t1`),
    }));
  const fold = (batch: Uint8Array<ArrayBuffer>, timestamp: number) => {
    new DataView(batch.buffer).setBigInt64(27, BigInt(timestamp)); // the base of the records' timestamps
    setBaseOffset(batch, Number(driver.core.position));
    driver.outcomes.length = 0;
    const how = { outcomes: true, checkCrc: false, emit: false };
    assertEquals(driver.fold(batch, how), Code.Done);
    return new Set(driver.outcomes);
  };
  const few = encodeBatch(records(0, 4000));
  // The clock goes on by a 64th of the window at a time.
  const pause = encodeBatch(
    Array.from({ length: 100 }, () => ({ timestamp: 0, key: null, value: null })),
  );
  /** They are forgotten when they come again: each is executed. */
  let now = 0;
  const foldAnew = () => {
    fold(pause, now += 1200);
    assertEquals(driver.core.info.remembered, 0);
    assertEquals(fold(few, now), new Set([OUTCOME_ACCEPTED]));
  };
  const rounds = Math.floor(CELLS / 4000);
  for (let round = 0; round < rounds - 2; round++) foldAnew();
  const bytes = driver.core.info.rememberedBytes;
  for (let round = 0; round < 4; round++) foldAnew();
  assert(4000 * (rounds + 2) > CELLS);
  assertEquals(driver.core.info.rememberedBytes, bytes);
  // Beyond the last cell, with lines that are new.
  const many = Array.from({ length: 8 }, (_, i) => encodeBatch(records(4000 * (i + 1), 4000)));
  for (const batch of many) assertEquals(fold(batch, now), new Set([OUTCOME_ACCEPTED]));
  for (const batch of many) {
    assertEquals(fold(batch, now), new Set([OUTCOME_DUPLICATE | OUTCOME_ACCEPTED]));
  }
});

Deno.test("what was forgotten does not come back into the index when its cells come round", () => {
  const CELLS = 2 ** 20;
  const PER_TIME = 200;
  // Of one millisecond: a record of a later one forgets all before it.
  const { core } = new Driver(optionsOf(1, 100_000));
  const fold = (batch: Uint8Array<ArrayBuffer>, timestamp: number) => {
    new DataView(batch.buffer).setBigInt64(27, BigInt(timestamp)); // the base of the records' timestamps
    setBaseOffset(batch, Number(core.position));
    assert(core.begin(batch, { emit: false, checkCrc: false }) >= 0);
    assertEquals(core.run(), Code.Done);
  };
  const some = (from: number, count: number, perTime: number) =>
    encodeBatch(Array.from({ length: count }, (_, i) => ({
      timestamp: Math.floor(i / perTime),
      key: null,
      value: encodeUtf8(`${from + i}\t1\titem_${i % 100}\t1`),
    })));
  // As many as fit into the smallest index, which stays: few lines have so many ever again.
  fold(some(0, 1900, 1900), 0);
  assertEquals(core.remembered.inIndex(), 1900);
  const often = some(10_000, 20 * PER_TIME, PER_TIME);
  const few = some(20_000, PER_TIME, PER_TIME);
  let now = 1;
  for (let folded = 0; folded + 8000 < CELLS; folded += 20 * PER_TIME) {
    fold(often, now);
    now += 20;
  }
  for (let times = 0; times < 60; times++) {
    fold(few, now++);
    assertEquals([core.info.remembered, core.remembered.inIndex()], [PER_TIME, PER_TIME]);
  }
});

Deno.test("bytes that are not what is remembered are refused", () => {
  const options = optionsOf(10_000_000, 3000);
  const traffic = new Traffic(new Random(seedOfTest()), Format.Text, 100);
  const driver = new Driver(options);
  foldBoth(driver, new Model(options), traffic.records(3000));
  const chain = new Chain();
  checkpoint(driver, chain);
  const { header } = chain;
  const pieces = chain.inOrder();
  const restore = (head: Uint8Array, some: Uint8Array[], others = options) => {
    restoreRemembered(new Driver(others), head, some);
  };
  restore(header, pieces);
  for (let length = 0; length < header.length; length++) {
    assertThrows(() => restore(header.slice(0, length), pieces), CoreError);
  }
  assertThrows(() => restore(header, pieces.slice(1)), CoreError);
  assertThrows(() => restore(header, pieces.slice(0, -1)), CoreError);
  assertThrows(() => restore(header, [...pieces, pieces[0]!]), CoreError);
  assertThrows(() => restore(header, pieces.map((piece) => piece.slice(0, -1))), CoreError);
  assertThrows(() => restore(header, pieces, optionsOf(10_000_000, 100)), CoreError);
  assertThrows(() => restore(header, pieces, { ...options, remember: undefined! }), CoreError);
});

Deno.test("a core that remembers nothing executes repetitions", () => {
  const driver = new Driver(PLAIN);
  const value = encodeUtf8("1\t1\titem\t1");
  driver.fold(
    encodeBatch([1, 2].map((timestamp) => ({ timestamp, key: null, value }))),
    { outcomes: true },
  );
  assertEquals(driver.outcomes, [1, 1]);
  assertEquals(driver.core.info.remembered, 0);
  assertEquals(driver.core.info.rememberedBytes, 0);
});
