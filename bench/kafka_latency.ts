// Latencies of the Kafka job under load: from the moment when a batch of transactions, or a query, is due to be produced
// to the moment when a result of it, or the answer, is visible under read_committed. What comes before --warmup is over is
// not counted: a new broker's processor time goes into compiling itself.
//
//   deno task bench:kafka:latency --against=FOLDER [--pairs=3]
//     jobs of this checkout and of another one in turn, each with a broker of its own; what measures is the same
//
// The task has V8 collect the garbage of this process seldom (a large young generation): what waits here for
// a collection, or for a core that one is using, would be counted as latency of the job. Without it p99 was
// 76 to 139 ms, with it 40 to 46 ms, in turn on one machine.

import { type Service, waitReady } from "../tools/kit/service.ts";
import { TOPICS } from "../tools/kit/job_process.ts";
import { Loader } from "../tools/kit/load.ts";
import { decodeBatch, decodeUtf8, encodeUtf8 } from "../src/types/mod.ts";
import { KafkaScene, sleep } from "./kafka_scene.ts";
import { readOptions } from "./options.ts";
import { describeRatios } from "./pairs.ts";
import { quantile } from "./peers/latencies.ts";
import { send, Stopwatch } from "./peers/schedule.ts";
import { ReadyBatches, watchedIn } from "./ready_batches.ts";
import { CpuMeter } from "./process_figures.ts";
import { scrape } from "./service_metrics.ts";

const USAGE =
  "deno task bench:kafka:latency [--rate=100000] [--queries=50] [--commit=20] [--warmup=20] [--seconds=15] " +
  "[--against=<folder of another checkout>] [--pairs=3]";
const PARTITIONS = 8;
const ITEMS = 1_000_000;

const { rate, queries, commit, warmup, seconds, against, pairs } = readOptions(USAGE, {
  rate: 100_000,
  queries: 50,
  commit: 20,
  warmup: 20,
  seconds: 15,
  against: "",
  pairs: 3,
});
const item = () => `item_${Math.floor(Math.random() * ITEMS)}`;

/** Latencies, by the share that they do not exceed. */
class Latencies {
  readonly #sorted: Float64Array;

  constructor(all: readonly number[]) {
    this.#sorted = Float64Array.from(all).sort();
  }

  /** The latency that a share of them does not exceed, in ms. */
  at(share: number): number {
    return quantile(this.#sorted, share);
  }

  toString(): string {
    const at = (share: number) => this.at(share).toFixed(1);
    return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms of ${this.#sorted.length}`;
  }
}

/** Queries without a key, each in a batch of its own, as a console producer sends them. */
async function sendQueries(loader: Loader, first: number, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, async (_, i) => {
    const value = encodeUtf8(`${first + i} ${item()}`);
    const partition = Math.floor(Math.random() * loader.partitions);
    await loader.appendTo(partition, [{ timestamp: Date.now(), key: null, value }]);
  }));
}

/** Figures of the part of the run that is counted. */
async function figures(scene: KafkaScene, job: Service): Promise<string> {
  await sleep(1000 * warmup);
  const cpu = await CpuMeter.start({ job: job.pid, broker: scene.broker.pid, load: Deno.pid });
  const before = await scrape(job);
  await sleep(1000 * seconds);
  const after = await scrape(job);
  const used = await cpu.percent();
  const commits = (input: string) => {
    const more = (name: string) => after.sum(name, { input }) - before.sum(name, { input });
    const count = more("stockflow_commit_duration_seconds_count");
    if (count === 0) return `no commits of ${input}`;
    const ms = 1000 * more("stockflow_commit_duration_seconds_sum") / count;
    return `commits of ${input} ${ms.toFixed(1)} ms on the average of ${count}`;
  };
  return `${commits("transactions")}, ${commits("queries")}\n  CPU in percent of a core: ` +
    Object.entries(used).map(([name, percent]) => `${name} ${percent.toFixed(0)}`).join(", ");
}

/** Latencies of the results. */
async function measure(checkout?: string): Promise<Latencies> {
  await using scene = await KafkaScene.open({ partitions: PARTITIONS });
  const { bootstrap } = scene.broker;
  const flags = { "commit.interval.ms": String(commit) };
  const job = await scene.startJob(await scene.newFolder(), flags, checkout);
  await waitReady(job);
  const loader = await Loader.open(bootstrap, TOPICS["transaction.input.topic"]);
  // A connection of its own: the transactions' requests would be answered first.
  const asking = await Loader.open(bootstrap, TOPICS["query.input.topic"]);
  const batches = ReadyBatches.of(loader, ITEMS, rate);
  const from = performance.now();
  const counted = from + 1000 * warmup;
  const end = counted + 1000 * seconds;
  const results = new Stopwatch(batches.batchesAt(rate), from);
  const answers = new Stopwatch(queries, from);
  await scene.read(
    TOPICS["transaction.output.topic"],
    (batch) => watchedIn(batch, (n) => results.visible(n)),
  );
  await scene.read(TOPICS["query.output.topic"], (batch) => {
    for (const { value } of decodeBatch(batch)) {
      answers.visible(Number(decodeUtf8(value!)!.split("\t", 1)[0]));
    }
  });
  const [, , parts] = await Promise.all([
    send(results, end, (first, count) => batches.send(first, count)),
    queries > 0
      ? send(answers, end, (first, count) => sendQueries(asking, first, count))
      : Promise.resolve(),
    figures(scene, job),
  ]);
  await scene.until(job, () => results.seen >= results.sent && answers.seen >= answers.sent);
  const found = new Latencies(results.latenciesSince(counted));
  console.log(`${rate} transactions/s, commits every ${commit} ms: results ${found}`);
  if (queries > 0) {
    const asked = new Latencies(answers.latenciesSince(counted));
    console.log(`${queries} queries/s beside them: answers ${asked}`);
  }
  console.log(`  ${parts}`);
  await loader.close();
  await asking.close();
  return found;
}

async function compare(other: string): Promise<void> {
  const ratios: Record<string, number[]> = { p50: [], p99: [] };
  for (let pair = 0; pair < pairs; pair++) {
    // Each is first as often as the other: what the machine does slowly meets both.
    const folders = pair % 2 === 0 ? [other, undefined] : [undefined, other];
    const found = new Map<string | undefined, Latencies>();
    for (const folder of folders) {
      console.log(folder ?? "this checkout");
      found.set(folder, await measure(folder));
    }
    for (const [name, share] of [["p50", 0.5], ["p99", 0.99]] as const) {
      ratios[name]!.push(found.get(undefined)!.at(share) / found.get(other)!.at(share));
    }
  }
  for (const [name, all] of Object.entries(ratios)) {
    console.log(describeRatios(all, `${name} of results`));
  }
}

if (against === "") await measure();
else await compare(against);
