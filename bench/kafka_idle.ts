// What does a Kafka job cost that has nothing to do? CPU of the job's process without any load, in percent
// of one core.

import { waitReady } from "../tools/kit/service.ts";
import { KafkaScene, sleep } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";
import { CpuMeter, residentBytes } from "./process_figures.ts";

const USAGE = "deno task bench:kafka:idle [--partitions=16] [--seconds=20] [--parallelism=0]";
const WARM_UP_MS = 5000;

const { partitions, seconds, parallelism } = readOptions(USAGE, {
  partitions: 16,
  seconds: 20,
  parallelism: 0,
});

async function measure(): Promise<void> {
  await using scene = await KafkaScene.open({ partitions });
  const flags = { "parallelism": String(parallelism) };
  const job = await scene.startJob(await scene.newFolder(), flags);
  await waitReady(job);
  await sleep(WARM_UP_MS);
  const cpu = await CpuMeter.start({ job: job.pid, broker: scene.broker.pid });
  await sleep(1000 * seconds);
  const used = await cpu.percent();
  const mebibytes = Math.round(await residentBytes(job.pid) / 2 ** 20);
  console.log(
    `idle, ${partitions} partitions: ${used.job.toFixed(1)} % of a core over ${seconds} s ` +
      `(broker ${used.broker.toFixed(1)} %), RSS ${mebibytes} MiB`,
  );
}

await measure();
