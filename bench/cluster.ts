// What it costs to share partitions: two processes of one worker against one process of two, in turn, over the same
// records and on the same processors. Exactly once, results out, 1-minute windows (work a of bench:kafka).
//
//   deno task bench:cluster [--records=12000000] [--pairs=5]

import type { Service } from "../tools/kit/service.ts";
import { KafkaScene } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";
import { describeRatios, medianOf } from "./pairs.ts";
import { describeSteady, type Steady, steadyOf } from "./steady.ts";
import { printVerdict } from "./verdicts.ts";

const USAGE = "deno task bench:cluster [--records=12000000] [--pairs=5]";
const PARTITIONS = 8;
const ITEMS = 1_000_000;
/** Behind its start, and before one of two has nothing left. */
const STEADY = { from: 0.4, to: 0.9 };
const RATE_MIN = 0.9;
const CPU_MAX = 1.1;

const { records, pairs } = readOptions(USAGE, { records: 12_000_000, pairs: 5 });

async function measure(scene: KafkaScene, run: number, processes: 1 | 2): Promise<Steady> {
  const flags = {
    "parallelism": String(2 / processes),
    "kafka.partitions.shared": String(processes > 1),
    "kafka.group.id": `stockflow-bench-${run}`,
  };
  const jobs: Service[] = await Promise.all(
    Array.from(
      { length: processes },
      async () => await scene.startJob(await scene.newFolder(), flags),
    ),
  );
  const steady = await steadyOf(jobs, scene.broker, { records, ...STEADY });
  await Promise.all(jobs.map((job) => job.kill()));
  const what = processes === 1 ? "1 process of 2 workers" : "2 processes of 1 worker";
  console.log(`${what}: ${describeSteady(steady)}`);
  return steady;
}

await using scene = await KafkaScene.open({ partitions: PARTITIONS });
await scene.fill(ITEMS, records);
const rates: number[] = [];
const cpus: number[] = [];
for (let pair = 0; pair < pairs; pair++) {
  // Each is first as often as the other: what the machine does slowly meets both.
  const counts = pair % 2 === 0 ? [1, 2] as const : [2, 1] as const;
  const found = new Map<number, Steady>();
  for (const [n, count] of counts.entries()) {
    found.set(count, await measure(scene, 2 * pair + n, count));
  }
  const [one, two] = [found.get(1)!, found.get(2)!];
  rates.push(two.rate / one.rate);
  cpus.push(two.cpu / one.cpu);
}
const sides = "2 processes : 1";
const [rate, cpu] = [medianOf(rates), medianOf(cpus)];
printVerdict(rate >= RATE_MIN, `${describeRatios(rates, "rate", sides)}, ${RATE_MIN} or more`);
printVerdict(cpu <= CPU_MAX, `${describeRatios(cpus, "CPU", sides)}, ${CPU_MAX} or less`);
