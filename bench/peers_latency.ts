// Latencies of stockflow, Apache Flink and Kafka Streams under the same load: from the moment when a transaction, or
// a query, is due to be produced to the moment when its result, or answer, is visible under read_committed. What
// waits to be sent counts: one who is late does not stop the clock.
//
//   deno task bench:peers:latency [--rates=10000,50000,100000,200000] [--settings=...] [--seconds=20]
//
// Writes what it measured into bench/results/latency.json, and bench/RESULTS.md.

import { commandLine } from "../tools/kit/command_line.ts";
import { decodeBatch, decodeUtf8, encodeUtf8 } from "../src/types/mod.ts";
import { startTestBroker, type TestBroker } from "../tools/kit/test_broker.ts";
import { Loader } from "../tools/kit/load.ts";
import { CommittedReader } from "./committed_reader.ts";
import { refuse } from "./options.ts";
import { buildPeers, type PeerJars } from "./peers/build.ts";
import { type JobOptions, startEngine } from "./peers/engines.ts";
import { FigureFile } from "./peers/figures.ts";
import { type LatencyMeasurement, measurementOf } from "./peers/latencies.ts";
import { sleep } from "./peers/measure.ts";
import { readResults, writePages } from "./peers/pages.ts";
import { createTopics, deleteTopics } from "./peers/stage.ts";
import type { EngineName } from "./peers/works.ts";

interface Setting {
  readonly engine: EngineName;
  readonly title: string;
  readonly settings: Readonly<Record<string, string>>;
}

/** The usual setting of each engine, and the one with the least latency that holds the load. */
const SETTINGS: Readonly<Record<string, Setting>> = {
  "stockflow-100": {
    engine: "stockflow",
    title: "stockflow, commits every 100 ms",
    settings: { "commit.interval.ms": "100" },
  },
  "stockflow-20": {
    engine: "stockflow",
    title: "stockflow, commits every 20 ms",
    settings: { "commit.interval.ms": "20" },
  },
  "flink-10s": {
    engine: "flink",
    title: "Flink, checkpoints every 10 s",
    settings: {},
  },
  "flink-500ms": {
    engine: "flink",
    title: "Flink, checkpoints every 500 ms",
    settings: {
      "checkpoint.interval.millis": "500",
      "flink.execution.buffer-timeout.interval": "5ms",
      "producer.linger.ms": "5",
    },
  },
  "streams-1s": {
    engine: "streams",
    title: "Kafka Streams, commits every second",
    settings: {},
  },
  "streams-100ms": {
    engine: "streams",
    title: "Kafka Streams, commits every 100 ms",
    settings: { "streams.commit.interval.ms": "100", "streams.producer.linger.ms": "5" },
  },
};

const USAGE = "deno task bench:peers:latency [--rates=10000,50000,100000,200000] " +
  `[--settings=${Object.keys(SETTINGS).join(",")}] [--warmup=20] [--seconds=20]`;
const PARTITIONS = 8;
const ITEMS = 1_000_000;
const TICK_MS = 5;
const QUERIES_PER_SECOND = 100;
/** Flink's first checkpoint, and a start on a busy machine. */
const DRAIN_MS_MAX = 40_000;

const values = commandLine("bench:peers:latency", {
  rates: { type: "string", default: "10000,50000,100000,200000" },
  settings: { type: "string", default: Object.keys(SETTINGS).join(",") },
  warmup: { type: "string", default: "20" },
  seconds: { type: "string", default: "20" },
});
const numbers = (name: string, text: string): number[] =>
  text.split(",").map((n) =>
    /^[1-9]\d*$/.test(n)
      ? Number(n)
      : refuse(USAGE, `--${name} must be of positive integers, not ${JSON.stringify(n)}`)
  );
const rates = numbers("rates", values.rates);
const [warmUp, seconds] = [
  numbers("warmup", values.warmup)[0]!,
  numbers("seconds", values.seconds)[0]!,
];
const settings = values.settings.split(",").map((name) =>
  SETTINGS[name] ??
    refuse(
      USAGE,
      `--settings must be of ${Object.keys(SETTINGS).join(", ")}, not ${JSON.stringify(name)}`,
    )
);

/** Due times of what is sent, and latencies of what has become visible. */
class Stopwatch {
  readonly #due: number[] = [];
  readonly latencies: number[] = [];
  seen = 0;

  constructor(readonly perSecond: number, readonly from: number) {}

  /** Number of those that are due by now and were not taken before. */
  takeDue(until: number): { readonly first: number; readonly count: number } {
    const first = this.#due.length;
    const count = Math.floor((until - this.from) * this.perSecond / 1000) - first;
    for (let i = 0; i < count; i++) {
      this.#due.push(this.from + 1000 * (first + i + 1) / this.perSecond);
    }
    return { first, count: Math.max(0, count) };
  }

