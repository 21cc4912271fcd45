// How do rate and cost of stockflow grow by partitions and workers, by processes, by items, and by the size of batches?
//
//   deno task bench:peers:scale [--by=partitions,processes,items,batch] [--records=6000000] [--resume]
//       [--partitions=1,2,4,8,16,32,64] [--processes=1,2,4] [--batch=1,10,100,1000]
//       [--items=1000,10000,100000,1000000,10000000,100000000] [--seconds=10] [--to=<folder>]
//     --resume   goes on with what was interrupted: what was measured stays
//
// Writes what it measured into bench/results/scale.json, and bench/RESULTS.md. 100 M items need 6 GB of memory.

import { parseArgs } from "node:util";
import { Loader } from "../tools/kit/load.ts";
import { TOPICS } from "../tools/kit/job_process.ts";
import type { Service } from "../tools/kit/service.ts";
import { KafkaScene } from "./kafka_scene.ts";
import { countsIn, listIn, orRefuse } from "./options.ts";
import { startEngine } from "./peers/engines.ts";
import { Input } from "./peers/input.ts";
import { Kept, nowText, TO } from "./peers/kept.ts";
import { measureSeconds, sleep } from "./peers/measure.ts";
import { writePages } from "./peers/pages.ts";
import { type Scale, type ScaleMeasurement, SCALES } from "./peers/scale.ts";
import { residentBytes } from "./process_figures.ts";
import { describeSteady, steadyOf } from "./steady.ts";

const USAGE =
  "deno task bench:peers:scale [--by=partitions,processes,items,batch] [--records=6000000] [--resume] " +
  "[--partitions=1,2,4,8,16,32,64] [--processes=1,2,4] [--batch=1,10,100,1000] " +
  "[--items=1000,...,100000000] [--seconds=10] [--to=<folder>]";
const ITEMS = 1_000_000;
const PARTITIONS = 8;
const WORKERS = 2;
/** Behind the start, and before one of several processes has nothing left. */
const STEADY = { from: 0.4, to: 0.9 };
const WORK_B = { "enable.summaries": "false" };
/** Items that come by chance: so many records each see 86 % of them; and enough that all is compiled. */
const RECORDS_PER_ITEM = 2;
const RECORDS_MIN = 10_000_000;
/** Small batches are produced one by one: so many at the most. */
const BATCHES_MAX = 400_000;
/** Requests under way. */
const SENDERS = 32;

const { values } = orRefuse(USAGE, () =>
  parseArgs({
    args: Deno.args,
    options: {
      by: { type: "string", default: SCALES.join(",") },
      records: { type: "string", default: "6000000" },
      partitions: { type: "string", default: "1,2,4,8,16,32,64" },
      processes: { type: "string", default: "1,2,4" },
      batch: { type: "string", default: "1,10,100,1000" },
      items: { type: "string", default: "1000,10000,100000,1000000,10000000,100000000" },
      seconds: { type: "string", default: "10" },
      resume: { type: "boolean", default: false },
      to: TO,
    },
  }));
const records = countsIn(USAGE, "records", values.records)[0]!;
const seconds = countsIn(USAGE, "seconds", values.seconds)[0]!;
const kept = await Kept.open(values.to);

type Figures = Omit<ScaleMeasurement, "by" | "n" | "workers" | "at">;

/** Measures and keeps one point of a curve, unless it is there. */
async function point(
  of: Pick<ScaleMeasurement, "by" | "n" | "workers">,
  measure: () => Promise<Figures>,
): Promise<void> {
  const isOfSame = (m: ScaleMeasurement) =>
    m.by === of.by && m.n === of.n && m.workers === of.workers;
  if (values.resume && (await kept.read<ScaleMeasurement>("scale")).some(isOfSame)) return;
  const figures = await measure();
  await kept.put<ScaleMeasurement>("scale", { ...of, at: nowText(), ...figures }, isOfSame);
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
    await using scene = await KafkaScene.open({ partitions: n });
    await scene.fill(ITEMS, records);
    for (const workers of n === 1 ? [1] : [1, WORKERS]) {
      const flags = { ...WORK_B, "parallelism": String(workers) };
      await point({ by: "partitions", n, workers }, () => fold(scene, records, 1, flags));
    }
  }
}

async function byProcesses(): Promise<void> {
  await using scene = await KafkaScene.open({ partitions: PARTITIONS });
  await scene.fill(ITEMS, records);
  for (const n of countsIn(USAGE, "processes", values.processes)) {
    const each = Math.max(1, WORKERS / n);
    const flags = { "parallelism": String(each), "kafka.partitions.shared": String(n > 1) };
    await point({ by: "processes", n, workers: n * each }, () => fold(scene, records, n, flags));
  }
}

/** Fills the topic of transactions with batches of so many records; answers how many records there are. */
async function fillByBatches(scene: KafkaScene, perBatch: number): Promise<number> {
  const count = Math.min(records, BATCHES_MAX * perBatch);
  const input = new Input({ records: count, items: ITEMS, keys: "item" });
  const topic = TOPICS["transaction.input.topic"];
  const queues = Array.from({ length: PARTITIONS }, () => [] as ReturnType<Input["record"]>[]);
  const loader = await Loader.open(scene.broker.bootstrap, topic);
  const sending = new Set<Promise<void>>();
  const flush = async (partition: number) => {
    const some = queues[partition]!.splice(0);
    if (some.length === 0) return;
    const sent: Promise<void> = loader.appendTo(partition, some).then(() =>
      void sending.delete(sent)
    );
    sending.add(sent);
    if (sending.size >= SENDERS) await Promise.race(sending);
  };
  for (let i = 0; i < count; i++) {
    const record = input.record(i);
    const partition = loader.partitionOf(record);
    queues[partition]!.push(record);
    if (queues[partition]!.length === perBatch) await flush(partition);
  }
  for (const partition of queues.keys()) await flush(partition);
  await Promise.all(sending);
  await loader.close();
  return count;
}

async function byBatch(): Promise<void> {
  for (const n of countsIn(USAGE, "batch", values.batch)) {
    await point({ by: "batch", n, workers: WORKERS }, async () => {
      await using scene = await KafkaScene.open({ partitions: PARTITIONS });
      const count = await fillByBatches(scene, n);
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
  for (const n of countsIn(USAGE, "items", values.items)) {
    await point({ by: "items", n, workers: WORKERS }, () => generate(n));
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
