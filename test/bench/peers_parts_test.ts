// The parts of bench/RESULTS.md beside the comparison: recovery, scale, stages, larger machines.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { untilLook } from "../../bench/peers/measure.ts";
import { type LatencyMeasurement, measurementOf, overloaded } from "../../bench/peers/latencies.ts";
import { FigureFile, type Measurement, rowsOf } from "../../bench/peers/figures.ts";
import { samplesIn, stageOf } from "../../bench/peers/profile.ts";
import { recoveryParts, waitsOf } from "../../bench/peers/recoveries.ts";
import { pageOf } from "../../bench/peers/report.ts";
import { bendOf, type ScaleMeasurement, scaleParts } from "../../bench/peers/scale.ts";
import { isBehind, send, Stopwatch } from "../../bench/peers/schedule.ts";
import { stageParts } from "../../bench/peers/stage_costs.ts";
import { short } from "../../bench/peers/tables.ts";
import { ENGINE_TITLES } from "../../bench/peers/works.ts";
import { completedIn, takenOf } from "../../bench/peers/checkpoints.ts";
import type { CheckpointEvent } from "../../src/state/mod.ts";

const at = "2026-11-27T09:00Z";

Deno.test("Stopwatch: what is due is taken once; one that is visible twice is doubled", () => {
  const watch = new Stopwatch(1000, 0);
  assertEquals(watch.takeDue(3.5), { first: 0, count: 3 });
  assertEquals(watch.takeDue(3.9), { first: 3, count: 0 });
  assertEquals(watch.takeDue(5), { first: 3, count: 2 });
  assertEquals([watch.dueAt(0), watch.dueAt(4)], [1, 5]);
  for (const n of [0, 4, 4]) watch.visible(n);
  assertEquals([watch.sent, watch.seen, watch.doubled], [5, 2, 1]);
  assertEquals(watch.latenciesSince(0).length, 2);
  assertEquals(watch.latenciesSince(5).length, 1);
});

Deno.test("sending goes on as long as its end is not there, and ends when that is moved", async () => {
  const watch = new Stopwatch(1000, performance.now());
  let end = Infinity;
  let taken = 0;
  await send(watch, () => end, (first, count) => {
    assertEquals(first, taken);
    taken += count;
    if (taken >= 10) end = 0;
    return Promise.resolve();
  });
  assertEquals([taken >= 10, watch.sent], [true, taken]);
});

Deno.test("who has more waiting than comes in two commits, or in a second, is behind", () => {
  const waiting = (n: number) => ({ sent: 1000 + n, seen: 1000, perSecond: 800 });
  assertEquals([800, 801].map((n) => isBehind(waiting(n), 100)), [false, true]);
  assertEquals([16_000, 16_001].map((n) => isBehind(waiting(n), 10_000)), [false, true]);
});

Deno.test("checkpoints of a period: as many as each partition completed, at the least", () => {
  const event = (
    partition: number,
    kind: CheckpointEvent["kind"],
    at: number,
  ): CheckpointEvent => ({
    kind,
    at,
    partition,
    sequence: at,
    offset: 0,
    totalBytes: 10 * at,
    durationMs: 3,
  });
  const two = [event(0, "completed", 5), event(0, "completed", 9), event(1, "completed", 8)];
  assertEquals(takenOf(two)!.bytes, 170);
  assertEquals(completedIn(takenOf(two), 4, 9), 1);
  assertEquals(completedIn(takenOf(two), 5, 7), 0);
  assertEquals(completedIn(takenOf([...two, event(1, "completed", 6)]), 4, 9), 2);
  // A third partition has only begun one.
  assertEquals(completedIn(takenOf([...two, event(2, "triggered", 6)]), 4, 9), 0);
  assertEquals(completedIn(takenOf([event(2, "triggered", 6)]), 4, 9), 0);
});