  get sent(): number {
    return this.#due.length;
  }

  visible(n: number): void {
    this.seen++;
    const due = this.#due[n]!;
    if (due - this.from >= 1000 * warmUp) this.latencies.push(performance.now() - due);
  }
}

/** Sends what is due, as long as the run takes. */
async function send(
  watch: Stopwatch,
  some: (first: number, count: number) => Promise<void>,
): Promise<void> {
  const end = watch.from + 1000 * (warmUp + seconds);
  const sending: Promise<void>[] = [];
  while (performance.now() < end) {
    const { first, count } = watch.takeDue(Math.min(end, performance.now()));
    if (count > 0) sending.push(some(first, count));
    await sleep(TICK_MS);
  }
  await Promise.all(sending);
}

const random = (n: number) => Math.floor(Math.random() * n);
const numberIn = (value: Uint8Array | null) => Number(decodeUtf8(value!)!.split("\t", 1)[0]);

async function measure(
  broker: TestBroker,
  jars: PeerJars,
  { engine, title, settings }: Setting,
  rate: number,
  run: number,
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
  while (await job.records() < 1) {
    job.check();
    await sleep(50);
  }
  const from = performance.now();
  const transactions = new Stopwatch(rate, from);
  const queries = new Stopwatch(QUERIES_PER_SECOND, from);
  const read = (topic: string, watch: Stopwatch) =>
    CommittedReader.open(bootstrap, topic, (batch) => {
      for (const { value } of decodeBatch(batch)) {
        const n = numberIn(value);
        if (n >= 0) watch.visible(n);
      }
    }, "earliest");
  const readers = [
    await read(topics["transaction.output.topic"], transactions),
    await read(topics["query.output.topic"], queries),
  ];
  try {
    await Promise.all([
      send(transactions, (first, count) => {
        const now = Date.now();
        const record = (_: unknown, i: number) =>
          loader.recordOf(`${first + i}\t${now}\titem_${random(ITEMS)}\t5`, now);
        return loader.append(Array.from({ length: count }, record));
      }),
      // Keyed by the item, as Kafka Streams needs them.
      send(queries, (first, count) => {
        const queries = Array.from({ length: count }, (_, i) => {
          const itemId = `item_${random(ITEMS)}`;
          const value = encodeUtf8(`${first + i} ${itemId}`);
          return { timestamp: Date.now(), key: encodeUtf8(itemId), value };
        });
        return asking.append(queries);
      }),
    ]);
    const until = performance.now() + DRAIN_MS_MAX;
    while (
      (transactions.seen < transactions.sent || queries.seen < queries.sent) &&
      performance.now() < until
    ) {
      job.check();
      await sleep(50);
    }
    const missing = transactions.sent - transactions.seen + queries.sent - queries.seen;
    if (missing > 0) {
      console.log(`${title}, ${rate}/s: ${missing} are not visible; it does not hold the load`);
    }
    for (const [what, watch] of [["transactions", transactions], ["queries", queries]] as const) {
      if (watch.latencies.length === 0 || missing > 0) continue;
      const at = new Date().toISOString().slice(0, 16) + "Z";
      const m = measurementOf({ setting: title, rate, what, at }, watch.latencies);
      await keep(m);
      console.log(
        `${title}, ${rate}/s, ${what}: p50 ${m.p50.toFixed(1)} ms, p99 ${m.p99.toFixed(1)} ms, ` +
          `p99.9 ${m.p999.toFixed(1)} ms, max ${m.max.toFixed(1)} ms of ${m.count}`,
      );
    }
  } finally {
    await Promise.all(readers.map((reader) => reader.close()));
    await Promise.all([loader.close(), asking.close()]);
    await job.kill();
    await Deno.remove(folder, { recursive: true });
    await deleteTopics(bootstrap, group);
  }
}

const root = new URL("../", import.meta.url);
await Deno.mkdir(new URL("bench/results/", root), { recursive: true });

/** Writes a measurement in the place of the one before. */
async function keep(measured: LatencyMeasurement): Promise<void> {
  const { setting, rate, what } = measured;
  const others = (await readResults<LatencyMeasurement>(root, "latency")).filter((m) =>
    m.setting !== setting || m.rate !== rate || m.what !== what
  );
  const text = JSON.stringify([...others, measured]);
  await Deno.writeTextFile(new URL("bench/results/latency.json", root), `${text}\n`);
}

const jars = await buildPeers();
const broker = await startTestBroker();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => void broker.remove().finally(() => Deno.exit(130)));
}
try {
  let run = 0;
  for (const rate of rates) {
    for (const setting of settings) await measure(broker, jars, setting, rate, ++run);
  }
} finally {
  await broker.remove();
}
await writePages(root, (await FigureFile.open(new URL("bench/results/peers.json", root))).all);
Deno.exit(0);
