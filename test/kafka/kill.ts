// Kills of the Kafka job and of its broker under load, and the verdict.
//
//   deno task kill:kafka [--kills=20] [--broker-kills=5] [--pauses=1] [--seed=<n>]

import { Kafka, logLevel } from "kafkajs";
import { parseArgs } from "node:util";
import { codecOf, encodeUtf8, Format, type NewRecord, Partitioner } from "../../src/types/mod.ts";
import { Model } from "../model/model.ts";
import { newSeed, Random } from "../model/random.ts";
import { type Service, stopInGoodOrder, waitReady } from "../system/service.ts";
import { startTestBroker, type TestBroker } from "./broker.ts";
import { GroupView } from "./group_view.ts";
import { GROUP, startJob, TOPICS } from "./job_process.ts";
import { Loader } from "./load.ts";
import { witness, type WitnessedRecord } from "./witness.ts";

export interface KafkaKillOptions {
  /** kill -9 of the job. */
  readonly kills: number;
  /** kill -9 of the broker, and its restart. */
  readonly brokerKills: number;
  /** SIGSTOP of the job for longer than its session lasts, while another stands by; then SIGCONT. */
  readonly pauses: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

export interface KafkaVerdict {
  readonly inputs: number;
  /** Inputs without a result or dead letter. */
  readonly missing: number;
  /** Results, dead letters, summaries or answers too many. */
  readonly doubled: number;
  /** Results that differ from a re-computation from the input log. */
  readonly different: number;
  readonly summaries: number;
  readonly deadLetters: number;
  readonly queries: number;
}

export function verdictLine(v: KafkaVerdict): string {
  return `${v.inputs} inputs, ${v.missing} missing, ${v.doubled} doubled, ${v.different} different ` +
    `(${v.summaries} summaries, ${v.deadLetters} dead letters, ${v.queries} queries)`;
}

export function isGood(v: KafkaVerdict): boolean {
  return v.inputs > 0 && v.missing + v.doubled + v.different === 0;
}

const PARTITIONS = 4;
const ITEMS = 20_000;
const CHUNK = 1000;
const CHUNK_MS = 15;
const ALIVE_MS_MAX = 1500;
const SESSION_MS = 6000;
/** Event time between two transactions: windows close all the time. */
const TS_STEP_MS = 3;
const WINDOW_MS = 60_000;
const OUT_OF_ORDER_MS = 5000;
const MAX_AHEAD_MS = 31_536_000_000;

const FLAGS = {
  "checkpoint.interval.millis": "500",
  "commit.interval.ms": "20",
  "parallelism": "2",
  "kafka.session.timeout.ms": String(SESSION_MS),
  "transaction.num.min": "0",
  "transaction.failure.rate.min": "0",
  "window.idle.timeout.ms": "86400000",
  "event.time": "true",
  "watermark.out.of.orderness.ms": String(OUT_OF_ORDER_MS),
  "event.time.max.ahead.ms": String(MAX_AHEAD_MS),
};

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Appends transactions, one in a hundred of them malformed, until it is told to stop. */
class Load {
  #stopped = false;
  #nextId = 1;
  readonly #startMs = Date.now();

  constructor(readonly loader: Loader, readonly random: Random) {}

  #record(): NewRecord {
    const { random } = this;
    const item = `item_${random.below(ITEMS)}`;
    const id = this.#nextId++;
    const timestamp = this.#startMs + id;
    const broken = random.below(100) === 0;
    const quantity = random.below(60) - 25;
    const line = `${id}\t${this.#startMs + TS_STEP_MS * id}\t${item}\t${quantity}`;
    if (!broken) return this.loader.recordOf(line, timestamp);
    const headers = [{ key: "origin", value: encodeUtf8(`load ${id}`) }];
    return { timestamp, key: encodeUtf8(item), value: encodeUtf8(`${line}x`), headers };
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.loader.append(Array.from({ length: CHUNK }, () => this.#record()));
      await sleep(CHUNK_MS);
    }
  }

  stop(): void {
    this.#stopped = true;
  }
}

/** Asks for items by records without a key, as a console producer does, until it is told to stop. */
class QueryLoad {
  #asked = 0;
  #stopped = false;

