import { assertEquals, assertThrows } from "@std/assert";
import { ReadyBatches, valuesIn, watchedIn } from "../../bench/ready_batches.ts";
import { decodeBatch, decodeUtf8, encodeBatch, encodeUtf8, isIntact } from "../../src/types/mod.ts";
import type { Loader } from "../../tools/kit/load.ts";

const PARTITIONS = 3;

/** Keeps what is sent, by partition. */
class Sent {
  readonly partitions = PARTITIONS;
  readonly batches: [number, Uint8Array][] = [];

  recordOf(line: string, timestamp: number) {
    return { timestamp, key: encodeUtf8(line.split("\t")[2]!), value: encodeUtf8(line) };
  }

  partitionOf({ key }: { key: Uint8Array | null }): number {
    return key!.at(-1)! % PARTITIONS;
  }

  sendEach(batches: readonly (readonly [number, Uint8Array])[]): Promise<void> {
    assertEquals(new Set(batches.map(([partition]) => partition)).size, batches.length);
    for (const [partition, bytes] of batches) this.batches.push([partition, bytes.slice()]);
    return Promise.resolve();
  }
}

Deno.test("ReadyBatches: whole batches of each partition's items, one record of each with the number of its batch", async () => {
  const sent = new Sent();
  const ready = ReadyBatches.of(sent as unknown as Loader, 120, 1200);
  assertEquals([ready.size, ready.batchesAt(1200)], [4, 300]);
  await ready.send(0, 30);
  await ready.send(30, 5);
  const items = new Set<string>();
  const numbers: number[] = [];
  for (const [partition, bytes] of sent.batches) {
    assertEquals(isIntact(bytes), true);
    for (const record of decodeBatch(bytes)) {
      assertEquals(sent.partitionOf(record), partition);
      items.add(decodeUtf8(record.key!)!);
    }
    const before = numbers.length;
    watchedIn(bytes, (n) => numbers.push(n));
    assertEquals(numbers.length, before + 1);
  }
  assertEquals(numbers.toSorted((a, b) => a - b), Array.from({ length: 35 }, (_, n) => n));
  assertEquals(items.size, 120);
  assertThrows(() => ReadyBatches.of(sent as unknown as Loader, 5, 1200), RangeError, "too few");
});

Deno.test("watchedIn finds the numbers in results, whatever their keys and lengths are", () => {
  const value = (text: string) => encodeUtf8(text);
  const record = (key: string | null, text: string | null) => ({
    timestamp: 1,
    key: key === null ? null : value(key),
    value: text === null ? null : value(text),
  });
  const batch = encodeBatch([
    record("k".repeat(300), "2000000007\t1\titem_1\t5\ttrue"),
    record(null, "1000000000\t1\titem_2\t5"),
    record("k", null),
    record("k", "2000000008"),
    record("k", ""),
    record(null, `2123456789\t${"x".repeat(500)}`),
  ]);
  const found: number[] = [];
  watchedIn(batch, (n) => found.push(n));
  assertEquals(found, [7, 123456789]);
  const values: string[] = [];
  valuesIn(batch, (from, to) => values.push(decodeUtf8(batch.subarray(from, to))!.slice(0, 10)));
  assertEquals(values, ["2000000007", "1000000000", "2000000008", "", "2123456789"]);
});