Deno.test("waitsOf: the first result behind a kill, and when less than a second of load waits", () => {
  const latencies = [
    [100, 20], // before the kill
    [180, 620], // on its way at the kill
    [210, 600],
    [500, 320],
    [800, 35], // late, and no longer than what was usual
    [900, 20],
  ] as const;
  const perSecond = 2; // caught up with one that waits
  const forEach = (of: (dueAt: number, ms: number) => void) =>
    latencies.forEach(([dueAt, ms]) => of(dueAt, ms));
  assertEquals(waitsOf({ forEach, perSecond }, 200), {
    longestBeforeMs: 20,
    firstResultMs: 610,
    longestMs: 620,
    caughtUpMs: 620, // at 810 two waited, at 820 one
    caughtUpBelowMs: 1000,
  });
  assertEquals(waitsOf({ forEach, perSecond: 1 }, 200).caughtUpMs, 635); // at 835 none waited
  assertEquals(waitsOf({ forEach, perSecond: 100 }, 200).caughtUpMs, 610); // with the first result
});

Deno.test("recoveryParts: a peer without checkpoints has empty cells", () => {
  const old = {
    engine: "streams",
    items: 1e6,
    rate: 20_000,
    at,
    checkpointBytes: null,
    checkpointMs: null,
    longestBeforeMs: 1100,
    firstResultMs: 12_340,
    longestMs: 13_000,
    caughtUpMs: 15_000,
    sent: 1_200_000,
    lost: 0,
    doubled: 0,
  } as const;
  const [text, table] = recoveryParts([{ ...old, caughtUpBelowMs: 1000 }], ENGINE_TITLES);
  assertStringIncludes(text!, "less is due and not visible than comes in 1 s of the load");
  assertEquals(text!.includes("(old)"), false);
  assertStringIncludes(
    table!,
    "| 1 M | Kafka Streams 4.1.0 |  |  | 1.10 s | 12.34 s | 15.00 s | 13.00 s | 0; 0 of 1.2 M |",
  );
  const [ofOld, oldTable] = recoveryParts([old], ENGINE_TITLES);
  assertStringIncludes(
    ofOld!,
    "What is marked (old) is until nothing waited longer than twice the longest wait before the kill",
  );
  assertStringIncludes(oldTable!, "| 15.00 s (old) |");
});

function point(n: number, cpu: number, workers = 2): ScaleMeasurement {
  const figures = { rate: 1e6 / cpu, cpu, brokerCpu: 0, bytes: 2 ** 30, items: n, loadSeconds: 1 };
  return { by: "items", n, workers, at, ...figures };
}

Deno.test("bendOf names where the cost changes most; one measurement has no bend", () => {
  const all = [point(1000, 0.2), point(10_000, 0.21), point(1e6, 0.42), point(1e7, 0.5)];
  assertStringIncludes(bendOf("items", all), "from 10 k to 1 M items: to 2.00 times");
  assertEquals(bendOf("items", all.slice(0, 1)), "");
  const [heading, , table] = scaleParts(all.toReversed());
  assertEquals(heading, "### By items");
  assertEquals(table!.split("\n")[2]!.startsWith("| 1 k | 2 | 5 M | 0.20 |"), true);
});

const SAMPLES = `
\t    7f1d2a30 JS:wasm-function[127]-127-turbofan (/tmp/perf-17.map)
\t    7f1d2a31 JS:*poll file:///x/src/engine/fold_loop.ts:1:2 (/tmp/perf-17.map)

\tffffffff8100 copy_user_generic ([kernel.kallsyms])
\tffffffff8101 tcp_recvmsg ([kernel.kallsyms])
\t    5581aa10 [unknown] (/home/x/linux-x64-glibc/deno)

\t    7f1d2a32 JS:*send file:///x/src/kafka/transactional_producer.ts:1:2 (/tmp/perf-17.map)

\t    5581aa10 [unknown] (/home/x/linux-x64-glibc/deno)

\t    7f00aa10 __memmove_avx (/usr/lib/libc.so.6)

\t    7f1d2a33 JS:*next file:///x/src/kafka/fetcher.ts:1:2 ([JIT] tid 17)
`;

Deno.test("stageOf: samples of perf by what their innermost frame is in, the kernel's by the call around", () => {
  assertEquals([...samplesIn(SAMPLES)].map(stageOf), [
    "core (WebAssembly)",
    "kernel: receiving from the broker (fetch)",
    "JavaScript: produce, commit, connection",
    "Deno and V8 (native)",
    "libc (memmove, malloc)",
    "JavaScript: fetch",
  ]);
});

