// How do rate and cost of stockflow grow by partitions and workers, by processes, by items, and by the size of batches?
//
//   deno task bench:peers:scale [--by=partitions,processes,items,batch] [--records=6000000] [--resume]
//       [--partitions=1,2,4,8,16,32,64] [--processes=1,2,4] [--batch=1,10,100,1000]
//       [--items=1000,10000,100000,1000000,10000000,100000000] [--seconds=10] [--to=<folder>]
//     --resume   goes on with what was interrupted: what was measured stays
//
// Writes what it measured into bench/results/scale.json, and bench/RESULTS.md. 100 M items need 6 GB of memory.

import { commandLine, usageOf } from "../tools/kit/command_line.ts";
import { Loader } from "../tools/kit/load.ts";
import { TOPICS } from "../tools/kit/job_process.ts";
import type { Service } from "../tools/kit/service.ts";
import { KafkaScene } from "./kafka_scene.ts";
import { countIn, countsIn, listIn } from "./options.ts";
import { startEngine } from "./peers/engines.ts";
import { Input } from "./peers/input.ts";
import { Kept, nowText, TO } from "./peers/kept.ts";
import { measureSeconds, sleep } from "./peers/measure.ts";
import { writePages } from "./peers/pages.ts";
import { type Scale, type ScaleMeasurement, SCALES } from "./peers/scale.ts";
import { residentBytes } from "./process_figures.ts";
import { describeSteady, steadyOf } from "./steady.ts";

const ITEMS = 1_000_000;
const PARTITIONS = 8;
const WORKERS = 2;
/** Behind the start, and before one of several processes has nothing left. */
const STEADY = { from: 0.4, to: 0.9 };
const WORK_B = { "enable.summaries": "false" };
/** Items that come by chance: so many records each see 86 % of them; and enough that all is compiled. */
const RECORDS_PER_ITEM = 2;
const RECORDS_MIN = 10_000_000;
/** Requests of the smallest batches, each with one for each partition; and those under way at once. */
const REQUESTS_MAX = 50_000;
const SENDERS = 8;

const TASK = "bench:peers:scale";
const OPTIONS = {
  by: { type: "string", default: SCALES.join(",") },
  records: { type: "string", default: "6000000" },
  partitions: { type: "string", default: "1,2,4,8,16,32,64" },
  processes: { type: "string", default: "1,2,4" },
  batch: { type: "string", default: "1,10,100,1000" },
  items: { type: "string", default: "1000,10000,100000,1000000,10000000,100000000" },
  seconds: { type: "string", default: "10" },
  resume: { type: "boolean", default: false },
  to: TO,
} as const;
const USAGE = usageOf(TASK, OPTIONS);
const values = commandLine(TASK, OPTIONS);
const records = countIn(USAGE, "records", values.records);
const seconds = countIn(USAGE, "seconds", values.seconds);
const kept = await Kept.open(values.to);

type Figures = Omit<ScaleMeasurement, "by" | "n" | "workers" | "at">;

type Point = Pick<ScaleMeasurement, "by" | "n" | "workers">;

const isOfSame = (m: ScaleMeasurement, of: Point) =>
  m.by === of.by && m.n === of.n && m.workers === of.workers;

/** Those that are not measured yet. */
async function leftOf(points: readonly Point[]): Promise<Point[]> {
  const there = values.resume ? await kept.read<ScaleMeasurement>("scale") : [];
  return points.filter((of) => !there.some((m) => isOfSame(m, of)));
}

/** Measures and keeps one point of a curve. */
async function point(of: Point, measure: () => Promise<Figures>): Promise<void> {
  const figures = await measure();
  const m = { ...of, at: nowText(), ...figures };
  await kept.put<ScaleMeasurement>("scale", m, (other) => isOfSame(other, of));
  const { rate, cpu, brokerCpu, bytes } = figures;
  const steady = describeSteady({ rate: rate / 1e6, cpu, broker: brokerCpu });
  const mebibytes = Math.round(bytes / 2 ** 20);
  console.log(`${of.by} ${of.n}, ${of.workers} workers: ${steady}, RSS ${mebibytes} MiB`);
}

let runs = 0;

/** Works of some processes through all records of a scene. */
async function fold(
  scene: KafkaScene,
  all: number,
  processes: number,
  flags: Readonly<Record<string, string>>,
): Promise<Figures> {
  const group = { "kafka.group.id": `scale-${++runs}` };
  const jobs: Service[] = await Promise.all(
    Array.from(
      { length: processes },
      async () => await scene.startJob(await scene.newFolder(), { ...flags, ...group }),
    ),
  );
  const { rate, cpu, broker } = await steadyOf(jobs, scene.broker, { records: all, ...STEADY });
  const sizes = await Promise.all(jobs.map(({ pid }) => residentBytes(pid)));
  await Promise.all(jobs.map((job) => job.kill()));
  return { rate: 1e6 * rate, cpu, brokerCpu: broker, bytes: sizes.reduce((a, b) => a + b) };
}

