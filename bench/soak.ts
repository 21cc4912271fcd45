// Does it stay as it is? A load for a long time; memory, what waits and the rate are sampled.
//
//   deno task soak [--minutes=30] [--items=100000]                          embedded, the generator flat out
//   deno task soak --job=kafka [--rate=200000] [--minutes=30] [--items=...]   with a broker of its own
//
// Memory is resident memory of the whole process. Its slope is taken over the second half by least
// squares: in the first half all items are seen, so that the item table does not grow any more. The lag
// of a Kafka job must not grow in the second half; else the exit code is 1.

import { soakKafka } from "./kafka_soak.ts";
import { oneOf, readOptions, refuse } from "./options.ts";
import { cpuSeconds, residentBytes } from "./process_figures.ts";
import { lastQuarters, SAMPLES_MIN, slope } from "./series.ts";
import { scrape } from "./service_metrics.ts";
import { type Soaked, soakEmbedded } from "./soaked.ts";

const USAGE =
  "deno task soak [--job=embedded|kafka] [--minutes=30] [--items=100000] [--rate=200000]" +
  " (rate: with job=kafka)";
const SAMPLE_MS = 5000;
const MIB = 1024 * 1024;
const LOG_SHOWN = 4000;

const values = readOptions(USAGE, { job: "embedded", minutes: 30, items: 100_000, rate: 200_000 });
const { minutes, items, rate } = values;
const job = oneOf(USAGE, "job", values.job, ["embedded", "kafka"]);
if (rate === 0) refuse(USAGE, "--rate must be a number of records a second");
if (minutes * 60_000 < 2 * SAMPLES_MIN * SAMPLE_MS) refuse(USAGE, "--minutes must be 1 or more");

interface Sample {
  readonly minute: number;
  readonly mebibytes: number;
  readonly records: number;
  readonly items: number;
  readonly waiting: number;
}

async function sample({ service, waiting }: Soaked, from: number): Promise<Sample> {
  const metrics = await scrape(service);
  return {
    minute: (performance.now() - from) / 60_000,
    mebibytes: await residentBytes(service.pid) / MIB,
    records: metrics.sum("stockflow_records_in_total"),
    items: metrics.sum("stockflow_items"),
    waiting: await waiting(),
  };
}

/** Samples until the time is over, with a line a minute. */
async function watch(soaked: Soaked): Promise<Sample[]> {
  const from = performance.now();
  const samples: Sample[] = [];
  let printed = 0;
  while (performance.now() - from < minutes * 60_000) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    const now = await sample(soaked, from).catch((error) => {
      throw new Error(`The service cannot be asked: ${soaked.service.log().slice(-LOG_SHOWN)}`, {
        cause: error,
      });
    });
    samples.push(now);
    if (now.minute < printed + 1) continue;
    printed = Math.floor(now.minute);
    console.log(
      `${printed} min: ${now.mebibytes.toFixed(0)} MiB, ${
        (now.records / 1e6).toFixed(0)
      } M records, ` +
        `${now.items} items, ${now.waiting} ${soaked.waits}` +
        (soaked.furtherFigures ? `, ${await soaked.furtherFigures()}` : ""),
    );
  }
  return samples;
}

/** The line about what waits; whether it grows without bound. */
function judgeWaiting({ waits, growthMax }: Soaked, samples: readonly Sample[]): boolean {
  const waiting = samples.map((s) => s.waiting);
  const [third, last] = lastQuarters(waiting);
  const grows = growthMax !== null && last - third > growthMax;
  console.log(
    `${waits}: largest ${
      Math.max(...waiting)
    }, median ${third} in the third quarter, ${last} in the last` +
      (grows ? `; it grows without bound (by more than ${growthMax})` : ""),
  );
  return grows;
}

const soaked = await (job === "kafka" ? soakKafka({ items, rate }) : soakEmbedded({ items }));
const { service } = soaked;
try {
  const samples = await watch(soaked);
  const half = samples.slice(Math.floor(samples.length / 2));
  const [first, last] = [half[0]!, half.at(-1)!];
  const folded = (last.records - first.records) / (60 * (last.minute - first.minute));
  const cpu = await cpuSeconds(service.pid) / (last.records / 1e6);
  service.signal("SIGTERM");
  const { code } = await service.status;
  console.log(
    `${(folded / 1e6).toFixed(2)} M records/s${
      job === "kafka" ? ` of ${(rate / 1e6).toFixed(2)} asked for` : ""
    }, ${cpu.toFixed(3)} CPU-s per million`,
  );
  const grows = judgeWaiting(soaked, samples);
  console.log(
    `RSS ${first.mebibytes.toFixed(0)} -> ${
      last.mebibytes.toFixed(0)
    } MiB in the second half, slope ${
      slope(half.map((s) => [s.minute / 60, s.mebibytes])).toFixed(1)
    } MiB per hour; exit code ${code}`,
  );
  if (grows || code !== 0) Deno.exitCode = 1;
} finally {
  await soaked.close();
}
