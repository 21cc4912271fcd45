// The parts of `deno task bench:peers` that need no broker.

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FigureFile, type Measurement, rowsOf, spreadOf } from "../../bench/peers/figures.ts";
import { usedOf } from "../../bench/peers/heap.ts";
import { Input, itemIdOf, KEY_SETS } from "../../bench/peers/input.ts";
import { measurementOf, quantile } from "../../bench/peers/latencies.ts";
import { differences, RecordSum } from "../../bench/peers/record_sum.ts";
import { pageOf, shortTable, withPeers } from "../../bench/peers/report.ts";
import {
  codecOf,
  decodeUtf8,
  encodeUtf8,
  Format,
  InvalidRecordError,
  reasonName,
} from "../../src/types/mod.ts";

function sumOf(...values: readonly (string | null)[]): RecordSum {
  const sum = new RecordSum();
  for (const value of values) {
    sum.add({ key: null, value: value === null ? null : encodeUtf8(value), headers: [] });
  }
  return sum;
}

Deno.test("RecordSum is the same in any order", () => {
  assertEquals(sumOf("a", "b", "c").digest, sumOf("c", "a", "b").digest);
});

Deno.test("RecordSum sees a record that is missing, doubled, exchanged or changed, and where its fields end", () => {
  const { digest } = sumOf("1\titem_1\ttrue", "2\titem_2\tfalse");
  const others = [
    sumOf("1\titem_1\ttrue"),
    sumOf("1\titem_1\ttrue", "1\titem_1\ttrue"),
    sumOf("1\titem_1\tfalse", "2\titem_2\ttrue"),
    sumOf("1\titem_1\ttrue", "2\titem_2\tfalse", "2\titem_2\tfalse"),
  ];
  for (const other of others) assertEquals(other.digest.hash === digest.hash, false);
  assertEquals(sumOf("").digest.hash === sumOf(null).digest.hash, false);
  const headers = (...named: readonly [string, string][]) => {
    const sum = new RecordSum();
    const all = named.map(([key, value]) => ({ key, value: encodeUtf8(value) }));
    sum.add({ key: encodeUtf8("ab"), value: encodeUtf8("c"), headers: all });
    return sum.digest.hash;
  };
  assertEquals(headers(["a", "1"], ["b", "2"]), headers(["b", "2"], ["a", "1"]));
  assertEquals(headers(["a", "1"]) === headers(["a", "2"]), false);
  assertEquals(headers() === headers(["a", "1"]), false);
});

Deno.test("differences name what differs, of what both have", () => {
  const [a, b] = [sumOf("a").digest, sumOf("b").digest];
  assertEquals(differences(["x", { results: a, stocks: a }], ["y", { results: a }]), []);
  const [line, ...more] = differences(["x", { results: a, stocks: a }], ["y", {
    results: b,
    stocks: a,
  }]);
  assertEquals(more, []);
  assertEquals(line, `results: x has 1 records, ${a.hash}; y has 1 records, ${b.hash}`);
});

for (const keys of KEY_SETS) {
  Deno.test(`the input by ${keys} is the same each time; one in so many records is refused, for every reason`, () => {
    const options = { records: 900, items: 50, keys, refusedEvery: 10 };
    const [input, again] = [new Input(options), new Input(options)];
    const codec = codecOf(Format.Text);
    const reasons = new Set<string>();
    let refused = 0;
    for (let i = 0; i < options.records; i++) {
      const record = input.record(i);
      assertEquals(again.record(i), record);
      try {
        if (record.value === null) throw new InvalidRecordError(1, "no value");
        const { itemId, ts } = codec.parseTransactionBytes(record.value);
        assertEquals(itemId, decodeUtf8(record.key!));
        assertEquals(Number(ts), record.timestamp);
      } catch (error) {
        if (!(error instanceof InvalidRecordError)) throw error;
        if (record.value !== null) reasons.add(reasonName(error.reason));
        refused++;
      }
    }
    assertEquals(refused, input.refused);
    assertEquals(reasons.size, 7);
  });
}

Deno.test("closing records: one for each partition, behind the last window", () => {
  const input = new Input({ records: 1000, items: 10, keys: "item", recordsPerSecond: 10 });
  const closing = input.closing(8);
  assertEquals(closing.length, 8);
  const last = input.record(999).timestamp;
  assertEquals(closing.every(({ timestamp }) => timestamp > last + 120_000), true);
});

Deno.test("ids of UUIDs have the form of UUIDs, and differ", () => {
  const ids = new Set(Array.from({ length: 10_000 }, (_, n) => itemIdOf("uuid", n + 1)));
  assertEquals(ids.size, 10_000);
  for (const id of ids) {
    assertEquals(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-a[\da-f]{3}-[\da-f]{12}$/.test(id), true);
  }
});

