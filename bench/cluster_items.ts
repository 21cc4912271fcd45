// GET /items through a process that does not have the item, beside the load of processes that share partitions: how long
// an answer takes outside of rebalances, and whether one is ever older than one that had come before it was asked for,
// while a process joins, one leaves, and one is killed.
//
//   deno task bench:cluster:items [--items=1000000] [--rate=100000] [--gets=1000] [--seconds=20] [--rounds=2]
//     [--calmRate=10000] [--calmGets=100] [--warmup=30]
//
// Behind a warm-up under the full load, as a new broker's processor time goes into compiling itself, it measures under a
// load at which the machine has processors to spare, then under the full one. The processes, the broker and
// what loads and asks them share the processors: beside each figure stands how much of a core each of them took, and how
// long its threads could have run and found no core free. Where that is much, an answer waits for the machine.
//
// How much later than it was due the client had asked is printed too, as it takes part in the rush for a core; and the
// latencies of answers while checkpoints are written.
//
// --details=1 adds requests that go a part of the way, and the CPU of threads; --details=2 the requests to the broker a
// second as well, counted by a proxy before it: its latencies count for nothing, as the proxy takes CPU itself.
//
// The task has V8 collect the garbage of this process seldom, as bench:kafka:latency does: what waits here would be
// counted as latency of the processes.

import { GrowingItems } from "../tools/kit/growing_items.ts";
import type { CheckpointEvent } from "../src/state/mod.ts";
import { ClusterScene } from "./cluster_scene.ts";
import { GROWING, ItemClient, type Seen } from "./item_client.ts";
import { sleep } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";
import { CpuMeter, threadSeconds } from "./process_figures.ts";
import { printVerdict } from "./verdicts.ts";

const USAGE = "deno task bench:cluster:items [--items=1000000] [--rate=100000] [--processes=3] " +
  "[--partitions=12] [--gets=1000] [--seconds=20] [--rounds=2] [--calmRate=10000] [--calmGets=100] " +
  "[--warmup=30] [--details=0]";
const options = readOptions(USAGE, {
  items: 1_000_000,
  rate: 100_000,
  processes: 3,
  partitions: 12,
  gets: 1000,
  seconds: 20,
  rounds: 2,
  calmRate: 10_000,
  calmGets: 100,
  warmup: 30,
  details: 0,
});
const { items, rate, processes, partitions, gets, seconds, rounds, calmRate, calmGets } = options;
const { warmup, details } = options;
const P99_MS_MAX = 25;
/** Each grows between any two answers about it, which are 64 ms apart, and the load of that stays small. */
const GROW_MS = 50;
const WARM_MS = 5000;

/** Prints what came since the last call; answers the latency that 99 of 100 do not exceed. */
function print(what: string, { latencies, failures }: Seen): number {
  console.log(
    `${what}: ${latencies} of ${latencies.count} answers; ${failures} requests without one`,
  );
  return latencies.at(0.99);
}

/** Where the time of an answer goes. */
async function printParts(scene: ClusterScene, { latencies, late, parts }: Seen): Promise<void> {
  for (const [name, some] of parts) if (some.count > 0) console.log(`  ${name}: ${some}`);
  console.log(`  of all that, until the client had asked: ${late}`);
  const taken = await checkpointsIn(scene);
  const isTaking = (at: number) => taken.some(({ from, to }) => from <= at && at <= to);
  const during = latencies.when(isTaking);
  console.log(
    `  ${
      (100 * during.count / latencies.count).toFixed(0)
    } % of the answers came while a checkpoint was ` +
      `written: ${during}; the others: ${latencies.when((at) => !isTaking(at))}`,
  );
}

/** When checkpoints were taken, in ms since the epoch. */
async function checkpointsIn(scene: ClusterScene): Promise<{ from: number; to: number }[]> {
  const { events } = await (await fetch(`${scene.running[0]!.url}/checkpoints`)).json() as {
    readonly events: readonly CheckpointEvent[];
  };
  return events.filter(({ kind }) => kind === "completed")
    .map(({ at, durationMs }) => ({ from: at - durationMs!, to: at }));
}

