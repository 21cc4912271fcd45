import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  BATCH_HEADER_BYTES,
  codecOf,
  decodeRecord,
  encodeBatch,
  setBaseOffset,
} from "../../src/types/mod.ts";
import { Code, OUTCOME_ACCEPTED, OUTCOME_INVALID, OUTCOME_REJECTED } from "../../src/wasm/mod.ts";
import { anyCase, type Case, mutate, type RawRecord } from "../model/arbitraries.ts";
import { Model, type ModelRecord, type Outcome } from "../model/model.ts";
import { contents, Driver, type Written } from "./driver.ts";

const RUNS = 10_000;

/** Runs a property with a new seed each time, which it prints. */
function check<T>(arbitrary: fc.Arbitrary<T>, numRuns: number, test: (value: T) => void): void {
  const seed = (crypto.getRandomValues(new Int32Array(1))[0]!) | 0;
  console.log(`${numRuns} cases, seed ${seed}`);
  fc.assert(fc.property(arbitrary, test), { seed, numRuns });
}

function outcomeByte(outcome: Outcome): number {
  if (typeof outcome === "number") return OUTCOME_INVALID | outcome;
  return outcome ? OUTCOME_ACCEPTED : OUTCOME_REJECTED;
}

function bySummary(a: Written, b: Written): number {
  return a.value < b.value ? -1 : a.value > b.value ? 1 : a.timestamp - b.timestamp;
}

/** Fails unless core and model put out the same and are in the same state. */
function assertSame(driver: Driver, model: Model): void {
  assertEquals(driver.results, model.results);
  assertEquals(
    driver.deadLetters.map(({ offset, reason, timestamp }) => ({
      offset: Number(offset),
      reason,
      timestamp: Number(timestamp),
    })),
    model.deadLetters,
  );
  const codec = codecOf(model.options.format);
  const summaries = model.summaries.map(({ summary, timestamp }) => ({
    key: summary.itemId,
    value: codec.formatSummary(summary),
    timestamp,
  }));
  assertEquals(driver.summaries.toSorted(bySummary), summaries.toSorted(bySummary));
  assertSameState(driver, model);
}

function assertSameState(driver: Driver, model: Model): void {
  const state = driver.core.state;
  const time = (ms: number | null) => ms === null ? -(2n ** 63n) : BigInt(ms);
  assertEquals(state, {
    position: BigInt(model.position),
    watermark: time(model.watermark),
    largestTs: time(model.largestTs),
    largestTimestamp: time(model.largestTimestamp),
    accepted: BigInt(model.accepted),
    rejected: BigInt(model.rejected),
    late: BigInt(model.late),
    farAhead: BigInt(model.farAhead),
    quantitySum: BigInt.asIntN(64, model.quantitySum),
    items: BigInt(model.stock.size),
    invalid: Array.from({ length: 16 }, (_, reason) => BigInt(model.invalid.get(reason) ?? 0)),
  });
  const ids = new Set([...model.stock.keys(), "never seen", "item_99"]);
  for (const window of model.windows.values()) for (const id of window.keys()) ids.add(id);
  const list = [...ids];
  assertEquals(
    driver.core.lookUp(list.map((id) => new TextEncoder().encode(id))),
    list.map((id) => model.stock.get(id) ?? null),
  );
  const held = driver.core.info;
  const unseen = new Set<string>();
  for (const window of model.windows.values()) {
    for (const id of window.keys()) if (!model.stock.has(id)) unseen.add(id);
  }
  // Nothing is kept of items that were neither seen nor counted in an open window.
  assertEquals(held.slots, model.stock.size + unseen.size);
  assertEquals(held.openWindows, model.windows.size);
}

/** Fails unless the checkpoint holds the model's state. */
function assertSameContents(segments: Map<number, Uint8Array>, model: Model): void {
  const { stock, unseen, windows } = contents(segments);
  assertEquals(stock, model.stock);
  for (const id of unseen) assertEquals(model.stock.has(id), false);
  const length = BigInt(model.options.windowMs);
  assertEquals(
    new Map([...windows].map(([number, items]) => [Number(number * length), items])),
    model.windows,
  );
}

/** The last complete encoding of each segment: what a chain of checkpoints restores. */
class Chain {
  readonly segments = new Map<number, Uint8Array>();

  add(driver: Driver, published: boolean): void {
    for (const [i, bytes] of driver.checkpoint(published)) {
      if (published) this.segments.set(i, bytes);
    }
  }
}

