import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  DURATION_BOUNDS_SECONDS,
  NO_DURATIONS,
  type PartitionFigures,
} from "../../src/engine/mod.ts";
import { Durations } from "../../src/engine/durations.ts";
import { durationsSince, quantileMs } from "../../src/service/quantiles.ts";
import { guaranteeOf } from "../../src/service/pipeline.ts";
import { pressureOf } from "../../src/service/status.ts";
import { type Facts, verdictOf } from "../../src/service/verdict.ts";
import { OutcomeCounts } from "../../src/service/outcome_counts.ts";
import { Samples } from "../../src/service/status_history.ts";
import { systemClock } from "../../src/types/mod.ts";
import { line, World } from "../engine/world.ts";

const CHECK = { agrees: true, left: "1", right: "1", at: 1 };
const SHARES = { busy: 0.5, idle: 0.5, backPressured: 0 };
const WELL: Facts = {
  at: 1_000_000,
  state: "running",
  standsBy: null,
  cluster: null,
  conditions: [],
  rates: { recordsIn: 100, recordsOut: 100, queries: 0 },
  lag: 5,
  flow: [{ step: "processor", ...SHARES, pressure: "OK" }],
  recoveries: [],
  failure: null,
  partitions: [0, 1].map((partition) => ({
    partition,
    isReady: true,
    checkpointFailures: 0,
    conservation: { records: CHECK, stocks: null, broken: null },
  })),
  checkpointFailures: new Map(),
  partitionCount: 2,
};

Deno.test("verdictOf says in one sentence that all is well, or what is worst", () => {
  const well = verdictOf(WELL);
  assertEquals([well.level, well.findings], ["ok", []]);
  assertStringIncludes(well.sentence, "All is well");
  const cases: [Partial<Facts>, "warning" | "broken", string][] = [
    [{ failure: "No disk" }, "broken", "The job has failed: No disk"],
    [{ state: "stopping" }, "warning", "The job stops"],
    [
      {
        state: "recovering",
        partitions: [WELL.partitions[0]!, { ...WELL.partitions[1]!, isReady: false }],
      },
      "warning",
      "1 of 2 partitions are being recovered",
    ],
    [
      { conditions: [{ what: "disk", reason: "the disk is full", blocks: "writes", since: 1 }] },
      "broken",
      "The disk is full",
    ],
    [
      { conditions: [{ what: "memory", reason: "nearly full", blocks: "nothing", since: 1 }] },
      "warning",
      "Nearly full",
    ],
    [{ lag: 1_000_000 }, "warning", "The job is behind the end of its log"],
    [{ lag: 1_000_000, rates: { ...WELL.rates, recordsIn: 0 } }, "warning", "none is folded"],
    [{ flow: [{ step: "processor", ...SHARES, pressure: "HIGH" }] }, "warning", "back pressure"],
    [{ checkpointFailures: new Map([[1, "no room"]]) }, "warning", "partition 1 failed: no room"],
    [
      { recoveries: [{ at: 990_000, cause: "A commit was lost", worker: "1" }] },
      "warning",
      "Worker 1 recovered within the last five minutes: A commit was lost",
    ],
    [
      {
        partitions: [{
          ...WELL.partitions[0]!,
          conservation: { records: CHECK, stocks: null, broken: { at: 1, text: "It leaks" } },
        }],
        lag: 1_000_000,
      },
      "broken",
      "It leaks",
    ],
  ];
  for (const [facts, level, text] of cases) {
    const verdict = verdictOf({ ...WELL, ...facts });
    assertEquals(verdict.level, level, text);
    assertStringIncludes(verdict.sentence, text);
  }
  // An old recovery, and a lag that is folded within seconds, are not findings.
  const old = [{ at: 1, cause: "x", worker: "0" }];
  assertEquals(verdictOf({ ...WELL, recoveries: old }).level, "ok");
  assertEquals(
    verdictOf({ ...WELL, lag: 5000, rates: { ...WELL.rates, recordsIn: 1000 } }).level,
    "ok",
  );
  const standBy = verdictOf({ ...WELL, state: "standing_by", standsBy: { active: "a:1" } });
  assertEquals([standBy.level, standBy.sentence.includes("a:1")], ["ok", true]);
  // One of several processes speaks of what it has, not of all.
  const of = { workers: 2, isHere: false, isLeader: false };
  const shared = verdictOf({
    ...WELL,
    cluster: {
      generation: 3,
      partitions: 64,
      processes: [
        { ...of, address: "a:1", partitions: 62, isLeader: true },
        { ...of, address: "b:1", partitions: 2, isHere: true },
      ],
    },
  });
  assertStringIncludes(
    shared.sentence,
    "All is well in this process, which has 2 of 64 partitions",
  );
  assertStringIncludes(shared.sentence, "2 processes share them");
});

