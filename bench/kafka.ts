// Figures of the Kafka job against a real broker on the same machine: CPU-seconds of the job's process
// per million records, and the rate, in the steady state (from 30 % of the records on).
//
//   deno task bench:kafka [--records=20000000] [--variant=a|b|c]
//     a: exactly once, results out, 1-minute windows   b: without windows   c: results discarded
//   deno task bench:kafka --against=FOLDER [--pairs=5]
//     this checkout and another one in turn over the same records, and their ratio
//   deno task bench:kafka --pages=1 [--pairs=5]
//     with so many open pages, and without, in turn; --scrapes=1: and with so many scrapes of /metrics a second

import { KafkaScene, sleep } from "./kafka_scene.ts";
import { oneOf, readOptions } from "./options.ts";
import { describeRatios } from "./pairs.ts";
import { residentBytes } from "./process_figures.ts";
import { describeSteady, steadyOf } from "./steady.ts";

const USAGE = "deno task bench:kafka [--records=20000000] [--variant=a|b|c] [--parallelism=2] " +
  "[--against=<folder of another checkout>] [--pages=0] " +
  "[--scrapes=0] [--pairs=5]";
const PARTITIONS = 8;
const ITEMS = 1_000_000;
const STEADY_FROM = 0.3;

const VARIANTS = {
  a: {},
  b: { "enable.summaries": "false" },
  c: { "enable.summaries": "false", "transaction.output.topic": "" },
} as const;

const values = readOptions(USAGE, {
  records: 20_000_000,
  variant: "a",
  parallelism: 2,
  against: "",
  pages: 0,
  scrapes: 0,
  pairs: 5,
});
const { records } = values;
const variant = oneOf(USAGE, "variant", values.variant, ["a", "b", "c"]);

/** What an open page asks for, until the job ends: its stream of the status. */
async function openPage(url: string): Promise<void> {
  const { ok, status, body } = await fetch(`${url}/status/stream`);
  if (!ok) throw new Error(`The stream of a page is answered with ${status}`);
  void body!.pipeTo(new WritableStream()).catch(() => {}); // the job is killed in the end
}

/** Reads /metrics so often a second, until the job ends. */
async function scrape(url: string, perSecond: number): Promise<void> {
  while (true) {
    await sleep(1000 / perSecond);
    try {
      await (await fetch(`${url}/metrics`)).text();
    } catch {
      return; // the job is killed in the end
    }
  }
}

interface Run {
  readonly run: number;
  readonly checkout?: string;
  readonly pages?: number;
  readonly scrapes?: number;
}

/** CPU-seconds of the job per million records. */
async function measure(
  scene: KafkaScene,
  { run, checkout, pages = 0, scrapes = 0 }: Run,
): Promise<number> {
  const { broker } = scene;
  const flags = {
    ...VARIANTS[variant],
    "parallelism": String(values.parallelism),
    "kafka.group.id": `stockflow-bench-${run}`,
  };
  const job = await scene.startJob(await scene.newFolder(), flags, checkout);
  await Promise.all(Array.from({ length: pages }, () => openPage(job.url)));
  if (scrapes > 0) void scrape(job.url, scrapes);
  const steady = await steadyOf([job], broker, { records, from: STEADY_FROM, to: 1 });
  const mebibytes = Math.round(await residentBytes(job.pid) / 2 ** 20);
  console.log(
    `${variant}: ${describeSteady(steady)}, RSS ${mebibytes} MiB` +
      (checkout ? ` in ${checkout}` : "") + (pages > 0 ? ` with ${pages} open pages` : ""),
  );
  await job.kill();
  return steady.cpu;
}

await using scene = await KafkaScene.open({ partitions: PARTITIONS });
await scene.fill(ITEMS, records);
if (values.against === "" && values.pages === 0) await measure(scene, { run: 0 });
else {
  const { against, pages, scrapes, pairs } = values;
  const other = against === "" ? {} : { checkout: against };
  const ratios: number[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    // Each is first as often as the other: what the machine does slowly meets both.
    const measureOther = () => measure(scene, { ...other, run: 2 * pair });
    const before = pair % 2 === 0 ? await measureOther() : null;
    const own = await measure(scene, { pages, scrapes, run: 2 * pair + 1 });
    ratios.push(own / (before ?? await measureOther()));
  }
  const what = against === "" ? `${pages} open pages : none` : "this checkout : the other";
  console.log(`${variant}: ${describeRatios(ratios, "CPU", what)}`);
}