function foldBoth(driver: Driver, model: Model, records: readonly RawRecord[]): void {
  const batch = encodeBatch(records);
  setBaseOffset(batch, model.position);
  const outcomes = driver.outcomes.length;
  const base = model.position;
  const expected = records.map((record, i) => model.fold({ ...record, offset: base + i }));
  assertEquals(driver.fold(batch, { outcomes: true }), Code.Done);
  assertEquals(driver.outcomes.slice(outcomes), expected.map(outcomeByte));
}

function runCase({ options, steps }: Case): void {
  let driver = new Driver(options);
  const model = new Model(options);
  const chain = new Chain();
  for (const step of steps) {
    foldBoth(driver, model, step.records);
    if (step.then === "idle") {
      driver.idle();
      model.idle();
    } else if (step.then === "checkpoint") {
      chain.add(driver, step.records.length % 3 !== 0);
    } else if (step.then === "restore") {
      chain.add(driver, true);
      assertSameContents(chain.segments, model);
      const restored = Driver.restore(options, chain.segments, driver.core.state);
      for (const list of ["results", "summaries", "deadLetters"] as const) {
        (restored[list] as unknown[]).push(...driver[list]);
      }
      driver = restored;
    }
    assertSameState(driver, model);
  }
  assertSame(driver, model);
  driver.core.idle();
  driver.fire(true);
  model.idle();
  assertSame(driver, model);
}

Deno.test("core equals the model on random and mutated batches", () => {
  check(anyCase, RUNS, runCase);
});

/**
 * The records of a batch as the format has them, one after the other, int64 arithmetic included.
 *
 * @throws {RangeError} at the first record that does not fit
 */
function* readStrictly(batch: Uint8Array): Generator<ModelRecord> {
  const v = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const appended = (v.getInt16(21) & 8) !== 0;
  const lastOffset = Number(v.getBigInt64(0)) + v.getInt32(23);
  let before = Number(v.getBigInt64(0)) - 1;
  let at = BATCH_HEADER_BYTES;
  for (let n = v.getInt32(57); n > 0; n--) {
    const { record, end } = decodeRecord(batch, at, {
      offset: Number(v.getBigInt64(0)),
      timestamp: 0,
    });
    if (record.offset <= before || record.offset > lastOffset) throw new RangeError("offset");
    before = record.offset;
    const timestamp = appended
      ? v.getBigInt64(35)
      : BigInt.asIntN(64, v.getBigInt64(27) + timestampDelta(batch, at));
    yield { ...record, timestamp: Number(timestamp) };
    at = end;
  }
  if (at !== batch.length) throw new RangeError("bytes behind the last record");
}

/** The timestamp delta of the record at `at`: the number behind the length and the attributes. */
function timestampDelta(batch: Uint8Array, at: number): bigint {
  while (batch[at++]! >= 128);
  at++;
  let z = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = batch[at++]!;
    z |= BigInt(byte & 127) << shift;
    if (byte < 128) break;
  }
  z = BigInt.asUintN(64, z);
  return z & 1n ? -(z >> 1n) - 1n : z >> 1n;
}

interface MutatedBatch extends Case {
  readonly changes: readonly (readonly [number, number, number])[];
}

const mutatedBatch: fc.Arbitrary<MutatedBatch> = fc.tuple(
  anyCase,
  fc.array(fc.tuple(fc.nat(), fc.nat(255), fc.constantFrom(0, 0, 1, 2)), {
    minLength: 1,
    maxLength: 3,
  }),
).map(([c, changes]) => ({ ...c, changes }));

Deno.test("core folds of a mutated batch exactly the records before the first that does not fit", () => {
  check(mutatedBatch, RUNS, ({ options, steps, changes }) => {
    const batch = changes.reduce<Uint8Array>(
      (bytes, [at, byte, kind]) => mutate(bytes, at, byte, kind),
      encodeBatch(steps[0]!.records),
    );
    batch.fill(0, 0, Math.min(2, batch.length)); // offsets that a double holds
    const intact = new Driver(options);
    const before = intact.core.state;
    if (intact.fold(batch, { checkCrc: true }) < 0) assertEquals(intact.core.state, before);
    const driver = new Driver(options);
    const code = driver.fold(batch, { checkCrc: false });
    const position = driver.core.position;
    if (code < 0 && code !== Code.Record) {
      assertEquals(driver.core.state, before);
      return;
    }
    const model = new Model(options);
    try {
      for (const record of readStrictly(batch)) {
        if (BigInt(record.offset) >= position) break;
        model.fold(record);
      }
    } catch (error) {
      // What the reader cannot read, the core must have refused.
      if (!(error instanceof RangeError) || code !== Code.Record) throw error;
    }
    if (code === Code.Done) model.position = Number(position);
    assertSame(driver, model);
  });
});
