// What the tests of a file share: one broker, and for each test topics, a group and a data folder of
// its own.

import { assertEquals } from "@std/assert";
import { type Admin, Kafka, logLevel } from "kafkajs";
import { ownStart, type Service, serviceArguments } from "../../tools/kit/service.ts";
import {
  sharedBroker,
  startTestBroker,
  type TestBroker,
  whySkipped,
} from "../../tools/kit/test_broker.ts";
import { startJob, TOPICS } from "../../tools/kit/job_process.ts";
import { until } from "./until.ts";

const REFUSED_MS_MAX = 180_000;

export type Topics = Readonly<Record<keyof typeof TOPICS, string>>;

/** Topics, a group and a data folder of one test. */
export interface Scene {
  readonly topics: Topics;
  readonly folder: string;
  readonly group: string;
  /** Parameters that name topics and group. */
  readonly flags: Readonly<Record<string, string>>;
  /** Starts the job; resolves when it listens. */
  start(more?: Readonly<Record<string, string>>): Promise<Service>;
  /** Runs the job until it exits 2 by itself; answers what it said. */
  refused(more?: Readonly<Record<string, string>>): Promise<string>;
}

/** A broker for the tests of one file. One of its own is removed behind the last of them. */
export class Stage {
  readonly #folders: string[] = [];
  /** Other files may use the same broker. */
  #scenes = 1000 * crypto.getRandomValues(new Uint32Array(1))[0]!;

  private constructor(readonly skipped: string | null, readonly broker: TestBroker) {
    Deno.test.afterAll(async () => {
      if (skipped === null) await broker.remove();
      await Promise.all(this.#folders.map((folder) => Deno.remove(folder, { recursive: true })));
    });
  }

  /** With the broker that startTestBroker makes of the arguments. */
  static async open(...options: Parameters<typeof startTestBroker>): Promise<Stage> {
    const skipped = await whySkipped(options[2]?.version);
    return new Stage(skipped, skipped ? null! : await startTestBroker(...options));
  }

  /** With a plain broker that other files use too: no test of theirs may stop it. */
  static async shared(): Promise<Stage> {
    const skipped = await whySkipped();
    return new Stage(skipped, skipped ? null! : await sharedBroker());
  }

  /** A test that needs the broker. */
  test(name: string, fn: () => Promise<void>): void {
    const { skipped } = this;
    Deno.test({
      name: skipped ? `${name}: ${skipped}` : name,
      ignore: skipped !== null,
      sanitizeOps: false,
      sanitizeResources: false,
      fn,
    });
  }

  async newFolder(): Promise<string> {
    const folder = await Deno.makeTempDir({ prefix: "stockflow-kafka-test-" });
    this.#folders.push(folder);
    return folder;
  }

  async scene(partitions = 2, configs: Readonly<Record<string, string>> = {}): Promise<Scene> {
    const { bootstrap } = this.broker;
    const n = ++this.#scenes;
    const group = `group-${n}`;
    const topics = Object.fromEntries(
      Object.entries(TOPICS).map(([key, topic]) => [key, `${topic}-${n}`]),
    ) as Topics;
    await this.broker.createTopics(Object.values(topics), partitions, configs);
    const folder = await this.newFolder();
    const flags = { ...topics, "kafka.group.id": group, "parallelism": "1" };
    return {
      topics,
      folder,
      group,
      flags,
      start: (more = {}) => startJob(bootstrap, folder, { ...flags, ...more }),
      refused: (more = {}) =>
        refused(folder, {
          "job": "kafka",
          "kafka.bootstrap.servers": bootstrap,
          ...flags,
          ...more,
        }),
    };
  }

  /** A stock client. */
  kafka(): Kafka {
    return new Kafka({ brokers: [this.broker.bootstrap], logLevel: logLevel.NOTHING });
  }

  /** Sends 5, 100 and 7 of item_1 to partition 0, each in a transaction; that of 100 is aborted. */
  async sendWithOneAborted(topic: string): Promise<void> {
    const producer = this.kafka().producer({ transactionalId: topic, maxInFlightRequests: 1 });
    await producer.connect();
    for (const [quantity, end] of [[5, "commit"], [100, "abort"], [7, "commit"]] as const) {
      const transaction = await producer.transaction();
      const value = `1\t1\titem_1\t${quantity}`;
      await transaction.send({ topic, messages: [{ partition: 0, key: "item_1", value }] });
      await transaction[end]();
    }
    await producer.disconnect();
  }

  /** Does something with a stock client's administration. */
  async withAdmin(work: (admin: Admin) => Promise<unknown>): Promise<void> {
    const admin = this.kafka().admin();
    await admin.connect();
    await work(admin);
    await admin.disconnect();
  }

  /** Waits until the group has committed so many transactions, over all partitions. */
  untilCommitted(scene: Scene, count: number, ...services: readonly Service[]): Promise<void> {
    const topic = scene.topics["transaction.input.topic"];
    return this.untilCommittedOf(topic, scene, count, ...services);
  }

  /** The same of any input topic. */
  untilCommittedOf(
    topic: string,
    { group }: Scene,
    count: number,
    ...services: readonly Service[]
  ): Promise<void> {
    return this.withAdmin((admin) =>
      until(`group ${group} has committed ${count} of ${topic}`, async () => {
        // A coordinator that moves says so; it is asked again.
        const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
          .catch(() => []);
        const sum = found?.partitions.reduce((n, p) => n + Math.max(0, Number(p.offset)), 0) ?? 0;
        return sum >= count;
      }, ...services)
    );
  }
}

async function refused(folder: string, flags: Readonly<Record<string, string>>): Promise<string> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: serviceArguments(folder, flags, ownStart()),
    cwd: new URL("../../", import.meta.url),
    signal: AbortSignal.timeout(REFUSED_MS_MAX), // one that does not exit is asked to stop, for its log
  }).output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(code, 2, text);
  return text;
}
