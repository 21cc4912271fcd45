// What a benchmark of the Kafka job runs in: a broker of its own with the job's topics, data folders, and
// jobs as child processes. All of it ends and is removed with the benchmark.

import { Parameters } from "../src/parameters/mod.ts";
import { KafkaDataGenerator, KafkaDataGeneratorJob } from "../src/kafka/mod.ts";
import { systemChance, systemClock } from "../src/types/mod.ts";
import type { TestBroker } from "../tools/kit/test_broker.ts";

import { startJob, TOPICS } from "../tools/kit/job_process.ts";
import type { Service } from "../tools/kit/service.ts";
import { CommittedReader, type OnBatch } from "./committed_reader.ts";
import { CountingProxy } from "./counting_proxy.ts";
import { startMeasuredBroker } from "./measured_broker.ts";
import { recordsIn } from "./service_metrics.ts";

const POLL_MS = 50;
/** All items are about as frequent. */
const EVEN_SHAPE = "0.1";

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export interface SceneOptions {
  readonly partitions: number;
  /** Lines for the broker's server.properties. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Settings of a topic, by its name; none by default. */
  readonly configsOf?: (topic: string) => Record<string, string>;
  /** Counts requests, by a proxy before the broker. */
  readonly counts?: boolean;
}

/** What is generated. */
export interface Generated {
  readonly items: number;
  /** Records a second; 0 = flat out. */
  readonly rate: number;
  /** 0 = until it is stopped */
  readonly count?: number;
  readonly queries?: boolean;
}

export class KafkaScene implements AsyncDisposable {
  readonly #folders: string[] = [];
  readonly #jobs: Service[] = [];
  readonly #stop = new AbortController();
  readonly #generating: Promise<void>[] = [];
  readonly #readers: CommittedReader[] = [];
  #failure: Error | null = null;
  readonly #onFailure = (error: Error) => void (this.#failure ??= error);
  readonly #onSignal = () => void this[Symbol.asyncDispose]().finally(() => Deno.exit(130));

  private constructor(
    readonly broker: TestBroker,
    /** Null: they are not counted. */
    readonly requests: CountingProxy | null,
  ) {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, this.#onSignal);
    }
  }

  static async open(options: SceneOptions): Promise<KafkaScene> {
    const { partitions, properties = {}, configsOf = () => ({}), counts = false } = options;
    const requests = counts ? new CountingProxy() : null;
    const advertised = requests ? { advertised: { PLAINTEXT: requests.address } } : {};
    const broker = await startMeasuredBroker(properties, advertised);
    requests?.leadTo(broker.bootstrap);
    const scene = new KafkaScene(broker, requests);
    try {
      for (const topic of Object.values(TOPICS)) {
        await scene.broker.createTopics([topic], partitions, configsOf(topic));
      }
      return scene;
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
  }

  async newFolder(): Promise<string> {
    const folder = await Deno.makeTempDir({ prefix: "stockflow-bench-" });
    this.#folders.push(folder);
    return folder;
  }

  /** Starts the job, of this checkout or another; resolves when it listens. */
  async startJob(
    folder: string,
    flags: Readonly<Record<string, string>> = {},
    checkout?: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Service> {
    const bootstrap = this.requests?.address ?? this.broker.bootstrap;
    const job = await startJob(bootstrap, folder, flags, env, checkout);
    this.#jobs.push(job);
    return job;
  }

  /**
   * Generates transactions, from the end of their topic on. The job that does it runs in this process;
   * its `run` resolves when all are there.
   */
  generator({ items, rate, count = 0, queries = false }: Generated): KafkaDataGenerator {
    const params = Parameters.of({
      "kafka.bootstrap.servers": this.broker.bootstrap,
      "transaction.input.topic": TOPICS["transaction.input.topic"],
      "query.input.topic": TOPICS["query.input.topic"],
      "num.items": String(items),
      "pareto.shape": EVEN_SHAPE,
      "generate.rate": String(rate),
      "generate.count": String(count),
      "generate.queries": String(queries),
    });
    const topics = new KafkaDataGeneratorJob().filledTopics(params);
    return new KafkaDataGenerator(params, topics, systemClock, systemChance);
  }

  /** Fills the topic with so many more records, flat out. */
  async fill(items: number, count: number): Promise<void> {
    const from = performance.now();
    await this.generator({ items, rate: 0, count }).run(this.#stop.signal);
    const seconds = (performance.now() - from) / 1000;
    console.log(`${count} records loaded, ${(count / seconds / 1e6).toFixed(2)} M/s`);
  }

  /** Generates until the benchmark ends, or the signal is aborted. */
  generate(what: Generated, until?: AbortSignal): KafkaDataGenerator {
    const generator = this.generator(what);
    const stop = until ? AbortSignal.any([until, this.#stop.signal]) : this.#stop.signal;
    this.#generating.push(generator.run(stop).catch(this.#onFailure));
    return generator;
  }

  /** Reports every batch of a topic that becomes visible from now on under read_committed. */
  async read(topic: string, onBatch: OnBatch): Promise<void> {
    const reader = await CommittedReader.open(this.broker.bootstrap, topic, onBatch);
    this.#readers.push(reader);
    reader.done.catch(this.#onFailure);
  }

  /** @throws what has failed of generating and reading */
  check(): void {
    if (this.#failure) throw this.#failure;
  }

  /**
   * Waits until something is found.
   *
   * @throws when the job has ended, or generating or reading has failed
   */
  async until<T>(
    job: Service,
    look: () => T | Promise<T>,
    everyMs = POLL_MS,
  ): Promise<NonNullable<T>> {
    let ended: Deno.CommandStatus | null = null;
    void job.status.then((status) => ended = status);
    while (true) {
      const found = await look();
      if (found) return found;
      this.check();
      if (ended) throw new Error(`The job has ended: ${job.log()}`);
      await sleep(everyMs);
    }
  }

  /** Waits until a job has folded so many records. */
  async untilFolded(job: Service, records: number): Promise<void> {
    await this.until(
      job,
      async () => await recordsIn(job) >= records,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.removeSignalListener(signal, this.#onSignal);
    }
    this.#stop.abort();
    await Promise.all([...this.#generating, ...this.#readers.map((reader) => reader.close())]);
    await Promise.all(this.#jobs.map((job) => job.kill()));
    this.requests?.close();
    await this.broker.remove();
    await Promise.all(this.#folders.map((folder) => Deno.remove(folder, { recursive: true })));
  }
}