Deno.test("stageParts: the core's stages beside the native loop's, and the profile in ns", () => {
  const stages = [["walk through the records", 12.4], ["windows", 30.2]] as const;
  const parts = stageParts([
    { kind: "loop", program: "rust", items: 1000, at, stages },
    { kind: "loop", program: "core", items: 1000, at, stages },
    {
      kind: "profile",
      work: "b",
      at,
      samples: 400,
      ns: 300,
      shares: [["core (WebAssembly)", 0.5]],
    },
  ]);
  assertStringIncludes(parts[1]!, "| ns per record | core, 1,000 items | Rust, 1,000 items |");
  assertStringIncludes(parts[1]!, "| all | 43 | 43 |");
  assertStringIncludes(parts[3]!, "| core (WebAssembly) | 50.0 % | 150 |");
});

function measured(engine: Measurement["engine"], round: number): Measurement {
  const figures = { cpu: 0.4, brokerCpu: 0.5, wholeCpu: 0.5, rate: 2.5e6, peakBytes: 2 ** 30 };
  const answers = { results: { records: 10, hash: "ab" } };
  const of = { keys: "item", work: "b", engine, round, records: 4e7, items: 1e6, at } as const;
  return { ...of, figures, ...(round === 1 ? { answers } : {}) };
}

Deno.test("answers of a run that was broken off are those that the next engines are compared with", () => {
  const file = FigureFile.of([measured("stockflow", 1), measured("stockflow", 2)]);
  const { figures: _, answers, at: __, ...wanted } = measured("flink", 1);
  assertEquals(file.answersOf(wanted), [["stockflow", answers!]]);
  assertEquals(file.answersOf({ ...wanted, records: 1 }), []);
});

Deno.test("the page labels what it says of larger machines as arithmetic, and only with figures of Kafka", () => {
  const page = (all: Measurement[]) => pageOf({ all, charts: {} });
  const text = page([measured("stockflow", 1)]);
  assertStringIncludes(text, "## Larger machines: arithmetic, not measured");
  assertStringIncludes(text, "| b | stockflow | 20 M/s | 80 M/s | 160 M/s |");
  assertEquals(page([]).includes("Larger machines"), false);
  assertEquals(rowsOf([measured("stockflow", 1)], "item").length, 1);
});

Deno.test("a setting that does not hold a rate has a line that says so", () => {
  const about = { setting: "Flink", rate: 200_000, what: "queries", at } as const;
  const text = pageOf({ all: [], charts: {}, latencies: [overloaded(about, 7)] });
  assertStringIncludes(text, "| 200000 | Flink | queries |  | does not hold it |  |  |  | 0 |");
  assertStringIncludes(text, "their windows began whatever waited");
});

Deno.test("the text of latencies takes warm-ups and windows from what was measured", () => {
  const of = (warmUpSeconds: number, seconds = 15) =>
    ({ setting: "Flink", rate: 10, what: "queries", at, warmUpSeconds, seconds }) as const;
  const text = (...latencies: readonly LatencyMeasurement[]) =>
    pageOf({ all: [], charts: {}, latencies });
  const same = text(measurementOf(of(20.04), [1]), overloaded(of(140), 7));
  assertStringIncludes(same, "A window of 15 s is measured, behind a warm-up of 20 s.");
  assertEquals(same.includes("whatever waited"), false);
  assertStringIncludes(same, "| 10 | Flink | queries | 140 s | does not hold it |");
  assertStringIncludes(
    text(measurementOf(of(20), [1]), measurementOf(of(55), [1])),
    "a warm-up of 20 to 55 s",
  );
});

Deno.test("short: three figures with the unit that fits", () => {
  assertEquals([950, 1000, 12_480, 3_104_000].map(short), ["950", "1 k", "12.5 k", "3.1 M"]);
});

Deno.test("who goes towards a goal is looked at again after half of the time that is left", () => {
  const at = (ms: number, records: number) => ({ at: ms, records });
  assertEquals(untilLook(at(0, 0), at(100, 1000), 5000), 200);
  assertEquals(untilLook(at(0, 0), at(100, 1000), 500_000), 1000);
  assertEquals(untilLook(at(0, 0), at(100, 1000), 1500), 100);
  assertEquals(untilLook(at(100, 1000), at(200, 1000), 5000), 100);
  assertEquals(untilLook(at(0, 0), at(0, 0), 5000), 100);
});
