import { assertEquals } from "@std/assert";
import {
  mergeHistories,
  mergePoints,
  mergeStatuses,
  type ProcessReport,
} from "../../src/service/merge_status.ts";
import { ClusterStatusReader } from "../../src/service/cluster_status.ts";
import type { JobStatus, PartitionStatus, SeriesPoint } from "../../src/service/mod.ts";
import { systemClock } from "../../src/types/mod.ts";
import { NO_DURATIONS } from "../../src/engine/mod.ts";

const MINUTE = { commits: NO_DURATIONS, queries: NO_DURATIONS };

function partition(n: number, more: Partial<PartitionStatus> = {}): PartitionStatus {
  const check = { agrees: true, left: "1", right: "1", at: 1 };
  return {
    partition: n,
    worker: 0,
    isReady: true,
    position: 10,
    lag: 1,
    watermark: null,
    items: 3,
    stateBytes: 100,
    openWindows: 0,
    accepted: 4,
    rejected: 1,
    duplicates: 0,
    invalid: 0,
    remembered: null,
    clockAheadMs: 0,
    rate: 10,
    skew: 1,
    checkpointMs: null,
    checkpointAt: null,
    checkpointFailures: 0,
    conservation: { records: check, stocks: null, broken: null },
    ...more,
  };
}

/** What a process with these partitions says of itself. */
function statusOf(partitions: PartitionStatus[], more: Partial<JobStatus> = {}): JobStatus {
  const step = { busy: 0.5, idle: 0.5, backPressured: 0 };
  const process = { workers: 1, partitions: 1, isLeader: false };
  return {
    at: 1000,
    startedAt: 1,
    version: "1",
    job: "job",
    state: "running",
    standsBy: null,
    cluster: {
      generation: 7,
      partitions: 2,
      processes: [
        { ...process, address: "a:1", isHere: true },
        { ...process, address: "b:1", isHere: false },
      ],
    },
    isReady: true,
    verdict: { level: "ok", sentence: "All is well", findings: [] },
    conditions: [],
    conditionStates: {},
    totals: {
      recordsIn: 5,
      recordsOut: 5,
      accepted: 4,
      rejected: 1,
      duplicates: 0,
      invalid: { no_item: 1 },
      late: 0,
      farAhead: 0,
      impossibleTimestamps: 0,
      summaries: 0,
      queries: 2,
      invalidQueries: {},
      linesDropped: 0,
    },
    rates: { recordsIn: 10, recordsOut: null, queries: 1 },
    lag: 1,
    items: 3,
    openWindows: 0,
    idempotencyWindowMs: 0,
    memory: { used: 100, max: 1000 },
    latency: {
      commit: { count: 0, p50Ms: null, p99Ms: null },
      query: { count: 0, p50Ms: null, p99Ms: null },
    },
    durations: { commits: NO_DURATIONS, queryCommits: NO_DURATIONS, queries: NO_DURATIONS },
    flow: [{ step: "source", ...step, pressure: "OK" }],
    workers: [
      {
        worker: 0,
        shares: step,
        pressure: "OK",
        commits: 1,
        recoveries: 0,
        commitAt: 5,
        commitMs: 1,
      },
    ],
    queryWorker: { recoveries: 0, commitAt: 3 },
    partitions,
    recoveries: [],
    disks: [],
    log: null,
    topics: {
      transactions: "t",
      results: "r",
      summaries: null,
      deadLetters: null,
      queries: "q",
      queryResults: "qr",
    },
    ...more,
  };
}

const report = (address: string, status: JobStatus): ProcessReport => ({
  address,
  status,
  point: null,
  minute: MINUTE,
  why: null,
});

Deno.test("mergeStatuses adds up what processes say, and names the process of each entry", () => {
  const condition = { what: "disk", reason: "full", blocks: "writes", since: 2 } as const;
  const merged = mergeStatuses([
    report("a:1", statusOf([partition(1, { rate: 30 })])),
    report(
      "b:1",
      statusOf([partition(0)], {
        conditions: [condition],
        conditionStates: { disk: true },
        verdict: {
          level: "broken",
          sentence: "Full",
          findings: [{ level: "broken", what: "disk", text: "Full" }],
        },
        recoveries: [{ at: 900, cause: "lost", worker: "0" }],
      }),
    ),
  ], 0);
  assertEquals(merged.partitions.map((p) => [p.partition, p.process, p.skew]), [
    [0, "b:1", 0.5],
    [1, "a:1", 1.5],
  ]);
  assertEquals(merged.totals.accepted, 8);
  assertEquals(merged.totals.invalid, { no_item: 2 });
  assertEquals([merged.lag, merged.items, merged.memory.max], [2, 6, 2000]);
  assertEquals(merged.rates, { recordsIn: 20, recordsOut: null, queries: 2 });
  assertEquals(merged.workers.map(({ process }) => process), ["a:1", "b:1"]);
  assertEquals(merged.conditions, [{ ...condition, process: "b:1" }]);
  assertEquals(merged.recoveries.map(({ process }) => process), ["b:1"]);
  assertEquals(merged.verdict.level, "broken");
  assertEquals(merged.verdict.sentence, "b:1: Full");
  assertEquals(merged.cluster!.processes.map(({ state, why }) => [state, why]), [
    ["running", null],
    ["running", null],
  ]);
  assertEquals([merged.isReady, merged.state], [true, "running"]);
});