Deno.test("quantileMs interpolates within a class, and stops at the largest bound", () => {
  assertEquals(quantileMs(NO_DURATIONS, 0.5), null);
  const durations = new Durations();
  for (let i = 0; i < 100; i++) durations.add(i < 50 ? 0.5 : 7);
  const before = durations.snapshot();
  assertEquals(quantileMs(before, 0.5), 1);
  assertEquals(quantileMs(before, 0.75), 7.5);
  durations.add(99_999, 3);
  const since = durationsSince(before, durations.snapshot());
  assertEquals(since.counts.at(-1), 3);
  assertEquals(quantileMs(since, 0.99), 1000 * DURATION_BOUNDS_SECONDS.at(-1)!);
});

Deno.test("pressureOf has Flink's bounds", () => {
  assertEquals([0, 0.1, 0.11, 0.5, 0.51, 1].map(pressureOf), [
    "OK",
    "OK",
    "LOW",
    "LOW",
    "HIGH",
    "HIGH",
  ]);
});

Deno.test("samples: ten minutes by the second, an hour by ten, rates from what was counted between", () => {
  const samples = new Samples();
  const sample = (i: number) => ({
    at: 1000 * i,
    monotonic: 1000 * i,
    recordsIn: 50 * i,
    recordsOut: 60 * i,
    queries: i,
    accepted: 40 * i,
    rejected: 10 * i,
    invalid: 0,
    lag: null,
    items: i,
    stateBytes: 1,
    ...SHARES,
    commits: NO_DURATIONS,
    queryDurations: NO_DURATIONS,
    firingMs: 0,
    byPartition: new Map([[0, 50 * i]]),
  });
  assertEquals([samples.now, samples.point], [null, null]);
  for (let i = 0; i <= 4000; i++) samples.add(sample(i));
  const { seconds, tens } = samples.history;
  assertEquals([seconds.length, tens.length], [600, 360]);
  assertEquals([seconds[0]!.recordsIn, tens[0]!.recordsIn], [50, 50]);
  assertEquals(tens.at(-1)!.at - tens[0]!.at, 3_590_000);
  assertEquals(samples.point!.recordsOut, 60);
  assertEquals(samples.now!.from.byPartition.get(0), 50 * 3995);
  // A counter that goes back, as one of a partition that is recovered, is not a negative rate.
  samples.add({ ...sample(4001), recordsIn: 10 });
  assertEquals(samples.point!.recordsIn, 0);
});

Deno.test("outcomes are counted where they were folded: a partition that is recovered, or comes from another process, brings none", () => {
  const counts = new OutcomeCounts();
  const look = (...partitions: [partition: number, recordsIn: number, accepted: number][]) => {
    counts.update(partitions.map(([partition, recordsIn, accepted]) => ({
      partition,
      recordsIn,
      accepted,
      rejected: 2 * recordsIn,
      invalid: [recordsIn, 1],
      isReady: partition === 9,
    })));
    return counts.counts.accepted;
  };
  // A partition that is claimed, restored from its checkpoint, replayed, and then folded with outputs.
  assertEquals([look([0, 0, 0]), look([0, 0, 150_000]), look([0, 0, 150_900])], [0, 0, 0]);
  assertEquals([look([0, 10, 150_910]), look([0, 15, 150_915])], [0, 5]);
  assertEquals(counts.counts, { accepted: 5, rejected: 10, invalid: 5 });
  // It goes to another process, which folds 1,000 of it, and comes back.
  assertEquals([look(), look([0, 3, 151_915]), look([0, 5, 151_917])], [5, 5, 7]);
  // It is recovered here: what it reports begins anew, and then stands where it stood.
  assertEquals([look([0, 0, 0]), look([0, 4, 151_921]), look([0, 5, 151_922])], [7, 7, 8]);
  // Of one that was ready before its first record, that record counts.
  assertEquals([look([9, 0, 70]), look([9, 1, 71])], [8, 9]);
});

