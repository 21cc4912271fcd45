// A broker, the job as a process with a data folder, and load: what faults happen to.

import { Kafka, logLevel } from "kafkajs";
import type { CheckpointStore } from "../../src/state/mod.ts";
import { newSeed, Random } from "../../tools/kit/random.ts";
import {
  EVERY_SUMMARY,
  type Service,
  stopInGoodOrder,
  waitReady,
} from "../../tools/kit/service.ts";
import {
  type SecondBroker,
  startTestBroker,
  type TestBroker,
} from "../../tools/kit/test_broker.ts";
import { startJob, TOPICS } from "../../tools/kit/job_process.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Load, QueryLoad } from "./load.ts";
import { compare, isGood, type Verdict } from "./verdict.ts";

export const PARTITIONS = 4;
export const ITEMS = 20_000;
export const SESSION_MS = 6000;
/** Event time between two transactions: windows close all the time. */
export const TS_STEP_MS = 3;
const LOAD_PAUSE_MS = 15;
const STOPS_MAX = 3;
/** What the service logs when it is stopped while it recovers (src/engine/supervise.ts). */
const STOPPED_EARLY = "stopping, what is not committed yet comes after the next start";

const FLAGS = {
  "checkpoint.interval.millis": "500",
  "commit.interval.ms": "20",
  "parallelism": "2",
  "kafka.session.timeout.ms": String(SESSION_MS),
  ...EVERY_SUMMARY,
  "event.time": "true",
  "watermark.out.of.orderness.ms": "5000",
  "event.time.max.ahead.ms": "31536000000",
};

export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Five minutes and more: a busy machine takes its time. */
const LOOKS_MAX = 3000;

/** Looks again until it is so. */
export async function until(what: string, look: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < LOOKS_MAX; i++) {
    if (await look()) return;
    await sleep(100);
  }
  throw new Error(`It does not come to this: ${what}`);
}

/** Where a process runs, such as a network of its own. */
export interface Place {
  readonly flags: Readonly<Record<string, string>>;
  readonly enter: readonly string[];
}

export interface SceneOptions {
  readonly seed?: number;
  /** Longer, so that what a long run reads in the end fits into memory. */
  readonly loadPauseMs?: number;
  readonly flags?: Readonly<Record<string, string>>;
  /** Of every process of the job, beside this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Learns the broker's address as soon as it runs; answers the one that the job is given. */
  readonly via?: (bootstrap: string) => string;
  readonly brokerProperties?: Readonly<Record<string, string>>;
  /** Of Apache Kafka, such as 2.8.2. */
  readonly brokerVersion?: string;
  /** Further brokers of the cluster; topics have a replica on each then. */
  readonly followers?: number;
  /** Address at which the brokers are to be reached, from networks of processes. */
  readonly brokerHost?: string;
  /** Where the next process is to run: its parameters there, and what comes before its command. */
  readonly place?: (folder: string) => Promise<Place>;
  /** Opens the checkpoints in the end, if they are not in the folder of the process. */
  readonly openStore?: () => Promise<CheckpointStore>;
  readonly log?: (line: string) => void;
}

/** A job under load. */
export class Scene {
  /** The process that has the partitions, as far as the faults know. */
  service!: Service;
  readonly #jobBootstrap: string;
  #folders = 0;

  /** Brokers beside the first one. */
  readonly followers: SecondBroker[] = [];

  private constructor(
    readonly broker: TestBroker,
    readonly parent: string,
    readonly random: Random,
    readonly options: SceneOptions,
  ) {
    const { bootstrap } = broker;
    this.#jobBootstrap = options.via?.(bootstrap) ?? bootstrap;
  }

  /** Starts everything, does to it what `faults` does, waits until all is folded, and compares. */
  static async run(
    options: SceneOptions,
    faults: (scene: Scene) => Promise<void>,
  ): Promise<Verdict> {
    const broker = await startTestBroker(options.brokerProperties, [], {
      ...(options.brokerVersion ? { version: options.brokerVersion } : {}),
      ...(options.brokerHost ? { host: options.brokerHost } : {}),
    });
    const parent = await Deno.makeTempDir({ prefix: "stockflow-faults-" });
    const scene = new Scene(broker, parent, new Random(options.seed ?? newSeed()), options);
    try {
      for (let n = 0; n < (options.followers ?? 0); n++) {
        scene.followers.push(await broker.startSecond(2 + n));
      }
      const replicas = 1 + scene.followers.length;
      await broker.createTopics(Object.values(TOPICS), PARTITIONS, {}, replicas);
      return await scene.#run(faults);
    } finally {
      await scene.service?.kill();
      for (const follower of scene.followers) await follower.remove();
      await broker.remove();
      await Deno.remove(parent, { recursive: true });
    }
  }

  async #run(faults: (scene: Scene) => Promise<void>): Promise<Verdict> {
    const { bootstrap } = this.broker;
    const loader = await Loader.open(bootstrap, TOPICS["transaction.input.topic"]);
    const load = new Load(loader, this.random, this.options.loadPauseMs ?? LOAD_PAUSE_MS);
    const queries = new QueryLoad();
    this.service = await this.start();
    await waitReady(this.service);
    const loading = Promise.all([load.run(), queries.run(bootstrap)]);
    void loading.catch(() => {}); // it is reported when it is waited for
    try {
      await faults(this);
    } finally {
      load.stop();
      queries.stop();
      await loading;
      await loader.close();
    }
    await this.#stopCaughtUp();
    const verdict = await compare(bootstrap, this.service.folder, this.options.openStore);
    if (!isGood(verdict)) this.log(this.service.log());
    return verdict;
  }

  /**
   * Stops the service once the group has no lag. A stop in the middle of a recovery, when the group has just
   * lost a member, leaves the last checkpoint where it was, and says so: the verdict needs one at the end.
   */
  async #stopCaughtUp(): Promise<void> {
    for (let stop = 1;; stop++) {
      await untilCaughtUp(this.broker, this.service);
      await stopInGoodOrder(this.service);
      if (stop === STOPS_MAX || !this.service.log().includes(STOPPED_EARLY)) return;
      this.log("The last stop came while the job recovered: it is started and stopped once more");
      this.service = await this.start(this.service.folder);
      await waitReady(this.service);
    }
  }

  /** Starts a process of the group, in a data folder of its own unless one is given. */
  async start(folder?: string): Promise<Service> {
    const data = folder ?? `${this.parent}/${++this.#folders}`;
    await Deno.mkdir(data, { recursive: true });
    const { flags, env, place } = this.options;
    const { flags: own, enter } = await place?.(data) ?? { flags: {}, enter: [] };
    const all = { ...FLAGS, ...flags, ...own };
    return await startJob(this.#jobBootstrap, data, all, env, undefined, enter);
  }

  log(line: string): void {
    this.options.log?.(line);
  }
}

/** Waits until the group has no lag. */
export async function untilCaughtUp(broker: TestBroker, service: Service): Promise<void> {
  const admin = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  for (let look = 0; look < 1200; look++) {
    let lag = 0;
    for (const topic of [TOPICS["transaction.input.topic"], TOPICS["query.input.topic"]]) {
      const ends = await admin.fetchTopicOffsets(topic);
      const [committed] = await admin.fetchOffsets({ groupId: "stockflow-test", topics: [topic] });
      for (const { partition, offset } of committed!.partitions) {
        lag += Number(ends.find((e) => e.partition === partition)!.offset) - Number(offset);
      }
    }
    if (lag === 0) return await admin.disconnect();
    await sleep(100);
  }
  throw new Error(`The job does not catch up: ${service.log()}`);
}
