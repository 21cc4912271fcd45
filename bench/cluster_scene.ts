// What a benchmark of processes that share partitions runs in: a broker, the server of their checkpoints, and the
// processes, of one worker each.

import { TOPICS } from "../tools/kit/job_process.ts";
import { ownersIn, sharedBy } from "../tools/kit/cluster_view.ts";
import { type KvServer, startKvServer, whyNoKvServer } from "../tools/kit/kv_server.ts";
import { type Service, stopInGoodOrder, waitReady } from "../tools/kit/service.ts";
import { KafkaScene, sleep } from "./kafka_scene.ts";
import type { JobStatus, PartitionStatus } from "../src/service/mod.ts";

const LOOK_MS = 50;
const STATUS_MS = 250;
const TOKEN = "DENO_KV_ACCESS_TOKEN";
const CLUSTER_TOKEN = "a-token-of-the-benchmark";
/** Items are generated evenly: so many records of each see nearly all of them once. */
const RECORDS_PER_ITEM = 3;
/** What is looked at begins when processes are this old: a new process's CPU goes into compiling itself. */
const WARM_MS = 5000;

export interface ClusterSceneOptions {
  readonly partitions: number;
  readonly processes: number;
  /** In all partitions together. */
  readonly items: number;
  /** Records a second at first. */
  readonly rate: number;
  /** Parameters of all processes. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Counts requests, by a proxy before the broker. */
  readonly counts?: boolean;
}

export class ClusterScene implements AsyncDisposable {
  readonly running: Service[] = [];

  private constructor(
    readonly options: ClusterSceneOptions,
    readonly kafka: KafkaScene,
    readonly store: KvServer,
  ) {}

  /** Processes that have folded so many items, each with a checkpoint of all, under load from now on. */
  static async open(options: ClusterSceneOptions): Promise<ClusterScene> {
    const noServer = await whyNoKvServer();
    if (noServer !== null) throw new Error(noServer);
    const kafka = await KafkaScene.open({
      partitions: options.partitions,
      counts: options.counts ?? false,
    });
    const scene = new ClusterScene(options, kafka, await startKvServer());
    try {
      await scene.#begin();
      return scene;
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { processes, items } = this.options;
    for (let n = 0; n < processes; n++) await this.join();
    await this.settled();
    const records = items * RECORDS_PER_ITEM;
    await this.kafka.fill(items, records);
    await this.#until((all) => all.reduce((n, p) => n + p.position, 0) >= records);
    const folded = Date.now();
    await this.load(this.options.rate); // without it none is taken of a partition that has one of all
    await this.#until((all) => all.every((p) => (p.checkpointAt ?? 0) >= folded));
  }

  #loading = new AbortController();

  /** So many records a second from now on. */
  async load(rate: number): Promise<void> {
    this.#loading.abort("another rate"); // without a reason an error with a stack is made
    this.#loading = new AbortController();
    this.kafka.generate({ items: this.options.items, rate }, this.#loading.signal);
    await sleep(WARM_MS);
  }

  /** Waits until it is so of all partitions, as the processes that have them say. */
  async #until(isSo: (partitions: readonly PartitionStatus[]) => boolean): Promise<void> {
    await this.kafka.until(this.running[0]!, async () => {
      const all = new Map((await Promise.all(this.running.map(partitionsOf))).flat());
      return all.size === this.options.partitions && isSo([...all.values()]);
    }, STATUS_MS);
  }

  /** Starts one more process, with a data folder of its own. */
  async join(): Promise<Service> {
    const folder = await this.kafka.newFolder();
    const flags = {
      "kafka.partitions.shared": "true",
      "cluster.token": CLUSTER_TOKEN,
      "parallelism": "1",
      "state.kv": this.store.url,
      "state.dir": folder,
      ...this.options.flags,
    };
    const job = await this.kafka.startJob(folder, flags, undefined, { [TOKEN]: this.store.token });
    this.running.push(job);
    return job;
  }

  async leave(process: Service): Promise<void> {
    this.#remove(process);
    await stopInGoodOrder(process);
  }

  async kill(process: Service): Promise<void> {
    this.#remove(process);
    await process.kill();
  }

  #remove(process: Service): void {
    this.running.splice(this.running.indexOf(process), 1);
  }

  /** Waits until all processes say the same of who has what, and are ready; answers the life of each owner. */
  async settled(): Promise<ReadonlyMap<number, string>> {
    const view = await this.kafka.until(
      this.running[0]!,
      () => sharedBy(this.running),
      LOOK_MS,
    );
    await Promise.all(this.running.map(waitReady));
    return ownersIn(view, TOPICS["transaction.input.topic"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kafka[Symbol.asyncDispose]();
    await this.store.remove();
  }
}

async function partitionsOf({ url }: Service): Promise<[number, PartitionStatus][]> {
  const { partitions } = await (await fetch(`${url}/status`)).json() as JobStatus;
  return partitions.map((p) => [p.partition, p]);
}

/** The longest time between committed results of each partition, as a reader under read_committed sees them. */
export class Gaps {
  readonly #last: number[];
  readonly #longest: number[];

  private constructor(partitions: number) {
    this.#last = new Array<number>(partitions).fill(performance.now());
    this.#longest = new Array<number>(partitions).fill(0);
  }

  static async watch(scene: KafkaScene, partitions: number): Promise<Gaps> {
    const gaps = new Gaps(partitions);
    await scene.read(
      TOPICS["transaction.output.topic"],
      (_, partition) => gaps.#seen(partition, performance.now()),
    );
    return gaps;
  }

  #seen(partition: number, at: number): void {
    const gap = at - this.#last[partition]!;
    this.#longest[partition] = Math.max(this.#longest[partition]!, gap);
    this.#last[partition] = at;
  }

  /** Forgets the gaps that are over. */
  begin(): void {
    this.#longest.fill(0);
  }

  /** In ms, by partition: the longest since then, with the one that lasts. */
  longest(): number[] {
    const now = performance.now();
    return this.#longest.map((longest, p) => Math.max(longest, now - this.#last[p]!));
  }
}
