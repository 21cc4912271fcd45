// Latencies of stockflow, Apache Flink and Kafka Streams under the same load: from the moment when a transaction, or
// a query, is due to be produced to the moment when its result, or answer, is visible under read_committed. What
// waits to be sent counts: one who is late does not stop the clock. One transaction of each batch is watched, and all are
// encoded before (bench/ready_batches.ts): at 200,000/s a client that makes and reads every record is what is slow.
//
//   deno task bench:peers:latency [--rates=10000,50000,100000,200000] [--settings=...] [--warmup=20] [--seconds=20]
//       [--broker=120] [--resume] [--to=<folder>]
//     --resume   goes on with what was interrupted: what was measured stays
//     --warmup   seconds of load before the window of --seconds; longer as long as a backlog waits, 120 s at the most
//     --broker   seconds for which the broker serves the first setting before anything is measured: a new one compiles
//                itself for two minutes, with a third of the processor time that it takes
//
// Writes what it measured into bench/results/latency.json, and bench/RESULTS.md.

import { commandLine, usageOf } from "../tools/kit/command_line.ts";
import { decodeBatch, decodeUtf8, encodeUtf8 } from "../src/types/mod.ts";
import type { TestBroker } from "../tools/kit/test_broker.ts";
import { Loader } from "../tools/kit/load.ts";
import { CommittedReader, type OnBatch } from "./committed_reader.ts";
import { countIn, countsIn, listIn } from "./options.ts";
import { startMeasuredBroker } from "./measured_broker.ts";
import { buildPeers, type PeerJars } from "./peers/build.ts";
import { CHECKPOINT_INTERVAL_MS, type JobOptions, startEngine } from "./peers/engines.ts";
import { Kept, nowText, TO } from "./peers/kept.ts";
import {
  CATCH_UP_SECONDS_MAX,
  type LatencyMeasurement,
  measurementOf,
  overloaded,
} from "./peers/latencies.ts";
import { endWhenInterrupted, sleep } from "./peers/measure.ts";
import { writePages } from "./peers/pages.ts";
import { isBehind, send, Stopwatch } from "./peers/schedule.ts";
import { createTopics, deleteTopics } from "./peers/stage.ts";
import { ReadyBatches, watchedIn } from "./ready_batches.ts";
import type { EngineName } from "./peers/works.ts";

interface Setting {
  readonly engine: EngineName;
  readonly title: string;
  /** Between commits or checkpoints, which make results visible. */
  readonly intervalMs: number;
  readonly settings: Readonly<Record<string, string>>;
}

/** The usual setting of each engine, and those with the least latency that hold the load. */
const SETTINGS: Readonly<Record<string, Setting>> = {
  "stockflow-100": {
    engine: "stockflow",
    title: "stockflow, commits every 100 ms",
    intervalMs: 100,
    settings: { "commit.interval.ms": "100" },
  },
  "stockflow-20": {
    engine: "stockflow",
    title: "stockflow, commits every 20 ms",
    intervalMs: 20,
    settings: { "commit.interval.ms": "20" },
  },
  "stockflow-answers": {
    engine: "stockflow",
    title: "stockflow, one worker, commits every 100 ms, answers every 5 ms",
    intervalMs: 100,
    settings: { "commit.interval.ms": "100", "query.commit.interval.ms": "5", "parallelism": "1" },
  },
  "flink-10s": {
    engine: "flink",
    title: "Flink, checkpoints every 10 s",
    intervalMs: CHECKPOINT_INTERVAL_MS,
    settings: {},
  },
  "flink-500ms": {
    engine: "flink",
    title: "Flink, checkpoints every 500 ms",
    intervalMs: 500,
    settings: {
      "checkpoint.interval.millis": "500",
      "flink.execution.buffer-timeout.interval": "5ms",
      "producer.linger.ms": "5",
    },
  },
  "streams-1s": {
    engine: "streams",
    title: "Kafka Streams, commits every second",
    intervalMs: 1000,
    settings: {},
  },
  "streams-100ms": {
    engine: "streams",
    title: "Kafka Streams, commits every 100 ms",
    intervalMs: 100,
    settings: { "streams.commit.interval.ms": "100", "streams.producer.linger.ms": "5" },
  },
};

