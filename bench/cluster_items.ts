// GET /items through a process that does not have the item, beside the load of processes that share partitions: how long
// an answer takes outside of rebalances, and whether one is ever older than one that had come before it was asked for,
// while a process joins, one leaves, and one is killed.
//
//   deno task bench:cluster:items [--items=1000000] [--rate=100000] [--gets=1000] [--seconds=20] [--rounds=2]
//     [--calmRate=10000] [--calmGets=100]
//
// First under a load at which the machine has processors to spare, then under the full one. The processes, the broker and
// what loads and asks them share the processors: beside each figure stands how much of a core each of them took, and how
// long its threads could have run and found no core free. Where that is much, an answer waits for the machine.
//
// --details=1 adds the CPU of threads, and the requests to the broker a second, counted by a proxy before it: its latencies
// count for nothing, as the proxy takes CPU itself.
//
// The task has V8 collect the garbage of this process seldom, as bench:kafka:latency does: what waits here would be
// counted as latency of the processes.

import { GrowingItems } from "../tools/kit/growing_items.ts";
import type { Service } from "../tools/kit/service.ts";
import { encodeUtf8, Partitioner, partitionOf } from "../src/types/mod.ts";
import { ClusterScene } from "./cluster_scene.ts";
import { KeptConnections } from "./kept_connections.ts";
import { sleep } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";
import { CpuMeter, threadSeconds } from "./process_figures.ts";
import { printVerdict } from "./verdicts.ts";

const USAGE = "deno task bench:cluster:items [--items=1000000] [--rate=100000] [--processes=3] " +
  "[--partitions=12] [--gets=1000] [--seconds=20] [--rounds=2] [--calmRate=10000] [--calmGets=100] " +
  "[--details=0]";
const { items, rate, processes, partitions, gets, seconds, rounds, calmRate, calmGets, details } =
  readOptions(USAGE, {
    items: 1_000_000,
    rate: 100_000,
    processes: 3,
    partitions: 12,
    gets: 1000,
    seconds: 20,
    rounds: 2,
    calmRate: 10_000,
    calmGets: 100,
    details: 0,
  });
const P99_MS_MAX = 25;
/** So many items are asked for in turn. */
const GROWING = 64;
/** Each grows between any two answers about it, which are 64 ms apart, and the load of that stays small. */
const GROW_MS = 50;
const TICK_MS = 2;
/** To each process. */
const CONNECTIONS = 32;
const WARM_MS = 5000;

/** Asks so often a second, however long answers take; an answer takes from the moment when it is due to be asked for. */
class Client {
  #latencies: number[] = [];
  #failures = 0;
  /** Life of the owner by partition, and of each process by its host and port. */
  #owners: ReadonlyMap<number, string> = new Map();
  readonly #lives = new Map<string, string>();
  readonly #connections = new Map<string, KeptConnections>();
  #perSecond = 0;
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(readonly scene: ClusterScene, readonly growing: GrowingItems) {
    this.#running = this.#run();
  }

  /** So often a second from now on. */
  set perSecond(gets: number) {
    this.#perSecond = gets;
  }

  async #run(): Promise<void> {
    const asked = new Set<Promise<void>>();
    let n = 0;
    let due = 0;
    for (; !this.#isStopped; await sleep(TICK_MS)) {
      if (this.#perSecond === 0) {
        due = performance.now();
        continue;
      }
      for (; due < performance.now(); due += 1000 / this.#perSecond) {
        const one: Promise<void> = this.#ask(n++, due).finally(() => asked.delete(one));
        asked.add(one);
      }
    }
    await Promise.all(asked);
    for (const connections of this.#connections.values()) connections.close();
  }

  /** @param due performance.now() at which it is to be asked */
  async #ask(n: number, due: number): Promise<void> {
    const id = this.growing.idOf(n % GROWING);
    const { url } = this.#through(n, this.#owners.get(ownPartitionOf(id)));
    let connections = this.#connections.get(url);
    if (!connections) {
      this.#connections.set(url, connections = new KeptConnections(url, CONNECTIONS));
    }
    try {
      const before = this.growing.ask(n % GROWING);
      const { status, body } = await connections.get(`/items/${id}`);
      if (status !== 200) this.#failures++;
      else {
        this.#latencies.push(performance.now() - due);
        this.growing.answered(before, JSON.parse(body).quantity, url);
      }
    } catch {
      this.#failures++; // the process stops, or is gone
    }
  }

  /** One of the processes that do not have an item. */
  #through(n: number, owner: string | undefined): Service {
    const { running } = this.scene;
    const others = running.filter(({ url }) => this.#lives.get(url) !== owner);
    return (others.length > 0 ? others : running)[n % Math.max(1, others.length)]!;
  }

  /** Learns who has what, once all processes say the same. */
  async settled(): Promise<void> {
    this.#owners = await this.scene.settled();
    for (const { url } of this.scene.running) this.#lives.set(url, await lifeOf(url));
  }

  /** What came since the last call. */
  take(): { latencies: readonly number[]; failures: number } {
    const latencies = this.#latencies.toSorted((a, b) => a - b);
    const failures = this.#failures;
    this.#latencies = [];
    this.#failures = 0;
    return { latencies, failures };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }
}

function ownPartitionOf(id: string): number {
  return partitionOf(Partitioner.Murmur2, encodeUtf8(id), partitions);
}

async function lifeOf(url: string): Promise<string> {
  return (await (await fetch(`${url}/cluster`)).json()).self;
}

/** What came since the last call; answers the latency that 99 of 100 do not exceed. */
function print(what: string, client: Client): number {
  const { latencies, failures } = client.take();
  const at = (share: number) => latencies[Math.floor(share * (latencies.length - 1))] ?? Infinity;
  const [p50, p99, max] = [at(0.5), at(0.99), at(1)].map((ms) => ms.toFixed(1));
  console.log(
    `${what}: p50 ${p50} ms, p99 ${p99} ms, max ${max} ms of ${latencies.length} answers; ` +
      `${failures} requests without one`,
  );
  return at(0.99);
}

/** Asks so often for the time of a measurement; answers the p99. */
async function measureCalls(
  scene: ClusterScene,
  client: Client,
  folded: number,
  asked: number,
): Promise<number> {
  client.perSecond = asked;
  await sleep(WARM_MS);
  client.take();
  const pids: Record<string, number> = { "load and client": Deno.pid };
  pids.broker = scene.kafka.broker.pid;
  scene.running.forEach(({ pid }, n) => pids[`process ${n + 1}`] = pid);
  const requests = scene.kafka.requests?.counts;
  const threads = await threadsOf(pids);
  const meter = await CpuMeter.start(pids);
  await sleep(1000 * seconds);
  const [used, waited] = [await meter.percent(), await meter.waited()];
  const p99 = print(
    `${asked} GET /items a second through other processes, ${folded}/s folded`,
    client,
  );
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
    printThreads(threads, await threadsOf(pids));
  }
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
    rate: calmRate,
    flags,
    counts: details > 0,
  });
  const growing = await GrowingItems.start(scene.kafka.broker.bootstrap, GROWING, GROW_MS);
  const client = new Client(scene, growing);
  await client.settled();
  await measureCalls(scene, client, calmRate, calmGets);
  client.perSecond = 0;
  await scene.load(rate);
  const p99 = await measureCalls(scene, client, rate, gets);
  for (let round = 0; round < rounds; round++) {
    const change = async (what: string, doIt: () => Promise<unknown>) => {
      await doIt();
      await client.settled();
      await sleep(WARM_MS);
      print(what, client);
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