/** Asks so often for the time of a measurement; answers the p99. */
async function measureCalls(
  scene: ClusterScene,
  client: ItemClient,
  folded: number,
  asked: number,
): Promise<number> {
  client.perSecond = asked;
  await sleep(WARM_MS);
  client.take();
  const pids: Record<string, number> = { "load and client": Deno.pid };
  pids.broker = scene.kafka.broker.pid;
  pids.store = scene.store.pid;
  scene.running.forEach(({ pid }, n) => pids[`process ${n + 1}`] = pid);
  const requests = scene.kafka.requests?.counts;
  const threads = details > 0 ? await threadsOf(pids) : null;
  const meter = await CpuMeter.start(pids);
  await sleep(1000 * seconds);
  const [used, waited] = [await meter.percent(), await meter.waited()];
  const seen = client.take();
  const what = `${asked} GET /items a second through other processes, ${folded}/s folded`;
  const p99 = print(what, seen);
  await printParts(scene, seen);
  const sum = (of: Record<string, number>) => Object.values(of).reduce((a, b) => a + b);
  const all = Object.keys(pids).map((name) =>
    `${name} ${used[name]!.toFixed(0)} (waited ${waited[name]!.toFixed(0)})`
  );
  console.log(
    `  CPU in percent of a core: ${all.join(", ")}; together ${sum(used).toFixed(0)} ` +
      `(waited ${sum(waited).toFixed(0)}) of ${100 * navigator.hardwareConcurrency}`,
  );
  if (requests) {
    const counts = [...scene.kafka.requests!.counts].map(([name, count]) =>
      [name, (count - (requests.get(name) ?? 0)) / seconds] as const
    ).filter(([, count]) => count >= 1).sort((a, b) => b[1] - a[1]);
    const list = counts.map(([name, count]) => `${name} ${count.toFixed(0)}`);
    console.log(`  Requests to the broker a second: ${list.join(", ")}`);
  }
  if (threads) printThreads(threads, await threadsOf(pids));
  return p99;
}

type Threads = Map<string, Map<number, readonly [string, number]>>;

async function threadsOf(pids: Readonly<Record<string, number>>): Promise<Threads> {
  const all: Threads = new Map();
  for (const [name, pid] of Object.entries(pids)) all.set(name, await threadSeconds(pid));
  return all;
}

/** What threads took meanwhile, in percent of a core. */
function printThreads(before: Threads, after: Threads): void {
  for (const [name, threads] of after) {
    const used = [...threads].map(([id, [thread, seconds]]) =>
      [thread, seconds - (before.get(name)?.get(id)?.[1] ?? 0)] as const
    ).filter(([, s]) => s >= seconds / 200).sort((a, b) => b[1] - a[1]);
    const list = used.map(([thread, s]) => `${thread} ${(100 * s / seconds).toFixed(1)}`);
    console.log(`  ${name}: ${list.join(", ")}`);
  }
}

async function measure(): Promise<void> {
  const flags = { "checkpoint.interval.millis": "10000" };
  await using scene = await ClusterScene.open({
    partitions,
    processes,
    items,
    rate,
    flags,
    counts: details > 1,
  });
  const growing = await GrowingItems.start(scene.kafka.broker.bootstrap, GROWING, GROW_MS);
  const client = new ItemClient(scene, growing, partitions, details > 0);
  await client.settled();
  client.perSecond = gets;
  await sleep(1000 * warmup);
  client.perSecond = 0;
  await scene.load(calmRate);
  await measureCalls(scene, client, calmRate, calmGets);
  client.perSecond = 0;
  await scene.load(rate);
  const p99 = await measureCalls(scene, client, rate, gets);
  for (let round = 0; round < rounds; round++) {
    const change = async (what: string, doIt: () => Promise<unknown>) => {
      await doIt();
      await client.settled();
      await sleep(WARM_MS);
      print(what, client.take());
    };
    await change("one joins", () => scene.join());
    await change("one leaves", () => scene.leave(scene.running[0]!));
    await change("one is killed", () => scene.kill(scene.running[0]!));
    if (round + 1 < rounds) await change("one joins", () => scene.join());
  }
  await client.stop();
  await growing.stop();
  for (const older of growing.older) console.log(older);
  printVerdict(
    p99 <= P99_MS_MAX,
    `p99 outside of rebalances ${p99.toFixed(1)} ms of ${P99_MS_MAX}`,
  );
  printVerdict(
    growing.older.length === 0,
    `${growing.answers} answers, ${growing.older.length} of them older than one before`,
  );
}

await measure();