const PARTITIONS = 8;
const ITEMS = 1_000_000;
const QUERIES_PER_SECOND = 100;
/** Flink's first checkpoint, and a start on a busy machine. */
const DRAIN_MS_MAX = 40_000;

const TASK = "bench:peers:latency";
const OPTIONS = {
  rates: { type: "string", default: "10000,50000,100000,200000" },
  settings: { type: "string", default: Object.keys(SETTINGS).join(",") },
  broker: { type: "string", default: "120" },
  warmup: { type: "string", default: "20" },
  seconds: { type: "string", default: "20" },
  resume: { type: "boolean", default: false },
  to: TO,
} as const;
const USAGE = usageOf(TASK, OPTIONS);
const values = commandLine(TASK, OPTIONS);
const rates = countsIn(USAGE, "rates", values.rates);
const brokerSeconds = countIn(USAGE, "broker", values.broker);
const settingSeconds = countIn(USAGE, "warmup", values.warmup);
const seconds = countIn(USAGE, "seconds", values.seconds);
const settings = listIn(USAGE, "settings", values.settings, Object.keys(SETTINGS))
  .map((name) => SETTINGS[name]!);
const kept = await Kept.open(values.to);

const random = (n: number) => Math.floor(Math.random() * n);
const numberIn = (value: Uint8Array | null) => Number(decodeUtf8(value!)!.split("\t", 1)[0]);