  async run(bootstrap: string): Promise<void> {
    const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
    const producer = kafka.producer({ idempotent: true });
    await producer.connect();
    while (!this.#stopped) {
      const value = `${this.#asked + 1} item_${this.#asked % ITEMS}`;
      // What is sent again after an error may come twice: the log of the queries tells.
      const message = { topic: TOPICS["query.input.topic"], messages: [{ value }] };
      await producer.send(message).then(() => this.#asked++, () => {});
      await sleep(50);
    }
    await producer.disconnect();
  }

  stop(): void {
    this.#stopped = true;
  }
}

/** Runs the job under load with all the faults, then compares everything that it left. */
export async function kafkaKillRun(options: KafkaKillOptions): Promise<KafkaVerdict> {
  const { seed, log = () => {} } = options;
  const random = new Random(seed);
  const broker = await startTestBroker();
  const folder = await Deno.makeTempDir({ prefix: "stockflow-kafka-job-" });
  try {
    await broker.createTopics(Object.values(TOPICS), PARTITIONS);
    const loader = await Loader.open(broker.bootstrap, TOPICS["transaction.input.topic"]);
    const load = new Load(loader, random);
    const queries = new QueryLoad();
    let service = await startJob(broker.bootstrap, folder, FLAGS);
    await waitReady(service);
    const loading = Promise.all([load.run(), queries.run(broker.bootstrap)]);
    service = await faults(options, broker, service, folder, random, log);
    load.stop();
    queries.stop();
    await loading;
    await loader.close();
    await untilCaughtUp(broker, service);
    await stopInGoodOrder(service);
    const verdict = await compare(broker.bootstrap);
    if (!isGood(verdict)) log(service.log());
    return verdict;
  } finally {
    await broker.remove();
    await Deno.remove(folder, { recursive: true });
  }
}

async function faults(
  { kills, brokerKills, pauses }: KafkaKillOptions,
  broker: TestBroker,
  first: Service,
  folder: string,
  random: Random,
  log: (line: string) => void,
): Promise<Service> {
  let service = first;
  const alive = () => sleep(200 + random.below(ALIVE_MS_MAX));
  for (let kill = 1; kill <= kills; kill++) {
    await alive();
    await service.kill();
    log(`kill ${kill} of the job`);
    service = await startJob(broker.bootstrap, folder, FLAGS);
  }
  for (let kill = 1; kill <= brokerKills; kill++) {
    await alive();
    await broker.kill();
    log(`kill ${kill} of the broker`);
    await sleep(random.below(2000));
    await broker.restart();
    await waitReady(service);
  }
  for (let pause = 1; pause <= pauses; pause++) {
    await alive();
    const other = `${folder}/other-${pause}`;
    await Deno.mkdir(other);
    const standing = await startJob(broker.bootstrap, other, FLAGS);
    await alive();
    service.signal("SIGSTOP");
    log(`pause ${pause} of the job`);
    await waitReady(standing);
    await alive();
    service.signal("SIGCONT");
    await alive();
    // The one that woke up stands by now.
    await service.kill();
    service = standing;
  }
  return service;
}

/** Waits until the group has no lag. */
async function untilCaughtUp(broker: TestBroker, service: Service): Promise<void> {
  const group = await GroupView.open(broker.bootstrap, GROUP);
  const topics = [TOPICS["transaction.input.topic"], TOPICS["query.input.topic"]];
  for (let look = 0; look < 1200; look++) {
    if (await group.lag(topics) === 0) return await group.close();
    await sleep(100);
  }
  throw new Error(`The job does not catch up: ${service.log()}`);
}

// ---- verdict ----

async function compare(bootstrap: string): Promise<KafkaVerdict> {
  const [inputs, results, summaries, letters, answers, queries] = await Promise.all(
    ([
      "transaction.input.topic",
      "transaction.output.topic",
      "summary.output.topic",
      "deadletter.topic",
      "query.output.topic",
      "query.input.topic",
    ] as const)
      .map((key) => witness(bootstrap, TOPICS[key])),
  ) as [Records, Records, Records, Records, Records, Records];
  const v = { inputs: 0, missing: 0, doubled: 0, different: 0, summaries: 0, deadLetters: 0 };
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const model = new Model({
      format: Format.Text,
      partitioner: Partitioner.Murmur2,
      partition,
      partitions: PARTITIONS,
      windowMs: WINDOW_MS,
      eventTime: true,
      outOfOrderMs: OUT_OF_ORDER_MS,
      maxAheadMs: MAX_AHEAD_MS,
      alertTotalMin: 0,
      alertRateMin: 0,
    });
    for (const { offset, timestamp, value } of inputs[partition]!) {
      model.fold({ offset, timestamp, value: value === null ? null : encodeUtf8(value) });
    }
    v.inputs += inputs[partition]!.length;
    count(v, results[partition]!.map(line), model.results.map(line));
    const codec = codecOf(Format.Text);
    const expected = model.summaries.map((s) => codec.formatSummary(s.summary)).toSorted();
    count(v, summaries[partition]!.map((r) => r.value!).toSorted(), expected);
    v.summaries += expected.length;
    const offsets = letters[partition]!.map((r) => String(r.headers["stockflow.offset"]));
    count(v, offsets, model.deadLetters.map((d) => String(d.offset)));
    v.deadLetters += offsets.length;
  }
  const idsOf = (records: Records) =>
    records.flat().map((r) => r.value!.split(/[\t ]/)[0]!).toSorted();
  count(v, idsOf(answers), idsOf(queries));
  return { ...v, queries: answers.flat().length };
}

type Records = WitnessedRecord[][];

function line(
  { key, value, timestamp }: { key: string | null; value: string | null; timestamp: number },
) {
  return `${timestamp} ${key} ${value}`;
}

/** Compares lists that ought to be equal. */
function count(
  v: { missing: number; doubled: number; different: number },
  found: readonly string[],
  expected: readonly string[],
): void {
  v.missing += Math.max(0, expected.length - found.length);
  v.doubled += Math.max(0, found.length - expected.length);
  const length = Math.min(found.length, expected.length);
  for (let i = 0; i < length; i++) if (found[i] !== expected[i]) v.different++;
}

if (import.meta.main) {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      "kills": { type: "string", default: "20" },
      "broker-kills": { type: "string", default: "5" },
      "pauses": { type: "string", default: "1" },
      "seed": { type: "string" },
    },
  });
  const seed = Number(values.seed ?? newSeed());
  console.log(`seed ${seed}`);
  const verdict = await kafkaKillRun({
    kills: Number(values.kills),
    brokerKills: Number(values["broker-kills"]),
    pauses: Number(values.pauses),
    seed,
    log: console.log,
  });
  console.log(verdictLine(verdict));
  Deno.exit(isGood(verdict) ? 0 : 1);
}
