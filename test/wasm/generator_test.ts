import { assert, assertEquals } from "@std/assert";
import {
  codecOf,
  decodeBatch,
  decodeUtf8,
  encodeUtf8,
  Format,
  isIntact,
  Partitioner,
  partitionOf,
} from "../../src/types/mod.ts";
import { Generator, GENERATOR_RECORDS_MAX, type GeneratorOptions } from "../../src/wasm/mod.ts";

const OPTIONS: GeneratorOptions = {
  seed: 7n,
  items: 10_000,
  shape: 15,
  format: Format.Text,
  partitioner: Partitioner.Murmur2,
  partition: 2,
  partitions: 4,
};
const TIMING = { origin: 1_700_000_000_000, since: 100, msPerRecord: 2.5 };

function values(batch: Uint8Array): string[] {
  return decodeBatch(batch).map((r) => decodeUtf8(r.value!)!);
}

Deno.test("generated records do not depend on batch cuts or on the instance", () => {
  const whole = decodeBatch(new Generator(OPTIONS).batch(100, 1000, TIMING));
  const generator = new Generator(OPTIONS);
  const parts = [900, 100, 1099, 101].map((at) => {
    const count = at === 101 ? 799 : at === 900 ? 199 : 1;
    return decodeBatch(generator.batch(at, count, TIMING));
  });
  assertEquals(
    parts.flat().toSorted((a, b) => a.offset - b.offset).map((
      { offset, value },
    ) => [offset, value]),
    whole.map(({ offset, value }) => [offset, value]),
  );
  assertEquals(
    whole.map((r) => r.timestamp).slice(0, 4),
    [0, 2, 5, 7].map((n) => TIMING.origin + n),
  );
});

Deno.test("a generated batch is what every machine makes of this seed", () => {
  assertEquals(values(new Generator({ ...OPTIONS, items: 1_000_000 }).batch(0, 3, TIMING)), [
    "2570563866373424398\t1699999999750\titem_57560\t55",
    "2422454662169437610\t1699999999753\titem_21289\t55",
    "1451601819181388352\t1699999999755\titem_78510\t-75",
  ]);
});

Deno.test("generated records are valid, keyed by their item, and belong to the partition", () => {
  for (const format of [Format.Text, Format.Json]) {
    for (const partitioner of [Partitioner.Murmur2, Partitioner.JavaHash, Partitioner.Consistent]) {
      const options = { ...OPTIONS, format, partitioner };
      const batch = new Generator(options).batch(0, GENERATOR_RECORDS_MAX, TIMING);
      assert(isIntact(batch));
      const records = decodeBatch(batch);
      assertEquals(records.length, GENERATOR_RECORDS_MAX);
      for (const { key, value, timestamp } of records) {
        const t = codecOf(format).parseTransactionBytes(value!);
        assertEquals(codecOf(format).formatTransaction(t), decodeUtf8(value!));
        assertEquals(encodeUtf8(t.itemId), key);
        assertEquals(t.ts, timestamp);
        assertEquals(partitionOf(partitioner, key!, options.partitions), options.partition);
        assert(t.transactionId >= 0n);
      }
    }
  }
});

Deno.test("items follow the Pareto distribution, quantities the normal one", () => {
  const items = 50;
  const generator = new Generator({ ...OPTIONS, items, partition: 0, partitions: 1 });
  const counts = new Map<string, number>();
  const quantities: number[] = [];
  const rounds = 25;
  for (let i = 0; i < rounds; i++) {
    for (const value of values(generator.batch(i * 4000, 4000, TIMING))) {
      const { itemId, quantity } = codecOf(Format.Text).parseTransaction(value);
      counts.set(itemId, (counts.get(itemId) ?? 0) + 1);
      quantities.push(quantity);
    }
  }
  const n = quantities.length;
  // P(sample > scale + y) = (scale / (scale + y)) ^ shape; round takes y up to n - 0.5 to number n.
  const beyond = (y: number) => (items / (items + Math.max(0, y))) ** OPTIONS.shape;
  const within = 1 - beyond(items - 0.5);
  for (let item = 1; item <= items; item++) {
    const p = (beyond(item - 1.5) - beyond(item - 0.5)) / within;
    const deviation = Math.sqrt(n * p * (1 - p));
    const found = counts.get(`item_${item}`) ?? 0;
    assert(Math.abs(found - n * p) < 5 * deviation + 1, `item_${item}: ${found}, not ${n * p}`);
  }
  const mean = quantities.reduce((a, b) => a + b) / n;
  const variance = quantities.reduce((a, q) => a + (q - mean) ** 2, 0) / n;
  assert(Math.abs(mean - 5) < 5 * 50 / Math.sqrt(n), `mean ${mean}`);
  // gaussian / 2 * 10 has a standard deviation of 5, rounding adds 1/12; times 10.
  assert(Math.abs(variance / (2500 + 100 / 12) - 1) < 0.03, `variance ${variance}`);
  assertEquals(quantities.filter((q) => (q - 5) % 10 !== 0), []);
});

Deno.test("a partition without any item generates nothing, and says so", () => {
  const empty = Array.from(
    { length: 16 },
    (_, partition) => new Generator({ ...OPTIONS, items: 3, partition, partitions: 16 }).items,
  );
  assertEquals(empty.reduce((a, b) => a + b), 3);
});
