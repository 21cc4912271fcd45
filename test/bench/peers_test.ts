// The parts of `deno task bench:peers` that need no broker.

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FigureFile, type Measurement, rowsOf, spreadOf } from "../../bench/peers/figures.ts";
import { usedOf } from "../../bench/peers/heap.ts";
import { Input, itemIdOf, KEY_SETS } from "../../bench/peers/input.ts";
import { measurementOf, quantile } from "../../bench/peers/latencies.ts";
import { differences, RecordSum } from "../../bench/peers/record_sum.ts";
import { headline, shortTable } from "../../bench/peers/comparison.ts";
import { pageOf, withPeers } from "../../bench/peers/report.ts";
import { ratio } from "../../bench/peers/tables.ts";
import { intervalIn, settingsOf } from "../../bench/peers/works.ts";
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

Deno.test("the tables say what stockflow takes of a peer's CPU, alone and with the broker's in both", () => {
  const rows = rowsOf(MEASURED, "item");
  const short = shortTable(rows);
  assertStringIncludes(short, "| 0.30 | 2.70 (stockflow takes 1/9.0) |  |");
  assertStringIncludes(short, "of the engine alone: the broker's and the start are not in it");
  const page = pageOf({ all: MEASURED, charts: { item: ["results/x.svg"] } });
  assertStringIncludes(
    page,
    "| b | Apache Flink 2.2.1 | 3 | 2.70 (2.40 to 2.80) | 1/9.0 | 0.10 | 1/7.0 |",
  );
  assertStringIncludes(page, "40 M records of 1 M items. In each round");
  assertStringIncludes(page, "(results/x.svg)");
});

Deno.test("the sentence above the table is made from the figures, and is another one where a peer takes less", () => {
  const of = (all: readonly Measurement[]) => headline(rowsOf(all, "item"));
  assertEquals(
    of([...MEASURED, measurement("streams", 1, 6)]),
    "stockflow takes the least CPU in all of them: 1/20 to 1/9.0 of its peers', 1/15 to 1/7.0 with the broker's in it.",
  );
  assertEquals(
    of([...MEASURED, measurement("streams", 1, 0.2)]),
    "stockflow takes less CPU than a peer in 1 of 2 comparisons of an engine at a work.",
  );
  assertEquals(of([]), "");
  assertStringIncludes(
    shortTable(rowsOf([...MEASURED, measurement("streams", 1, 0.2)], "item")),
    "1.5 times as much",
  );
});

Deno.test("ratio: whole numbers from 10 on, one decimal below", () => {
  assertEquals([25.31, 10.4, 9.96, 9.94, 1.44].map(ratio), ["25", "10", "10", "9.9", "1.4"]);
});

Deno.test("each row says how many rounds it is of, and whether a checkpoint is in its steady part", () => {
  const ours = (round: number, checkpoints: number | null) => {
    const m = measurement("stockflow", round, 0.3);
    const counted = checkpoints === null ? {} : { seconds: 9.3, checkpoints };
    return {
      ...m,
      settings: settingsOf("stockflow", "b", 4e7),
      figures: { ...m.figures, ...counted },
    };
  };
  const peer = measurement("flink", 1, 3);
  const page = (...all: readonly Measurement[]) => pageOf({ all: [...all, peer], charts: {} });
  assertStringIncludes(page(ours(1, 1)), "| b | stockflow | 1 | 0.30 |");
  assertStringIncludes(page(ours(1, 1)), "| 9.3 s, 1 checkpoint |");
  assertStringIncludes(page(ours(1, 1), ours(2, 1)), "| b | stockflow | 2 | 0.30 |");
  assertStringIncludes(page(ours(1, 0)), "| 9.3 s, no checkpoint |");
  assertStringIncludes(page(ours(1, 0), ours(2, 2)), "| 9.3 s, 0 to 2 checkpoints |");
  assertStringIncludes(
    page(ours(1, 1)),
    "more often than the peers' 10 s, so that its short runs hold one: every 8 s at b",
  );
  // One round of an older program, that did not count them.
  assertStringIncludes(page(ours(1, 1), ours(2, null)), "| checkpoints not counted |");
  const old = page(measurement("stockflow", 1, 0.3));
  assertStringIncludes(old, "the cost of a checkpoint is not in it");
  assertEquals(old.includes("more often"), false);
});

Deno.test("stockflow's checkpoints come so often that a run of any size holds one; the peers' do not change", () => {
  const interval = (work: "a" | "c" | "d", records: number) =>
    intervalIn(settingsOf("stockflow", work, records));
  assertEquals([interval("a", 4e7), interval("c", 4e7)], [8000, 3000]);
  assertEquals([interval("a", 1e7), interval("a", 1e9), interval("a", 1000)], [2000, 10_000, 500]);
  assertEquals([interval("d", 0), intervalIn(settingsOf("flink", "a", 4e7))], [null, null]);
});

Deno.test("the page says how many summaries pass the filter, and which it was", () => {
  const at = (summaries: number, parameters: Record<string, string>): Measurement => ({
    ...measurement("stockflow", 1, 0.3),
    work: "a",
    parameters,
    answers: { summaries: { records: summaries, hash: "ab" } },
  });
  const page = (m: Measurement) => pageOf({ all: [m], charts: {} });
  assertStringIncludes(
    page(at(0, {})),
    "0 summaries of its windows pass the filter (the seed's parameters) in 40 M records",
  );
  assertStringIncludes(
    page(at(12_345, { "transaction.num.min": "6" })),
    "12,345 summaries of its windows pass the filter (`transaction.num.min=6` in all engines)",
  );
});

Deno.test("each part says when and on which machine it was measured, once for each machine", () => {
  const on = (round: number, at: string, machine?: string): Measurement => {
    const m = { ...measurement("stockflow", round, 0.3), at };
    return machine === undefined ? m : { ...m, machine };
  };
  const all = [
    on(2, "2026-11-27T09:05Z", "X"),
    on(1, "2026-11-27T09:00Z", "X"),
    on(3, "2026-11-26T07:00Z"),
  ];
  const page = pageOf({ all, charts: {} });
  assertStringIncludes(page, "Measured from 2026-11-27T09:00Z to 2026-11-27T09:05Z on X.");
  assertStringIncludes(
    page,
    "Measured at 2026-11-26T07:00Z on a machine whose description was not kept.",
  );
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
  // With another filter, or other settings of its own, it is another measurement.
  const wanted = measurement("flink", 2, 1);
  assertEquals(file.has({ ...wanted, parameters: {}, settings: {} }), true);
  assertEquals(file.has({ ...wanted, parameters: { "transaction.num.min": "6" } }), false);
  assertEquals(file.has({ ...wanted, settings: { "checkpoint.interval.millis": "8000" } }), false);
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