async function byPartitions(): Promise<void> {
  for (const n of countsIn(USAGE, "partitions", values.partitions)) {
    const workers = n === 1 ? [1] : [1, WORKERS];
    const left = await leftOf(workers.map((w) => ({ by: "partitions", n, workers: w })));
    if (left.length === 0) continue;
    await using scene = await KafkaScene.open({ partitions: n });
    await scene.fill(ITEMS, records);
    for (const of of left) {
      const flags = { ...WORK_B, "parallelism": String(of.workers) };
      await point(of, () => fold(scene, records, 1, flags));
    }
  }
}

async function byProcesses(): Promise<void> {
  const left = await leftOf(
    countsIn(USAGE, "processes", values.processes)
      .map((n) => ({ by: "processes", n, workers: n * Math.max(1, Math.floor(WORKERS / n)) })),
  );
  if (left.length === 0) return;
  await using scene = await KafkaScene.open({ partitions: PARTITIONS });
  await scene.fill(ITEMS, records);
  for (const of of left) {
    const flags = {
      "parallelism": String(of.workers / of.n),
      "kafka.partitions.shared": String(of.n > 1),
    };
    await point(of, () => fold(scene, records, of.n, flags));
  }
}

/** Fills the topic of transactions with batches of so many records; answers how many records there are. */
async function fillByBatches(scene: KafkaScene, perBatch: number): Promise<number> {
  const input = new Input({ records, items: ITEMS, keys: "item" });
  const loader = await Loader.open(scene.broker.bootstrap, TOPICS["transaction.input.topic"]);
  const queues = Array.from({ length: PARTITIONS }, () => [] as ReturnType<Input["record"]>[]);
  const sending = new Set<Promise<void>>();
  const requests = Math.min(REQUESTS_MAX, Math.ceil(records / perBatch / PARTITIONS));
  let next = 0;
  for (let n = 0; n < requests; n++) {
    // One batch for each partition in a request.
    while (queues.some((queue) => queue.length < perBatch)) {
      const record = input.record(next++);
      queues[loader.partitionOf(record)]!.push(record);
    }
    const sent: Promise<void> = loader
      .appendEach([...queues].map((queue, p) => [p, queue.splice(0, perBatch)] as const))
      .then(() => void sending.delete(sent));
    sending.add(sent);
    if (sending.size >= SENDERS) await Promise.race(sending);
  }
  await Promise.all(sending);
  await loader.close();
  return requests * PARTITIONS * perBatch;
}

async function byBatch(): Promise<void> {
  const counts = countsIn(USAGE, "batch", values.batch);
  for (const of of await leftOf(counts.map((n) => ({ by: "batch", n, workers: WORKERS })))) {
    await point(of, async () => {
      await using scene = await KafkaScene.open({ partitions: PARTITIONS });
      const count = await fillByBatches(scene, of.n);
      return await fold(scene, count, 1, { ...WORK_B, "parallelism": String(WORKERS) });
    });
  }
}

/** A generator in the process, for some seconds behind the time in which the items come. */
async function generate(n: number): Promise<Figures> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-scale-" });
  const started = performance.now();
  const options = { work: "e", parallelism: WORKERS, items: n, folder, kafka: null } as const;
  const job = await startEngine("stockflow", { ...options, jars: { flink: "", streams: "" } });
  const kill = () => void job.kill().finally(() => Deno.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, kill);
  try {
    while (await job.records() < Math.max(RECORDS_MIN, RECORDS_PER_ITEM * n)) {
      job.check();
      await sleep(100);
    }
    const loadSeconds = (performance.now() - started) / 1000;
    const { rate, cpu } = await measureSeconds(job, {
      warmUpSeconds: 0,
      warmUpCpuSeconds: 0,
      seconds,
    });
    const items = await job.items!();
    return { rate, cpu, brokerCpu: 0, bytes: await residentBytes(job.pid), items, loadSeconds };
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, kill);
    await job.kill();
    await Deno.remove(folder, { recursive: true });
  }
}

async function byItems(): Promise<void> {
  const counts = countsIn(USAGE, "items", values.items);
  for (const of of await leftOf(counts.map((n) => ({ by: "items", n, workers: WORKERS })))) {
    await point(of, () => generate(of.n));
  }
}

const MEASURES: Readonly<Record<Scale, () => Promise<void>>> = {
  partitions: byPartitions,
  processes: byProcesses,
  items: byItems,
  batch: byBatch,
};
for (const by of listIn(USAGE, "by", values.by, SCALES)) await MEASURES[by]();
await writePages(kept);
Deno.exit(0);
