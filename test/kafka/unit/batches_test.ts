import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  emptyBatch,
  isStamped,
  OldFormatError,
  readFetched,
  sequenceBehind,
  stamp,
} from "../../../src/kafka/batches.ts";
import {
  batchInfo,
  crc32c,
  decodeBatch,
  encodeBatch,
  encodeUtf8,
  isIntact,
  setBaseOffset,
} from "../../../src/types/mod.ts";

const ABORT = 0;
const COMMIT = 1;

function batchAt(offset: number, values: readonly string[], producer: bigint | null) {
  const batch = encodeBatch(
    values.map((v) => ({ timestamp: 1, key: null, value: encodeUtf8(v) })),
  );
  if (producer !== null) stamp(batch, { id: producer, epoch: 0 }, 0);
  setBaseOffset(batch, offset);
  return batch;
}

/** A control batch: one record whose key is version and kind. */
function marker(offset: number, producer: bigint, kind: number) {
  const key = new Uint8Array([0, 0, 0, kind]);
  const batch = encodeBatch([{ timestamp: 1, key, value: new Uint8Array(6) }]);
  stamp(batch, { id: producer, epoch: 0 }, -1);
  const view = new DataView(batch.buffer);
  view.setInt16(21, 0x30);
  view.setUint32(17, crc32c(batch, 21));
  setBaseOffset(batch, offset);
  return batch;
}

function join(...batches: Uint8Array[]): Uint8Array {
  return new Uint8Array(batches.flatMap((b) => [...b]));
}

Deno.test("readFetched leaves aborted transactions and markers out, and keeps their offsets", () => {
  const records = join(
    batchAt(0, ["plain"], null),
    batchAt(1, ["aborted", "too"], 7n),
    batchAt(3, ["committed"], 8n),
    marker(4, 7n, ABORT),
    batchAt(5, ["later, same producer"], 7n),
    marker(6, 8n, COMMIT),
    marker(7, 7n, COMMIT),
  );
  const batches = readFetched(records, [{ producerId: 7n, firstOffset: 1 }]);
  const values = batches.flatMap(({ bytes }) => decodeBatch(bytes))
    .map((r) => new TextDecoder().decode(r.value!));
  assertEquals(values, ["plain", "committed", "later, same producer"]);
  assertEquals(batches.map((b) => b.lastOffset), [0, 2, 3, 4, 5, 6, 7]);
  assert(batches.every(({ bytes }) => isIntact(bytes)));
});

Deno.test("markers of the same place and of different times stand for batches with different CRCs", () => {
  const markers = [1, 2].map((epoch) => {
    const batch = marker(4, 7n, COMMIT);
    const view = new DataView(batch.buffer);
    view.setInt16(51, epoch);
    view.setUint32(17, crc32c(batch, 21));
    return readFetched(batch, [])[0]!;
  });
  assert(markers.every(({ bytes }) => isIntact(bytes) && decodeBatch(bytes).length === 0));
  assertEquals(new Set(markers.map(({ crc }) => crc)).size, 2);
  assertEquals(new Set(markers.map(({ bytes }) => batchInfo(bytes).crc)).size, 2);
});

Deno.test("readFetched leaves no damaged batch out: a flipped bit may make a marker of it", () => {
  const batch = batchAt(0, ["plain"], null);
  new DataView(batch.buffer).setInt16(21, 0x20); // the CRC is that of before
  const [found] = readFetched(batch, []);
  assert(!isIntact(found!.bytes));
});

Deno.test("readFetched leaves a batch that is cut at the end", () => {
  const records = join(batchAt(0, ["whole"], null), batchAt(1, ["cut"], null));
  assertEquals(readFetched(records.subarray(0, records.length - 1), []).length, 1);
});

/** A message set of one message of magic 0 or 1: shorter than the header of a record batch. */
function oldMessage(offset: number, magic: 0 | 1): Uint8Array {
  const rest = magic === 0 ? 1 + 1 + 4 + 4 + 1 : 1 + 1 + 8 + 4 + 4 + 1;
  const bytes = new Uint8Array(8 + 4 + 4 + rest);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, BigInt(offset));
  view.setInt32(8, 4 + rest);
  view.setInt8(16, magic);
  return bytes;
}

Deno.test("readFetched refuses records of message formats v0 and v1, naming the offset", () => {
  for (const magic of [0, 1] as const) {
    const error = assertThrows(() => readFetched(oldMessage(7, magic), []), OldFormatError);
    assertStringIncludes(error.message, `offset 7 are of message format v${magic}`);
    const behind = join(batchAt(0, ["new"], null), oldMessage(1, magic));
    assertThrows(() => readFetched(behind, []), OldFormatError);
  }
});

Deno.test("readFetched takes a batch whose magic alone is damaged for damaged, not for one of an old format", () => {
  for (const magic of [0, 1, 3, 77]) {
    const batch = batchAt(7, ["x"], null);
    new DataView(batch.buffer, batch.byteOffset).setInt8(16, magic);
    assertThrows(() => readFetched(batch, []), RangeError);
  }
});

Deno.test("emptyBatch covers offsets and has no records", () => {
  const { baseOffset, lastOffset, records } = batchInfo(emptyBatch(10, 14));
  assertEquals([baseOffset, lastOffset, records], [10, 14, 0]);
  assertEquals(decodeBatch(emptyBatch(10, 14)), []);
});

Deno.test("stamp puts the producer inside the CRC", () => {
  const batch = batchAt(0, ["a"], null);
  const producer = { id: 2n ** 40n, epoch: 3 };
  assert(!isStamped(batch, producer));
  stamp(batch, producer, 2 ** 31 - 1);
  assert(isStamped(batch, producer) && isIntact(batch));
  assert(!isStamped(batch, { ...producer, epoch: 4 }));
});

Deno.test("sequenceBehind goes from 2^31 - 1 to 0", () => {
  assertEquals(sequenceBehind(0, 5), 5);
  assertEquals(sequenceBehind(2 ** 31 - 5, 5), 0);
  assertEquals(sequenceBehind(2 ** 31 - 1, 3), 2);
});
