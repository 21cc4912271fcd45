// What does a kill -9 under load cost? An engine has so many items and a checkpoint of them, transactions come at an
// even rate; it is killed and started again at once with what it left. How long do results stay away, how long until
// it has caught up, and is any lost or doubled? Beside it: how large is a checkpoint, and how long does it take?
//
//   deno task bench:peers:recovery [--items=1000000,10000000] [--engine=stockflow,flink,streams] [--rate=20000]
//       [--before=20] [--after=40] [--resume] [--to=<folder>]
//     --before, --after   seconds of load before and after the kill
//     --resume            goes on with what was interrupted: what was measured stays
//
// Writes what it measured into bench/results/recovery.json, and bench/RESULTS.md.

import { commandLine, usageOf } from "../tools/kit/command_line.ts";
import { decodeBatch, decodeUtf8 } from "../src/types/mod.ts";
import { Loader } from "../tools/kit/load.ts";
import { CommittedReader } from "./committed_reader.ts";
import { countIn, countsIn, listIn } from "./options.ts";
import { startMeasuredBroker } from "./measured_broker.ts";
import { buildPeers } from "./peers/build.ts";
import { newestOfFlink } from "./peers/checkpoints.ts";
import { type JobOptions, startEngine } from "./peers/engines.ts";
import type { Job } from "./peers/job.ts";
import { Kept, nowText, TO } from "./peers/kept.ts";
import { endWhenInterrupted, sleep } from "./peers/measure.ts";
import { writePages } from "./peers/pages.ts";
import { type RecoveryMeasurement, waitsOf } from "./peers/recoveries.ts";
import { send, Stopwatch } from "./peers/schedule.ts";
import { createTopics, deleteTopics, loadInput } from "./peers/stage.ts";
import { type EngineName, ENGINES } from "./peers/works.ts";

const PARTITIONS = 8;
const PARALLELISM = 2;
/** Longer than a checkpoint takes to come. */
const REST_MS = 12_000;
const DRAIN_MS_MAX = 180_000;
/** Numbers of the load; those of what was loaded before have 19 digits. */
const NUMBERS_MAX = 1e12;

const TASK = "bench:peers:recovery";
const OPTIONS = {
  items: { type: "string", default: "1000000,10000000" },
  engine: { type: "string", default: ENGINES.join(",") },
  rate: { type: "string", default: "20000" },
  before: { type: "string", default: "20" },
  after: { type: "string", default: "40" },
  resume: { type: "boolean", default: false },
  to: TO,
} as const;
const USAGE = usageOf(TASK, OPTIONS);
const values = commandLine(TASK, OPTIONS);
const counts = countsIn(USAGE, "items", values.items);
const engines = listIn(USAGE, "engine", values.engine, ENGINES);
const [rate, before, after] = (["rate", "before", "after"] as const)
  .map((name) => countIn(USAGE, name, values[name])) as [number, number, number];
const kept = await Kept.open(values.to);

const jars = await buildPeers();
// Transactions that nobody ends are looked for every 10 s else.
const broker = await startMeasuredBroker({
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
});
const { bootstrap } = broker;
/** The engine that runs. */
let job: Job | null = null;
async function endAll(): Promise<void> {
  await job?.kill();
  await broker.remove();
}
endWhenInterrupted(endAll);

/** Settings by which an engine begins with what it left, beside its own. */
async function settingsOf(engine: EngineName, folder: string): Promise<Record<string, string>> {
  // Kafka waits for a member without a name until its session has expired (45 s).
  // Its process has another id at each start, as its store is in memory: what was open is aborted by time alone.
  if (engine === "streams") {
    return {
      "streams.group.instance.id": "peer",
      "streams.producer.transaction.timeout.ms": "2000",
    };
  }
  if (engine === "stockflow") return {};
  const path = await newestOfFlink(folder);
  return path === null ? {} : { "flink.execution.state-recovery.path": `file://${path}` };
}

