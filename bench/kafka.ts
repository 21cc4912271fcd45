// Figures of the Kafka job against a real broker on the same machine: CPU-seconds of the job's process
// per million records, and the rate, in the steady state (from 30 % of the records on).
//
//   deno task bench:kafka [--records=20000000] [--variant=a|b|c]
//     a: exactly once, results out, 1-minute windows   b: without windows   c: results discarded

import { parseArgs } from "node:util";
import { Parameters } from "../src/job/mod.ts";
import { KafkaDataGeneratorJob } from "../src/kafka/mod.ts";
import { systemChance, systemClock } from "../src/types/mod.ts";
import { startTestBroker } from "../test/kafka/broker.ts";
import { startJob, TOPICS } from "../test/kafka/job_process.ts";
import { cpuSeconds, residentBytes } from "./process_figures.ts";

const PARTITIONS = 8;
const ITEMS = 1_000_000;
const EVEN_SHAPE = "0.1";
const STEADY_FROM = 0.3;

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

/** Fills the topic by the generator: all items about as frequent. */
async function load(bootstrap: string): Promise<void> {
  const params = Parameters.of({
    "kafka.bootstrap.servers": bootstrap,
    "transaction.input.topic": TOPICS["transaction.input.topic"],
    "num.items": String(ITEMS),
    "pareto.shape": EVEN_SHAPE,
    "generate.rate": "0",
    "generate.count": String(records),
  });
  const from = performance.now();
  await new KafkaDataGeneratorJob(params, systemClock, systemChance).run(
    new AbortController().signal,
  );
  const seconds = (performance.now() - from) / 1000;
  console.log(`${records} records loaded, ${(records / seconds / 1e6).toFixed(2)} M/s`);
}

async function folded(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^stockflow_records_in_total (\d+)/m.exec(text)?.[1] ?? 0);
}

const broker = await startTestBroker();
const folder = await Deno.makeTempDir({ prefix: "stockflow-bench-" });
try {
  await broker.createTopics(Object.values(TOPICS), PARTITIONS);
  await load(broker.bootstrap);
  const job = await startJob(broker.bootstrap, folder, {
    ...VARIANTS[values.variant],
    "parallelism": values.parallelism,
  });
  const sample = async () => ({
    at: performance.now(),
    cpu: await cpuSeconds(job.pid),
    broker: await cpuSeconds(broker.pid),
    records: await folded(job.url),
  });
  let first = await sample();
  let last = first;
  while (last.records < records) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    last = await sample();
    if (last.records < STEADY_FROM * records) first = last;
  }
  const million = (last.records - first.records) / 1e6;
  const seconds = (last.at - first.at) / 1000;
  const mebibytes = Math.round(await residentBytes(job.pid) / 2 ** 20);
  console.log(
    `${values.variant}: ${
      ((last.cpu - first.cpu) / million).toFixed(3)
    } CPU-s per million records ` +
      `(broker ${((last.broker - first.broker) / million).toFixed(3)}), ` +
      `${(million / seconds).toFixed(2)} M records/s, RSS ${mebibytes} MiB`,
  );
  await job.kill();
} finally {
  await broker.remove();
  await Deno.remove(folder, { recursive: true });
}
