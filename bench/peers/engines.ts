// The engines as child processes: stockflow as `deno task start` runs it, the peers as a user with care would.

import { startService } from "../../tools/kit/service.ts";
import { recordsIn, scrape } from "../service_metrics.ts";
import type { PeerJars } from "./build.ts";
import { checkpointIn, checkpointOfFlink } from "./checkpoints.ts";
import { JavaProcess } from "./java_process.ts";
import type { Job } from "./job.ts";
import { DESCRIPTIONS, type EngineName, type Work } from "./works.ts";

/** Topics by the parameter that names them; the same parameters in all engines. */
export const TOPIC_KEYS = [
  "transaction.input.topic",
  "query.input.topic",
  "query.output.topic",
  "transaction.output.topic",
  "summary.output.topic",
  "deadletter.topic",
] as const;
export type Topics = Readonly<Record<typeof TOPIC_KEYS[number], string>>;

export interface JobOptions {
  readonly work: Work;
  readonly parallelism: number;
  readonly items: number;
  /** Parameters that all engines know, beside those of the work. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Further settings of one engine, by engine: those of a trial. */
  readonly settings?: Partial<Readonly<Record<EngineName, Readonly<Record<string, string>>>>>;
  /** It works through an input that is there already: nobody waits for a single record. */
  readonly flatOut?: boolean;
  /** For data; empty. */
  readonly folder: string;
  /** Null if no broker has a part in it. */
  readonly kafka: KafkaOptions | null;
  readonly jars: PeerJars;
}

export interface KafkaOptions {
  readonly bootstrap: string;
  readonly topics: Topics;
  readonly group: string;
}

export const CHECKPOINT_INTERVAL_MS = 10_000;

/** Flink's own list for Java 17 (env.java.opts.all in its conf/config.yaml). */
const FLINK_OPENS = [
  ...["lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent"],
  ...["util.concurrent.atomic", "util.concurrent.locks"],
].map((name) => `--add-opens=java.base/java.${name}=ALL-UNNAMED`).concat(
  "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
);

/**
 * Of both peers: the collector with the best throughput, and a heap that it need not fight for. What is young has so
 * much of it that little that is garbage soon is copied before; what is old has room for 10 million items.
 */
const JVM = "-XX:+UseParallelGC -Xms8g -Xmx8g -Xmn4g";

/** Of the producers that write the peers' results. */
const PRODUCER = { "linger.ms": "100", "batch.size": "262144", "buffer.memory": "134217728" };

/** Of Flink, where nobody waits for a single record: full fetches, which may wait for more, and no compression. */
const FLINK_FLAT_OUT = {
  "consumer.max.poll.records": "10000",
  "consumer.fetch.min.bytes": "262144",
  "consumer.fetch.max.wait.ms": "100",
  "consumer.max.partition.fetch.bytes": "4194304",
  "consumer.receive.buffer.bytes": "1048576",
  "flink.execution.checkpointing.snapshot-compression": "false",
};

const STREAMS = {
  "store": "lru",
  // Of a partition: more than there are items, so that none is ever removed.
  "store.entries": "2000000",
  "store.caching": "false",
  "streams.commit.interval.ms": "1000",
  "streams.max.poll.records": "4000",
  "streams.buffered.records.per.partition": "4000",
};

/** Of Kafka Streams, where nobody waits for a single record: commits as rare as the checkpoints of the others. */
const STREAMS_FLAT_OUT = {
  "streams.commit.interval.ms": String(CHECKPOINT_INTERVAL_MS),
  "streams.producer.transaction.timeout.ms": "60000",
};

function prefixed(prefix: string, values: Readonly<Record<string, string>>) {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value]));
}

/** Parameters by which all engines do the same. */
function parametersOf(options: JobOptions): Record<string, string> {
  const { work, parallelism, items, kafka } = options;
  const { results, summaries, generated } = DESCRIPTIONS[work];
  const topics: Partial<Record<keyof Topics, string>> = { ...kafka?.topics };
  if (!results) topics["transaction.output.topic"] = "";
  return {
    "parallelism": String(parallelism),
    "enable.summaries": String(summaries),
    "event.time": String(!generated),
    "time.intervals.in.minutes": "1",
    "watermark.out.of.orderness.ms": "60000",
    "transaction.num.min": "100",
    "transaction.failure.rate.min": "0.5",
    "checkpoint.interval.millis": String(CHECKPOINT_INTERVAL_MS),
    "generate.transactions": String(generated),
    ...(generated ? { "num.items": String(items) } : {}),
    ...(kafka
      ? { "kafka.bootstrap.servers": kafka.bootstrap, "kafka.group.id": kafka.group, ...topics }
      : {}),
    ...options.parameters,
  };
}

export function startEngine(name: EngineName, options: JobOptions): Promise<Job> {
  return STARTERS[name](options);
}

const STARTERS: Readonly<Record<EngineName, (options: JobOptions) => Promise<Job>>> = {
  stockflow: startStockflow,
  flink: startFlink,
  streams: startStreams,
};

async function startStockflow(options: JobOptions): Promise<Job> {
  const service = await startService({
    folder: options.folder,
    flags: {
      "job": options.kafka ? "kafka" : "embedded",
      ...parametersOf(options),
      // Event time is what closes windows, as in the peers.
      "window.idle.timeout.ms": "86400000",
      ...(options.kafka ? {} : { "generate.rate": "0", "pareto.shape": "0.1" }),
      ...options.settings?.stockflow,
    },
  });
  let ended = false;
  void service.status.then(() => ended = true);
  return {
    pid: service.pid,
    records: () => recordsIn(service),
    check: () => {
      if (ended) throw new Error(`stockflow has ended: ${service.log()}`);
    },
    kill: () => service.kill(),
    stateBytes: async () => (await scrape(service)).sum("stockflow_state_bytes"),
    items: async () => (await scrape(service)).sum("stockflow_items"),
    checkpoint: () => checkpointIn(service),
  };
}

async function startFlink(options: JobOptions): Promise<Job> {
  const { folder, jars } = options;
  const { jvm = JVM, ...settings } = options.settings?.flink ?? {};
  const parameters = {
    ...parametersOf(options),
    "folder": folder,
    "windows": "function",
    "windows.shuffle": "false",
    "sink.transactions": "INCREMENTING",
    ...prefixed("producer.", PRODUCER),
    ...(options.flatOut || !options.kafka ? FLINK_FLAT_OUT : {}),
    ...settings,
  };
  const job: Job = await JavaProcess.start({
    name: "flink",
    folder,
    jvm: [...jvm.split(" "), ...FLINK_OPENS],
    classPath: jars.flink,
    mainClass: "stockflow.peers.flink.ItemTransactionJob",
    parameters,
  });
  job.checkpoint = () => checkpointOfFlink(folder);
  return job;
}

function startStreams(options: JobOptions): Promise<Job> {
  const { folder, jars } = options;
  const { jvm = JVM, ...settings } = options.settings?.streams ?? {};
  const parameters = {
    ...parametersOf(options),
    "folder": folder,
    ...STREAMS,
    ...prefixed("streams.producer.", PRODUCER),
    ...(options.flatOut ? STREAMS_FLAT_OUT : {}),
    "streams.main.consumer.auto.offset.reset": "earliest",
    ...settings,
  };
  return JavaProcess.start({
    name: "streams",
    folder,
    jvm: jvm.split(" "),
    classPath: jars.streams,
    mainClass: "stockflow.peers.streams.ItemTransactionTopology",
    parameters,
  });
}