async function start(engine: EngineName, options: Omit<JobOptions, "settings">): Promise<Job> {
  const settings = { [engine]: await settingsOf(engine, options.folder) };
  job = await startEngine(engine, { ...options, settings });
  return job;
}

const random = (n: number) => Math.floor(Math.random() * n);

async function measure(engine: EngineName, items: number): Promise<void> {
  const group = `recovery-${engine}-${items}`;
  const topics = await createTopics(broker, group, PARTITIONS);
  const input = topics["transaction.input.topic"];
  const { records } = await loadInput(bootstrap, input, {
    records: items,
    items,
    keys: "item",
    inTurn: true,
  });
  const folder = await Deno.makeTempDir({ prefix: "stockflow-peers-" });
  const kafka = { bootstrap, topics, group };
  const options = { work: "b", parallelism: PARALLELISM, items, folder, kafka, jars } as const;
  const first = await start(engine, options);
  while (await first.records() < records) {
    first.check();
    await sleep(100);
  }
  await sleep(REST_MS);

  const loader = await Loader.open(bootstrap, input);
  const from = performance.now();
  const watch = new Stopwatch(rate, from);
  const reader = await CommittedReader.open(bootstrap, topics["transaction.output.topic"], (b) => {
    for (const { value } of decodeBatch(b)) {
      const n = Number(decodeUtf8(value!)!.split("\t", 1)[0]);
      if (n < NUMBERS_MAX) watch.visible(n);
    }
  });
  const sending = send(watch, from + 1000 * (before + after), (n, count) => {
    const now = Date.now();
    const line = (i: number) => `${n + i}\t${now}\titem_${1 + random(items)}\t5`;
    return loader.append(
      Array.from({ length: count }, (_, i) => loader.recordOf(line(i), now)),
    );
  });
  await sleep(1000 * before);
  const checkpoint = await first.checkpoint?.() ?? null;
  const killedAt = performance.now();
  await first.kill();
  const second = await start(engine, options);
  await sending;
  const until = performance.now() + DRAIN_MS_MAX;
  while (watch.seen < watch.sent && performance.now() < until) {
    second.check();
    await Promise.race([sleep(100), reader.done]);
  }
  await sleep(1000); // what is doubled would come now
  const measured: RecoveryMeasurement = {
    engine,
    items,
    rate,
    at: nowText(),
    checkpointBytes: checkpoint?.bytes ?? null,
    checkpointMs: checkpoint?.ms ?? null,
    ...waitsOf(watch, killedAt),
    sent: watch.sent,
    lost: watch.sent - watch.seen,
    doubled: watch.doubled,
  };
  await reader.close();
  await loader.close();
  await second.kill();
  job = null;
  await deleteTopics(bootstrap, group);
  await Deno.remove(folder, { recursive: true });
  await kept.put<RecoveryMeasurement>("recovery", measured, (m) => isOfSame(m, engine, items));
  const { firstResultMs, caughtUpMs, longestMs, lost, doubled, sent } = measured;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  console.log(
    `${engine}, ${items} items: checkpoint ${checkpoint?.bytes ?? 0} bytes in ` +
      `${checkpoint?.ms ?? 0} ms; kill -9 to the first result ${seconds(firstResultMs)}, caught ` +
      `up after ${seconds(caughtUpMs)}, longest wait ${seconds(longestMs)}; ${lost} of ${sent} ` +
      `lost, ${doubled} doubled`,
  );
}

const isOfSame = (m: RecoveryMeasurement, engine: EngineName, items: number) =>
  m.engine === engine && m.items === items;

try {
  for (const items of counts) {
    for (const engine of engines) {
      const there = values.resume ? await kept.read<RecoveryMeasurement>("recovery") : [];
      if (!there.some((m) => isOfSame(m, engine, items))) await measure(engine, items);
    }
  }
} finally {
  await endAll();
}
await writePages(kept);
Deno.exit(0);
