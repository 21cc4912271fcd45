// What does a record cost in the whole service, without Kafka? Generator -> core with 1-minute windows ->
// results discarded, in the real process, checkpoints on. One worker, then two.
//
//   deno task bench:embedded [--items=1000000] [--seconds=15]

import { commandLine } from "../tools/kit/command_line.ts";
import { startService } from "../tools/kit/service.ts";
import { cpuSeconds } from "./process_figures.ts";
import { recordsIn } from "./service_metrics.ts";

const values = commandLine("bench:embedded", {
  items: { type: "string", default: "1000000" },
  seconds: { type: "string", default: "15" },
});
const WARM_UP_SECONDS = 5;

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

interface Measured {
  readonly rate: number;
  readonly cpuPerMillion: number;
}

async function measure(workers: number): Promise<Measured> {
  const service = await startService({
    flags: {
      "generate.transactions": "true",
      "generate.rate": "0",
      "num.items": values.items,
      "parallelism": String(workers),
    },
  });
  await sleep(WARM_UP_SECONDS);
  const from = performance.now();
  const [records, cpu] = [await recordsIn(service), await cpuSeconds(service.pid)];
  await sleep(Number(values.seconds));
  const folded = (await recordsIn(service) - records) / 1e6;
  const used = await cpuSeconds(service.pid) - cpu;
  const seconds = (performance.now() - from) / 1000;
  service.signal("SIGTERM");
  await service.status;
  await Deno.remove(service.folder, { recursive: true });
  return { rate: folded / seconds, cpuPerMillion: used / folded };
}

const [one, two] = [await measure(1), await measure(2)];
for (const [workers, { rate, cpuPerMillion }] of [[1, one], [2, two]] as const) {
  console.log(
    `${workers} worker${workers > 1 ? "s" : ""}: ${
      cpuPerMillion.toFixed(3)
    } CPU-s per million records, ` +
      `${rate.toFixed(2)} M records/s`,
  );
}
console.log(`two workers fold ${(two.rate / one.rate).toFixed(2)} times the records of one`);