Deno.test("status of a running job: totals, partitions, checks, flow; reading it changes nothing", async () => {
  const world = await World.open({ "commit.interval.ms": "10" });
  const life = await world.start();
  for (let i = 0; i < 60; i++) {
    const { itemId, record } = line(i, `item_${i % 7}`, i % 5 - 1, 1000);
    const partition = life.job.context.owners.partitionOf(itemId);
    await world.clock.run(life.log.append("transactions", partition, [record]), "append");
  }
  for (let i = 0; i < 7; i++) await world.clock.advance(1000);
  const status = life.job.status();
  assertEquals(status, life.job.status());
  assertEquals([status.state, status.verdict.level], ["running", "ok"]);
  assertEquals(status.totals.recordsIn, 60);
  assertEquals(status.totals.recordsOut, 60);
  assertEquals(status.totals.accepted + status.totals.rejected, 60);
  assertEquals([status.lag, status.items], [0, 7]);
  assertEquals(status.partitions.map((p) => p.partition), [0, 1]);
  for (const { conservation: { records, stocks, broken }, isReady } of status.partitions) {
    assertEquals([records.agrees, stocks!.agrees, broken, isReady], [true, true, null, true]);
  }
  assertEquals(status.flow.map(({ step }) => step), ["source", "processor", "windows", "sinks"]);
  assert(status.rates.recordsIn !== null);
  assert(life.job.history.seconds.length >= 5);
  const outcomes = life.job.history.seconds.reduce((n, p) => n + p.accepted + p.rejected, 0);
  assert(outcomes > 0);
  assertEquals(JSON.parse(JSON.stringify(status)), status); // plain data
  await world.stop(life);
  world.close();
});

Deno.test("planted: counts that disagree make the verdict broken, and a condition, for good", async () => {
  const world = await World.open();
  const life = await world.start();
  const { itemId, record } = line(1, "item_1", 5, 1000);
  const partition = life.job.context.owners.partitionOf(itemId);
  await world.clock.run(life.log.append("transactions", partition, [record]), "append");
  await world.clock.advance(100);
  assertEquals(life.job.status().verdict.level, "ok");
  const { core } = life.worker.partitions[partition]!.processor;
  const sound = core.state;
  core.restoreScalars({ ...sound, accepted: 2n });
  const { verdict, partitions } = life.job.status();
  assertEquals([verdict.level, verdict.findings.map(({ what }) => what)], [
    "broken",
    ["conservation"],
  ]);
  assertStringIncludes(verdict.sentence, "1 records were consumed, 2 have an outcome");
  assertEquals(partitions[partition]!.conservation.records.agrees, false);
  assertEquals(life.job.conditions.list().map(({ what }) => what), ["conservation"]);
  // What has disagreed once is worth a look, whatever comes behind.
  core.restoreScalars({ ...sound, items: 1n });
  assertEquals(life.job.status().verdict.level, "broken");
  life.kill();
  world.close();
});

Deno.test("a partition whose clock is more than a day ahead is a condition, and a metric", async () => {
  const world = await World.open();
  const life = await world.start();
  const DAY_MS = 86_400_000;
  const send = async (id: number, timestamp: number) => {
    const { itemId, record } = line(id, "item_1", 1, timestamp);
    const partition = life.job.context.owners.partitionOf(itemId);
    const offset = await life.log.append("transactions", partition, [record]);
    await world.clock.until(
      () => life.worker.partitions[partition]!.processor.position > offset,
      "it is folded",
    );
    return partition;
  };
  const found = () => life.job.status().conditions.filter(({ what }) => what === "clock");
  const partition = await send(1, world.clock.now() + DAY_MS - 1000);
  assertEquals(found(), []);
  await send(2, 9e15); // what no date can be moves nothing
  assertEquals(found(), []);
  assertEquals(life.job.status().totals.impossibleTimestamps, 1);
  await send(3, world.clock.now() + 2 * DAY_MS);
  const [condition] = found();
  assertStringIncludes(condition!.reason, `partition ${partition}`);
  assertEquals(condition!.blocks, "nothing");
  assert(life.job.status().partitions[partition]!.clockAheadMs > DAY_MS);
  // Time goes on.
  await world.clock.advance(DAY_MS);
  assertEquals(found(), []);
  await world.stop(life);
  world.close();
});

Deno.test("a clock that is set back takes nothing from how far repetitions are recognised", () => {
  let now = 1_480_000;
  const clock = { ...systemClock, now: () => now };
  const remembered = { transactions: 1024, guaranteedMs: 480_000, since: 1_000_000 };
  const guarantee = guaranteeOf(() => [{ remembered } as PartitionFigures], clock);
  assertEquals(guarantee(), 480_000);
  now -= 3_600_000;
  assertEquals(guarantee(), 480_000);
  now = 1_600_000;
  assertEquals(guarantee(), 600_000);
});