function measurement(engine: Measurement["engine"], round: number, cpu: number): Measurement {
  const figures = { cpu, brokerCpu: 0.1, wholeCpu: 2 * cpu, rate: 1e6 / cpu, peakBytes: 2 ** 30 };
  return {
    keys: "item",
    work: "b",
    engine,
    round,
    records: 4e7,
    items: 1e6,
    at: "2026-11-27T09:00Z",
    figures,
  };
}

const MEASURED = [
  ...[0.3, 0.2, 0.4].map((cpu, i) => measurement("stockflow", i + 1, cpu)),
  ...[2.4, 2.8, 2.7].map((cpu, i) => measurement("flink", i + 1, cpu)),
];

Deno.test("rowsOf: the median and the spread of the rounds", () => {
  assertEquals(spreadOf([3, 1, 2, 10]), { median: 2.5, min: 1, max: 10 });
  const rows = rowsOf(MEASURED, "item");
  assertEquals(rows.map(({ engine, rounds }) => [engine, rounds]), [["stockflow", 3], [
    "flink",
    3,
  ]]);
  assertEquals(rows[1]!.of.cpu, { median: 2.7, min: 2.4, max: 2.8 });
  assertEquals(rowsOf(MEASURED, "uuid"), []);
});

Deno.test("the tables say how many times as much a peer takes", () => {
  assertStringIncludes(shortTable(rowsOf(MEASURED, "item")), "| 0.30 | 2.70 (9.0 times ours) |  |");
  const page = pageOf({ all: MEASURED, machine: "2 cores", charts: { item: ["results/x.svg"] } });
  assertStringIncludes(page, "2.70 (2.40 to 2.80) | 9.0 times ours |");
  assertStringIncludes(page, "40 M records of 1 M items, 3 rounds");
  assertStringIncludes(page, "(results/x.svg)");
});

Deno.test("withPeers writes between its marks alone, however often", () => {
  const readme =
    "before\n<!-- peers: written by deno task bench:peers -->\n\nold\n\n<!-- end of peers -->\nbehind\n";
  const once = withPeers(readme, "new");
  assertEquals(once.includes("old"), false);
  assertEquals([once.startsWith("before\n"), once.endsWith("\nbehind\n")], [true, true]);
  assertEquals(withPeers(once, "new"), once);
  assertThrows(() => withPeers("no marks", "new"), Error, "<!-- peers");
});

Deno.test("a work that is measured anew replaces what it had, others stay", () => {
  const file = FigureFile.of(MEASURED);
  assertEquals(file.has({ ...measurement("flink", 2, 1) }), true);
  assertEquals(file.has({ ...measurement("flink", 2, 1), records: 1 }), false);
  assertEquals(file.has({ ...measurement("flink", 2, 1), items: 1 }), false);
  file.forget("item", "b", ["flink"]);
  assertEquals(file.all.map(({ engine }) => engine), ["stockflow", "stockflow", "stockflow"]);
});

Deno.test("latencies: quantiles, and a curve that ends where there are no more of them", () => {
  const all = Array.from({ length: 1000 }, (_, i) => 1000 - i);
  const about = { setting: "x", rate: 10, what: "queries", at: "" } as const;
  const { p50, p99, p999, max, count, curve } = measurementOf(about, all);
  assertEquals([p50, p99, p999, max, count], [500, 990, 999, 1000, 1000]);
  assertEquals(curve[0], { share: 0, ms: 1 });
  assertEquals(curve.length, 32); // three nines in steps of ten, and the largest
  assertEquals(curve.at(-1)!.ms, 1000);
  assertEquals(quantile([7], 0.99), 7);
});

Deno.test("usedOf adds both generations, and refuses another collector's", () => {
  const info = `42:
 PSYoungGen      total 76288K, used 6554K [0x1, 0x2, 0x3)
  eden space 65536K, 10% used [0x1,0x2,0x3)
 ParOldGen       total 175104K, used 1000K [0x4, 0x5, 0x6)
  object space 175104K, 0% used [0x4,0x5,0x6)
 Metaspace       used 300K, committed 448K, reserved 1114112K
`;
  assertEquals(usedOf(info), (6554 + 1000) * 1024);
  assertThrows(() => usedOf(" garbage-first heap   total 262144K, used 5K"), Error, "ParallelGC");
});

Deno.test("items in turn: each item once, with stock that is added", () => {
  const input = new Input({ records: 100, items: 100, keys: "item", inTurn: true });
  const lines = Array.from({ length: 100 }, (_, i) => decodeUtf8(input.record(i).value!)!);
  assertEquals(
    lines.map((line) => line.split("\t")[2]),
    Array.from({ length: 100 }, (_, i) => `item_${i + 1}`),
  );
  assertEquals(lines.every((line) => line.endsWith("\t5")), true);
});
