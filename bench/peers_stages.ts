// Where does the time of a record go? The stages of the core beside those of a native loop of its layout, with items
// that the caches hold and with many; and a profile of the Kafka job: which share of its CPU is the core's, the
// kernel's, fetching, producing ...
//
//   deno task bench:peers:stages [--items=1000,1000000] [--records=20000000] [--seconds=4] [--work=b] [--to=<folder>]
//     --seconds   of the profile; the records must last for them and a start
//
// Writes what it measured into bench/results/stages.json, and bench/RESULTS.md. cargo for the native loop and perf for
// the profile; what is not there is left out.

import { commandLine, usageOf } from "../tools/kit/command_line.ts";
import { BrokerError } from "../tools/kafka/libraries.ts";
import { Format } from "../src/types/mod.ts";
import { coreStages, runNative, type StageCost } from "./core_stages.ts";
import { KafkaScene, sleep } from "./kafka_scene.ts";
import { countIn, countsIn, oneOf } from "./options.ts";
import { Kept, nowText, TO } from "./peers/kept.ts";
import { writePages } from "./peers/pages.ts";
import { profileOf } from "./peers/profile.ts";
import type { JobProfile, LoopStages, StageMeasurement } from "./peers/stage_costs.ts";
import { DESCRIPTIONS } from "./peers/works.ts";
import { cpuSeconds } from "./process_figures.ts";
import { recordsIn } from "./service_metrics.ts";

const PARTITIONS = 8;
const ITEMS = 1_000_000;
const WORKERS = 2;
/** Of the records, when the profile begins. */
const STEADY_FROM = 0.25;

const TASK = "bench:peers:stages";
const OPTIONS = {
  items: { type: "string", default: "1000,1000000" },
  records: { type: "string", default: "20000000" },
  seconds: { type: "string", default: "4" },
  work: { type: "string", default: "b" },
  to: TO,
} as const;
const USAGE = usageOf(TASK, OPTIONS);
const values = commandLine(TASK, OPTIONS);
const counts = countsIn(USAGE, "items", values.items);
const records = countIn(USAGE, "records", values.records);
const seconds = countIn(USAGE, "seconds", values.seconds);
const work = oneOf(USAGE, "work", values.work, ["a", "b", "c"]);
const kept = await Kept.open(values.to);

async function keepLoop(
  program: LoopStages["program"],
  items: number,
  stages: readonly StageCost[],
): Promise<void> {
  const m: LoopStages = { kind: "loop", program, items, at: nowText(), stages };
  await kept.put<StageMeasurement>(
    "stages",
    m,
    (other) => other.kind === "loop" && other.program === program && other.items === items,
  );
  const text = stages.map(([stage, ns]) => `${stage} ${ns.toFixed(0)}`).join(", ");
  console.log(`${program}, ${items} items, ns per record: ${text}`);
}

/** The Kafka job with the names of its compiled functions, in its steady state. */
async function profile(): Promise<void> {
  await using scene = await KafkaScene.open({ partitions: PARTITIONS });
  await scene.fill(ITEMS, records);
  const { results, summaries } = DESCRIPTIONS[work];
  const flags = {
    "parallelism": String(WORKERS),
    "enable.summaries": String(summaries),
    ...(results ? {} : { "transaction.output.topic": "" }),
  };
  const named = { DENO_V8_FLAGS: "--perf-basic-prof" };
  const job = await scene.startJob(await scene.newFolder(), flags, undefined, named);
  try {
    while (await recordsIn(job) < STEADY_FROM * records) await sleep(50);
    const sample = async () => ({ cpu: await cpuSeconds(job.pid), done: await recordsIn(job) });
    const first = await sample();
    let last = first;
    // Until the records are through, at the most: what is idle is not sampled.
    const watching = (async () => {
      while (last.done < records) {
        await sleep(100);
        last = await sample();
      }
    })();
    const found = await profileOf(job.pid, seconds);
    await watching;
    const ns = 1e9 * (last.cpu - first.cpu) / (last.done - first.done);
    const m: JobProfile = { kind: "profile", work, at: nowText(), ns, ...found };
    await kept.put<StageMeasurement>(
      "stages",
      m,
      (other) => other.kind === "profile" && other.work === work,
    );
    console.log(`${work}: ${ns.toFixed(0)} ns of CPU per record, ${found.samples} samples`);
    for (const [what, share] of found.shares) {
      console.log(`  ${(100 * share).toFixed(1).padStart(5)} % ${what}`);
    }
  } finally {
    await job.kill();
    await Deno.remove(`/tmp/perf-${job.pid}.map`).catch(() => {}); // V8 leaves it
  }
}

for (const items of counts) {
  await keepLoop("core", items, coreStages(Format.Text, items));
  const native = await runNative(items);
  if (native) await keepLoop("rust", items, native.stages);
  else console.log("Rust is not measured: cargo is not there");
}
try {
  await profile();
} catch (error) {
  if (!(error instanceof BrokerError)) throw error;
  console.log(`No profile: ${error.message}`);
}
await writePages(kept);
Deno.exit(0);
