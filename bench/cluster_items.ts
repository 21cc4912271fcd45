// GET /items through a process that does not have the item, beside the load of processes that share partitions: how long
// an answer takes outside of rebalances, and whether one is ever older than one that had come before it was asked for,
// while a process joins, one leaves, and one is killed.
//
//   deno task bench:cluster:items [--items=1000000] [--rate=100000] [--gets=1000] [--seconds=20] [--rounds=2]
//
// The task has V8 collect the garbage of this process seldom, as bench:kafka:latency does: what waits here would be
// counted as latency of the processes.

import { GrowingItems } from "../tools/kit/growing_items.ts";
import type { Service } from "../tools/kit/service.ts";
import { encodeUtf8, Partitioner, partitionOf } from "../src/types/mod.ts";
import { ClusterScene } from "./cluster_scene.ts";
import { sleep } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";
import { printVerdict } from "./verdicts.ts";

const USAGE = "deno task bench:cluster:items [--items=1000000] [--rate=100000] [--processes=3] " +
  "[--partitions=12] [--gets=1000] [--seconds=20] [--rounds=2]";
const { items, rate, processes, partitions, gets, seconds, rounds } = readOptions(USAGE, {
  items: 1_000_000,
  rate: 100_000,
  processes: 3,
  partitions: 12,
  gets: 1000,
  seconds: 20,
  rounds: 2,
});
const P99_MS_MAX = 25;
/** So many items are asked for in turn. */
const GROWING = 64;
const TICK_MS = 5;
const ANSWER_MS_MAX = 20_000;
const WARM_MS = 5000;

/** Asks so often a second, however long answers take. */
class Client {
  #latencies: number[] = [];
  #failures = 0;
  /** Life of the owner by partition, and of each process by its host and port. */
  #owners: ReadonlyMap<number, string> = new Map();
  readonly #lives = new Map<string, string>();
  #isStopped = false;
  readonly #running: Promise<void>;

  constructor(readonly scene: ClusterScene, readonly growing: GrowingItems) {
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const from = performance.now();
    const asked: Promise<void>[] = [];
    for (let n = 0; !this.#isStopped; await sleep(TICK_MS)) {
      while (n < (performance.now() - from) * gets / 1000) asked.push(this.#ask(n++));
    }
    await Promise.all(asked);
  }

  async #ask(n: number): Promise<void> {
    const asked = this.growing.ask(n % GROWING);
    const id = this.growing.idOf(asked.number);
    const { url } = this.#through(n, this.#owners.get(ownPartitionOf(id)));
    const from = performance.now();
    try {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX);
      const response = await fetch(`${url}/items/${id}`, { signal });
      const { quantity } = await response.json();
      if (!response.ok) this.#failures++;
      else {
        this.#latencies.push(performance.now() - from);
        this.growing.answered(asked, quantity, url);
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

async function measure(): Promise<void> {
  const flags = { "checkpoint.interval.millis": "10000" };
  await using scene = await ClusterScene.open({ partitions, processes, items, rate, flags });
  const growing = await GrowingItems.start(scene.kafka.broker.bootstrap, GROWING);
  const client = new Client(scene, growing);
  await client.settled();
  await sleep(WARM_MS);
  client.take();
  await sleep(1000 * seconds);
  const p99 = print(
    `${gets} GET /items a second through other processes, ${rate}/s folded`,
    client,
  );
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