Deno.test("a process that does not answer is shown as such, with what the others say", () => {
  const silent = { address: "b:1", status: null, point: null, minute: null, why: "refused" };
  const merged = mergeStatuses([report("a:1", statusOf([partition(1)])), silent], 0);
  assertEquals(merged.partitions.map((p) => p.partition), [1]);
  assertEquals(merged.isReady, false);
  assertEquals(merged.verdict.findings, [{
    level: "warning",
    what: "process",
    text: "The process at b:1 does not say how it is: refused",
  }]);
  assertEquals(merged.cluster!.processes.map(({ state, why }) => [state, why]), [
    ["running", null],
    [null, "refused"],
  ]);
});

Deno.test("a partition that moves is shown once, by the process that folds it", () => {
  const former = partition(0, { worker: null, isReady: false, position: 99 });
  const merged = mergeStatuses([
    report("a:1", statusOf([former])),
    report("b:1", statusOf([partition(0)], { state: "recovering" })),
  ], 0);
  assertEquals(merged.partitions.map((p) => [p.process, p.position]), [["b:1", 10]]);
  assertEquals(merged.state, "recovering");
});

const pointOf = (at: number, more: Partial<SeriesPoint> = {}): SeriesPoint => ({
  at,
  recordsIn: 1,
  recordsOut: 1,
  queries: 0,
  accepted: 1,
  rejected: 0,
  invalid: 0,
  lag: null,
  items: 2,
  stateBytes: 10,
  busy: 0.2,
  idle: 0.8,
  backPressured: 0,
  commitP50Ms: 1,
  commitP99Ms: 2,
  queryP50Ms: null,
  queryP99Ms: null,
  ...more,
});

Deno.test("points of charts are added up, latencies are those of the slowest process; histories go together by age", () => {
  assertEquals(mergePoints([{ point: null }]), null);
  const both = mergePoints([
    { point: pointOf(100, { busy: 0.4, lag: 3 }) },
    { point: pointOf(70, { commitP99Ms: 9 }) },
  ])!;
  assertEquals([both.at, both.recordsIn, both.items, both.lag], [100, 2, 4, 3]);
  assertEquals([both.busy.toFixed(1), both.commitP99Ms, both.queryP99Ms], ["0.3", 9, null]);
  // The clock of the other one is behind, and it started later.
  const { seconds, tens } = mergeHistories([
    { seconds: [pointOf(1), pointOf(2), pointOf(3)], tens: [] },
    { seconds: [pointOf(-50)], tens: [pointOf(-50)] },
  ]);
  assertEquals(seconds.map(({ at, recordsIn }) => [at, recordsIn]), [[1, 1], [2, 1], [3, 2]]);
  assertEquals(tens, []);
});

Deno.test("a process that leaves while its status is waited for ends nobody's look", async () => {
  const member = (life: string) => ({
    memberId: life,
    life,
    address: null,
    capacity: 1,
    watchedBy: null,
  });
  const viewOf = (...lives: string[]) => ({
    generation: 1,
    nonce: 1,
    state: "sharing",
    members: lives.map(member),
    self: 0,
    leader: 0,
    inputs: [],
  });
  const cluster = { view: viewOf("a", "b"), connectionTo: () => null };
  let goOn = () => {};
  const sleep = () => new Promise<void>((resolve) => goOn = resolve);
  const clock = { ...systemClock, sleep };
  const own = {
    report: () =>
      Promise.resolve({ status: statusOf([partition(0)]), point: null, minute: MINUTE }),
  };
  const reader = new ClusterStatusReader(cluster as never, own as never, clock);
  const first = reader.read();
  await new Promise((resolve) => setTimeout(resolve, 0)); // it waits for b
  cluster.view = viewOf("a");
  await reader.read();
  goOn();
  assertEquals((await first).status.partitions.map((p) => p.partition), [0]);
});