/** @param warmUp seconds for which the broker is given load, and nothing is kept; null: a setting is measured */
async function measure(
  broker: TestBroker,
  jars: PeerJars,
  { engine, title, intervalMs, settings }: Setting,
  rate: number,
  run: number,
  warmUp: number | null = null,
): Promise<void> {
  const { bootstrap } = broker;
  const group = `latency-${run}`;
  const topics = await createTopics(broker, group, PARTITIONS);
  const folder = await Deno.makeTempDir({ prefix: "stockflow-peers-" });
  const options: JobOptions = {
    work: "b",
    parallelism: 2,
    items: ITEMS,
    folder,
    kafka: { bootstrap, topics, group },
    jars,
    settings: { [engine]: settings },
  };
  const job = await startEngine(engine, options);
  const loader = await Loader.open(bootstrap, topics["transaction.input.topic"]);
  // A connection of its own: the transactions' requests would be answered first.
  const asking = await Loader.open(bootstrap, topics["query.input.topic"]);
  // A job reads queries from their end as it is when it starts: the first record shows that it has.
  await loader.append([loader.recordOf(`-1\t${Date.now()}\titem_0\t1`, Date.now())]);
  const batches = ReadyBatches.of(loader, ITEMS, rate);
  while (await job.records() < 1) {
    job.check();
    await sleep(50);
  }
  const from = performance.now();
  let end = warmUp === null ? Infinity : from + 1000 * warmUp;
  const transactions = new Stopwatch(batches.batchesAt(rate), from);
  const queries = new Stopwatch(QUERIES_PER_SECOND, from);
  const read = (topic: string, onBatch: OnBatch) =>
    CommittedReader.open(bootstrap, topic, onBatch, "earliest");
  const readers = [
    await read(
      topics["transaction.output.topic"],
      (batch) => watchedIn(batch, (n) => transactions.visible(n)),
    ),
    await read(topics["query.output.topic"], (batch) => {
      for (const { value } of decodeBatch(batch)) queries.visible(numberIn(value));
    }),
  ];
  const sending = Promise.all([
    send(transactions, () => end, (first, count) => batches.send(first, count)),
    // Keyed by the item, as Kafka Streams needs them.
    send(queries, () => end, (first, count) => {
      const queries = Array.from({ length: count }, (_, i) => {
        const itemId = `item_${random(ITEMS)}`;
        const value = encodeUtf8(`${first + i} ${itemId}`);
        return { timestamp: Date.now(), key: encodeUtf8(itemId), value };
      });
      return asking.append(queries);
    }),
  ]);
  /** Until a moment, or until something is so; fails when sending or the engine does. */
  const wait = async (until: number, isSo = () => false): Promise<void> => {
    while (performance.now() < until && !isSo()) {
      job.check();
      await Promise.race([sleep(50), sending.then(() => sleep(50))]);
    }
  };
  const isLate = () => isBehind(transactions, intervalMs) || isBehind(queries, intervalMs);
  try {
    if (warmUp !== null) {
      await sending;
      return;
    }
    await wait(from + 1000 * settingSeconds);
    await wait(from + 1000 * (settingSeconds + CATCH_UP_SECONDS_MAX), () => !isLate());
    const measuredFrom = performance.now();
    let holds = !isLate();
    if (holds) {
      end = measuredFrom + 1000 * seconds;
      await wait(end);
      holds = !isLate();
    }
    end = Math.min(end, performance.now());
    await sending;
    if (holds) {
      const isVisible = () =>
        transactions.seen >= transactions.sent && queries.seen >= queries.sent;
      await wait(performance.now() + DRAIN_MS_MAX, isVisible);
      holds = isVisible();
    }
    if (!holds) {
      console.log(`${title}, ${rate}/s: it does not hold the load`);
    }
    const warmUpSeconds = (measuredFrom - from) / 1000;
    for (const [what, watch] of [["transactions", transactions], ["queries", queries]] as const) {
      const latencies = watch.latenciesSince(measuredFrom);
      const about = { setting: title, rate, what, at: nowText(), warmUpSeconds, seconds };
      const missing = watch.sent - watch.seen;
      const m = holds ? measurementOf(about, latencies) : overloaded(about, missing);
      await kept.put<LatencyMeasurement>("latency", m, (o) => isOfSame(o, m) && o.what === what);
      if (!holds) continue;
      console.log(
        `${title}, ${rate}/s, ${what}: p50 ${m.p50.toFixed(1)} ms, p99 ${m.p99.toFixed(1)} ms, ` +
          `p99.9 ${m.p999.toFixed(1)} ms, max ${m.max.toFixed(1)} ms of ${m.count}`,
      );
    }
  } finally {
    end = 0;
    await sending.catch(() => {}); // it has been thrown already
    await Promise.all(readers.map((reader) => reader.close()));
    await Promise.all([loader.close(), asking.close()]);
    await job.kill();
    await Deno.remove(folder, { recursive: true });
    await deleteTopics(bootstrap, group);
  }
}

const isOfSame = (
  m: LatencyMeasurement,
  of: Pick<LatencyMeasurement, "setting" | "rate">,
): boolean => m.setting === of.setting && m.rate === of.rate;

/** Was it measured, or found not to hold the load, in the run that is gone on with? */
async function isLeft(setting: string, rate: number): Promise<boolean> {
  if (!values.resume) return true;
  return !(await kept.read<LatencyMeasurement>("latency")).some((m) =>
    isOfSame(m, { setting, rate })
  );
}

const jars = await buildPeers();
const broker = await startMeasuredBroker();
endWhenInterrupted(() => broker.remove());
try {
  let run = 0;
  const [first] = settings;
  if (first) await measure(broker, jars, first, Math.max(...rates), ++run, brokerSeconds);
  for (const rate of rates) {
    for (const setting of settings) {
      if (await isLeft(setting.title, rate)) await measure(broker, jars, setting, rate, ++run);
    }
  }
} finally {
  await broker.remove();
}
await writePages(kept);
Deno.exit(0);
