// Where engines are compared: a broker, one input, and for each run topics and a folder of its own.

import { Kafka, logLevel } from "kafkajs";
import { encodeUtf8, type NewRecord } from "../../src/types/mod.ts";
import type { TestBroker } from "../../tools/kit/test_broker.ts";
import { Loader } from "../../tools/kit/load.ts";
import { digestOf } from "./answers.ts";
import type { PeerJars } from "./build.ts";
import { type JobOptions, startEngine, TOPIC_KEYS, type Topics } from "./engines.ts";
import type { Job } from "./job.ts";
import { Input, type InputOptions, itemIdOf } from "./input.ts";
import type { Answers, Digest } from "./record_sum.ts";
import { DESCRIPTIONS, type EngineName, type Work } from "./works.ts";

/** One engine at one work. */
export interface Run {
  readonly job: Job;
  readonly topics: Topics;
  /** Reads what it answered, once it has gone through all records. */
  answers(expected: { readonly summaries: number }): Promise<Answers>;
  /** Ends the engine, and removes its topics and data. */
  end(): Promise<void>;
}

export type RunOptions =
  & Pick<JobOptions, "parallelism" | "parameters" | "settings">
  & { readonly engine: EngineName; readonly work: Work };

/** Answers to queries are asked for so many items at the most. */
const QUERIES_MAX = 10_000;
const CHUNK_RECORDS = 8192;

export class PeerStage {
  #runs = 0;
  readonly #prefix: string;

  private constructor(
    readonly broker: Pick<TestBroker, "bootstrap" | "pid" | "createTopics">,
    readonly jars: PeerJars,
    readonly partitions: number,
    readonly input: InputOptions,
    prefix: string,
  ) {
    this.#prefix = prefix;
  }

  /** Records of the input, closing ones included, and how many of them are refused. */
  records = 0;
  refused = 0;

  /** @param prefix of the names of topics and groups, where others use the broker too */
  static async open(
    broker: Pick<TestBroker, "bootstrap" | "pid" | "createTopics">,
    options: {
      readonly jars: PeerJars;
      readonly partitions: number;
      readonly input: InputOptions;
      readonly prefix?: string;
    },
  ): Promise<PeerStage> {
    const { jars, partitions, input, prefix = "peers" } = options;
    const stage = new PeerStage(broker, jars, partitions, input, prefix);
    await broker.createTopics([stage.inputTopic], partitions);
    const { records, refused } = await loadInput(broker.bootstrap, stage.inputTopic, input);
    stage.records = records;
    stage.refused = refused;
    return stage;
  }

  get inputTopic(): string {
    return `${this.#prefix}-transactions`;
  }

  /** Starts an engine at a work that reads from Kafka. */
  async run({ engine, work, ...options }: RunOptions): Promise<Run> {
    const { broker: { bootstrap }, jars, input } = this;
    const group = `${this.#prefix}-${engine}-${work}-${++this.#runs}`;
    const topics = await createTopics(this.broker, group, this.partitions, this.inputTopic);
    const folder = await Deno.makeTempDir({ prefix: "stockflow-peers-" });
    const kafka = { bootstrap, topics, group };
    const job = await startEngine(engine, {
      ...options,
      work,
      items: input.items,
      flatOut: true,
      folder,
      kafka,
      jars,
    });
    return {
      job,
      topics,
      answers: (expected) => this.#answers(work, topics, expected.summaries),
      end: async () => {
        await job.kill();
        await deleteTopics(bootstrap, group);
        await Deno.remove(folder, { recursive: true });
      },
    };
  }

  async #answers(work: Work, topics: Topics, summariesMin: number): Promise<Answers> {
    const { bootstrap } = this.broker;
    const { results, summaries } = DESCRIPTIONS[work];
    const answers: Record<string, Digest> = {};
    const read = async (kind: string, topic: keyof Topics, expected: number) => {
      answers[kind] = await digestOf(bootstrap, topics[topic], expected);
    };
    if (results) await read("results", "transaction.output.topic", this.records - this.refused);
    if (summaries) await read("summaries", "summary.output.topic", summariesMin);
    await read("dead letters", "deadletter.topic", this.refused);
    await read("stocks", "query.output.topic", await this.#ask(topics["query.input.topic"]));
    return answers;
  }

  /** Asks for the stock of items, keyed by them as Kafka Streams needs it; answers how many are asked. */
  async #ask(topic: string): Promise<number> {
    const { items, keys } = this.input;
    const count = Math.min(items, QUERIES_MAX);
    const loader = await Loader.open(this.broker.bootstrap, topic);
    const queries = Array.from({ length: count }, (_, i) => {
      const itemId = itemIdOf(keys, 1 + Math.floor(i * items / count));
      const value = encodeUtf8(`${i + 1} ${itemId}`);
      return { timestamp: Date.now(), key: encodeUtf8(itemId), value };
    });
    await loader.append(queries);
    await loader.close();
    return count;
  }
}

/**
 * Creates the topics of a run, which all begin with the name of its group.
 *
 * @param input the topic of transactions, where it is there already
 */
export async function createTopics(
  broker: Pick<TestBroker, "createTopics">,
  group: string,
  partitions: number,
  input?: string,
): Promise<Topics> {
  const nameOf = (key: keyof Topics) => `${group}-${key.replace(/\.topic$/, "")}`;
  const topics = Object.fromEntries(TOPIC_KEYS.map((key) => [key, nameOf(key)]));
  if (input !== undefined) topics["transaction.input.topic"] = input;
  const made = Object.values(topics).filter((topic) => topic !== input);
  await broker.createTopics(made, partitions, { "file.delete.delay.ms": "1000" });
  return topics as unknown as Topics;
}

/** Removes the topic of a name and all topics of a run of that name, those included that an engine made for itself. */
export async function deleteTopics(bootstrap: string, prefix: string): Promise<void> {
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const topics = (await admin.listTopics())
    .filter((topic) => topic === prefix || topic.startsWith(`${prefix}-`));
  await admin.deleteTopics({ topics });
  await admin.disconnect();
}

/** Writes all records and the closing ones; answers how many there are. */
export async function loadInput(
  bootstrap: string,
  topic: string,
  options: InputOptions,
): Promise<{ readonly records: number; readonly refused: number }> {
  const input = new Input(options);
  const loader = await Loader.open(bootstrap, topic);
  let written = Promise.resolve();
  for (let i = 0; i < options.records;) {
    const chunk: NewRecord[] = [];
    while (chunk.length < CHUNK_RECORDS && i < options.records) chunk.push(input.record(i++));
    // The next ones are made while these are under way.
    await written;
    written = loader.append(chunk);
  }
  await written;
  const closing = input.closing(loader.partitions);
  await loader.append(closing);
  await loader.close();
  return { records: options.records + closing.length, refused: input.refused };
}
