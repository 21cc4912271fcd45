// The client of bench:cluster:items: asks for items so often a second, through processes that do not have them.

import type { GrowingItems } from "../tools/kit/growing_items.ts";
import type { Service } from "../tools/kit/service.ts";
import { encodeUtf8, Partitioner, partitionOf } from "../src/types/mod.ts";
import type { ClusterScene } from "./cluster_scene.ts";
import { KeptConnections } from "./kept_connections.ts";
import { sleep } from "./kafka_scene.ts";

/** So many items are asked for in turn. */
export const GROWING = 64;
const TICK_MS = 2;
/** To each process. */
const CONNECTIONS = 32;
/** Requests of each kind that are sent a second to see where an answer's time goes. */
const PROBES = 20;

/** Latencies in ms, with the moments when they ended. */
export class Latencies {
  #all: { readonly at: number; readonly ms: number }[] = [];

  add(ms: number): void {
    this.#all.push({ at: Date.now(), ms });
  }

  /** What came since the last call. */
  take(): Latencies {
    const taken = new Latencies();
    taken.#all = this.#all;
    this.#all = [];
    return taken;
  }

  /** Those that ended at a moment, in ms since the epoch, that is one of these. */
  when(isOne: (at: number) => boolean): Latencies {
    const some = new Latencies();
    some.#all = this.#all.filter(({ at }) => isOne(at));
    return some;
  }

  get count(): number {
    return this.#all.length;
  }

  /** The latency that a share of them does not exceed, in ms; Infinity if there are none. */
  at(share: number): number {
    const sorted = this.#all.map(({ ms }) => ms).toSorted((a, b) => a - b);
    return sorted[Math.floor(share * (sorted.length - 1))] ?? Infinity;
  }

  toString(): string {
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => this.at(share).toFixed(1));
    return `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`;
  }
}

/** What a client has seen. */
export interface Seen {
  readonly latencies: Latencies;
  readonly failures: number;
  /** How much later than it was due each request was sent: the client's own event loop was busy, or had no core. */
  readonly late: Latencies;
  /** Of requests that go a part of the way, by what they are. */
  readonly parts: ReadonlyMap<string, Latencies>;
}

/** Asks so often a second, however long answers take; an answer takes from the moment when it is due to be asked for. */
export class ItemClient {
  readonly #latencies = new Latencies();
  readonly #late = new Latencies();
  readonly #parts = {
    "a request that nobody else is asked for": new Latencies(),
    "an item of the process that is asked": new Latencies(),
    "an item of another process": new Latencies(),
  };
  #failures = 0;
  /** Life of the owner by partition, and of each process by its host and port. */
  #owners: ReadonlyMap<number, string> = new Map();
  readonly #lives = new Map<string, string>();
  readonly #connections = new Map<string, KeptConnections>();
  #perSecond = 0;
  #isStopped = false;
  readonly #running: Promise<unknown>;

  /** @param partitions of the topic of transactions */
  constructor(
    readonly scene: ClusterScene,
    readonly growing: GrowingItems,
    readonly partitions: number,
    probes: boolean,
  ) {
    this.#running = Promise.all([this.#run(), probes ? this.#probe() : null]);
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
    const { url } = this.#through(n, this.#ownerOf(id));
    try {
      const before = this.growing.ask(n % GROWING);
      this.#late.add(performance.now() - due);
      const { status, body } = await this.#connectionsTo(url).get(`/items/${id}`);
      if (status !== 200) this.#failures++;
      else {
        this.#latencies.add(performance.now() - due);
        this.growing.answered(before, JSON.parse(body).quantity, url);
      }
    } catch {
      this.#failures++; // the process stops, or is gone
    }
  }

  #connectionsTo(url: string): KeptConnections {
    const known = this.#connections.get(url);
    if (known) return known;
    const connections = new KeptConnections(url, CONNECTIONS);
    this.#connections.set(url, connections);
    return connections;
  }

  #ownerOf(id: string): string | undefined {
    return this.#owners.get(partitionOf(Partitioner.Murmur2, encodeUtf8(id), this.partitions));
  }

  /** One of the processes that do not have an item. */
  #through(n: number, owner: string | undefined): Service {
    const { running } = this.scene;
    const others = running.filter(({ url }) => this.#lives.get(url) !== owner);
    return (others.length > 0 ? others : running)[n % Math.max(1, others.length)]!;
  }

  /** Asks for what goes a part of the way, one after the other. */
  async #probe(): Promise<void> {
    const {
      "a request that nobody else is asked for": nobody,
      "an item of the process that is asked": own,
      "an item of another process": other,
    } = this.#parts;
    for (let n = 0; !this.#isStopped; await sleep(1000 / PROBES), n++) {
      const process = this.scene.running[n % this.scene.running.length];
      if (!process || this.#perSecond === 0) continue;
      const id = this.growing.idOf(n % GROWING);
      const life = this.#ownerOf(id);
      const owner = this.scene.running.find(({ url }) => this.#lives.get(url) === life);
      await this.#time(nobody, process, "/livez");
      if (owner) await this.#time(own, owner, `/items/${id}`);
      await this.#time(other, this.#through(n, life), `/items/${id}`);
    }
  }

  async #time(latencies: Latencies, { url }: Service, path: string): Promise<void> {
    const from = performance.now();
    const answer = await this.#connectionsTo(url).get(path).catch(() => null);
    if (answer?.status === 200) latencies.add(performance.now() - from);
  }

  /** Learns who has what, once all processes say the same. */
  async settled(): Promise<void> {
    this.#owners = await this.scene.settled();
    for (const { url } of this.scene.running) this.#lives.set(url, await lifeOf(url));
  }

  /** What came since the last call. */
  take(): Seen {
    const failures = this.#failures;
    this.#failures = 0;
    const parts = new Map(
      Object.entries(this.#parts).map(([name, latencies]) => [name, latencies.take()]),
    );
    return { latencies: this.#latencies.take(), failures, late: this.#late.take(), parts };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }
}

async function lifeOf(url: string): Promise<string> {
  return (await (await fetch(`${url}/cluster`)).json()).self;
}
