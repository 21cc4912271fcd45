// Compares a core with the reference model, and reads batches for the model.

import { assertEquals } from "@std/assert";
import {
  BATCH_HEADER_BYTES,
  codecOf,
  decodeRecord,
  encodeBatch,
  setBaseOffset,
} from "../../src/types/mod.ts";
import {
  Code,
  OUTCOME_ACCEPTED,
  OUTCOME_DUPLICATE,
  OUTCOME_INVALID,
  OUTCOME_REJECTED,
} from "../../src/wasm/mod.ts";
import type { RawRecord } from "../model/arbitraries.ts";
import type { Model, ModelRecord, Outcome } from "../model/model.ts";
import type { Driver, Written } from "./driver.ts";

/** The byte that the core writes for an outcome of the model. */
export function outcomeByte(outcome: Outcome): number {
  if (typeof outcome === "number") return OUTCOME_INVALID | outcome;
  if (typeof outcome === "object") return OUTCOME_DUPLICATE | outcomeByte(outcome.repeats);
  return outcome ? OUTCOME_ACCEPTED : OUTCOME_REJECTED;
}

/** Folds records in both, as one batch; fails unless their outcomes are the same. */
export function foldBoth(driver: Driver, model: Model, records: readonly RawRecord[]): void {
  const base = model.position, before = driver.outcomes.length;
  const batch = encodeBatch(records);
  setBaseOffset(batch, base);
  const expected = records.map((record, i) => model.fold({ ...record, offset: base + i }));
  assertEquals(driver.fold(batch, { outcomes: true }), Code.Done);
  assertEquals(driver.outcomes.slice(before), expected.map(outcomeByte));
}

function bySummary(a: Written, b: Written): number {
  return a.value < b.value ? -1 : a.value > b.value ? 1 : a.timestamp - b.timestamp;
}

/** Fails unless core and model put out the same and are in the same state. */
export function assertSame(driver: Driver, model: Model): void {
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

/** Fails unless core and model are in the same state. */
export function assertSameState(driver: Driver, model: Model): void {
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

/**
 * The records of a batch as the format has them, one after the other, int64 arithmetic included.
 *
 * @throws {RangeError} at the first record that does not fit
 */
export function* readStrictly(batch: Uint8Array): Generator<ModelRecord> {
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
