// Figures of the Kafka job against a real broker on the same machine: CPU-seconds of the job's process
// per million records, and the rate, in the steady state (from 30 % of the records on).
//
//   deno task bench:kafka [--records=20000000] [--variant=a|b|c]
//     a: exactly once, results out, 1-minute windows   b: without windows   c: results discarded

import { parseArgs } from "node:util";
import { Partitioner, partitionOf, splitIntoBatches } from "../src/types/mod.ts";
import { startTestBroker } from "../test/kafka/broker.ts";
import { startJob, TOPICS } from "../test/kafka/job_process.ts";
import { Loader } from "../test/kafka/load.ts";

const PARTITIONS = 8;
const ITEMS = 1_000_000;
const BATCH_BYTES = 200_000;
/** Records that are built; they are sent again and again. */
const BUILT = 2_000_000;
const STEADY_FROM = 0.3;
const TICKS_PER_SECOND = 100;

const VARIANTS: Record<string, Record<string, string>> = {
  a: {},
  b: { "enable.summaries": "false" },
  c: { "enable.summaries": "false", "transaction.output.topic": "" },
};

const { values } = parseArgs({
  args: Deno.args,
  options: {
    records: { type: "string", default: "20000000" },
    variant: { type: "string", default: "a" },
    parallelism: { type: "string", default: "2" },
  },
});
const records = Number(values.records);

/** CPU-seconds of a process so far, all threads. */
function cpuSeconds(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

async function load(bootstrap: string): Promise<number> {
  const loader = await Loader.open(bootstrap, TOPICS["transaction.input.topic"]);
  const timestamp = Date.now();
  const built = Array.from({ length: BUILT }, (_, i) => {
    const item = Math.floor(Math.random() * ITEMS);
    const line = `${i}\t${timestamp}\titem_${item}\t${Math.floor(Math.random() * 200) - 100}`;
    return loader.recordOf(line, timestamp);
  });
  const byPartition = Map.groupBy(
    built,
    (r) => partitionOf(Partitioner.Murmur2, r.key!, PARTITIONS),
  );
  const batches = new Map(
    [...byPartition].map(([p, some]) => [p, splitIntoBatches(some, BATCH_BYTES)]),
  );
  let sent = 0;
  for (; sent < records; sent += BUILT) {
    await Promise.all([...batches].map(async ([partition, some]) => {
      for (const bytes of some) await loader.send(partition, bytes);
    }));
  }
  await loader.close();
  return sent;
}

async function folded(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^stockflow_records_in_total (\d+)/m.exec(text)?.[1] ?? 0);
}

const broker = await startTestBroker();
const folder = await Deno.makeTempDir({ prefix: "stockflow-bench-" });
try {
  await broker.createTopics(Object.values(TOPICS), PARTITIONS);
  const loaded = await load(broker.bootstrap);
  console.log(`${loaded} records loaded`);
  const job = await startJob(broker.bootstrap, folder, {
    ...VARIANTS[values.variant],
    "parallelism": values.parallelism,
  });
  const sample = async () => ({
    at: performance.now(),
    cpu: cpuSeconds(job.pid),
    broker: cpuSeconds(broker.pid),
    records: await folded(job.url),
  });
  let first = await sample();
  let last = first;
  while (last.records < loaded) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    last = await sample();
    if (last.records < STEADY_FROM * loaded) first = last;
  }
  const million = (last.records - first.records) / 1e6;
  const seconds = (last.at - first.at) / 1000;
  const rss = /VmHWM:\s*(\d+)/.exec(Deno.readTextFileSync(`/proc/${job.pid}/status`))![1];
  console.log(
    `${values.variant}: ${
      ((last.cpu - first.cpu) / million).toFixed(3)
    } CPU-s per million records ` +
      `(broker ${((last.broker - first.broker) / million).toFixed(3)}), ` +
      `${(million / seconds).toFixed(2)} M records/s, RSS ${Math.round(Number(rss) / 1024)} MB`,
  );
  await job.kill();
} finally {
  await broker.remove();
  await Deno.remove(folder, { recursive: true });
}
