// Latencies of the Kafka job under load: from the moment when a transaction, or a query, is produced to
// the moment when its result, or answer, is visible under read_committed.
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
import { CpuMeter } from "./process_figures.ts";
import { scrape } from "./service_metrics.ts";

const USAGE =
  "deno task bench:kafka:latency [--rate=100000] [--queries=50] [--commit=20] [--warmup=20] [--seconds=15] " +
  "[--against=<folder of another checkout>] [--pairs=3]";
const PARTITIONS = 8;
const ITEMS = 1_000_000;
const TICK_MS = 10;

const { rate, queries, commit, warmup, seconds, against, pairs } = readOptions(USAGE, {
  rate: 100_000,
  queries: 50,
  commit: 20,
  warmup: 20,
  seconds: 15,
  against: "",
  pairs: 3,
});
/** Share of the run that is not counted: a new broker's processor time goes into compiling itself. */
const SKIPPED = warmup / (warmup + seconds);
const origin = Date.now() - performance.now();
const now = () => Math.round(origin + performance.now());
const item = () => `item_${Math.floor(Math.random() * ITEMS)}`;

/** Latencies in ms, in the order of their ends. */
class Latencies {
  readonly all: number[] = [];

  add(ms: number): void {
    this.all.push(ms);
  }

  #counted(): number[] {
    return this.all.slice(Math.floor(SKIPPED * this.all.length)).toSorted((a, b) => a - b);
  }

  /** The latency that a share of those counted does not exceed, in ms. */
  at(share: number, counted = this.#counted()): number {
    return counted[Math.floor(share * (counted.length - 1))]!;
  }

  toString(): string {
    const counted = this.#counted();
    const at = (share: number) => this.at(share, counted).toFixed(1);
    return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms of ${counted.length}`;
  }
}

/** Sends something as often a second as asked for until the time is over; resolves when it is there. */
async function send(
  perSecond: number,
  acknowledged: Latencies,
  some: (count: number) => Promise<void>,
): Promise<number> {
  const from = performance.now();
  const sending: Promise<void>[] = [];
  let sent = 0;
  while (performance.now() - from < 1000 * (warmup + seconds)) {
    const due = Math.floor((performance.now() - from) * perSecond / 1000) - sent;
    if (due > 0) {
      const at = performance.now();
      sending.push(some(due).then(() => acknowledged.add(performance.now() - at)));
      sent += due;
    }
    await sleep(TICK_MS);
  }
  await Promise.all(sending);
  return sent;
}

/** Transactions whose ts says when they were produced, in microseconds of the monotonic clock. */
async function sendTransactions(loader: Loader, acknowledged: Latencies): Promise<number> {
  let id = 0;
  return await send(rate, acknowledged, (count) => {
    const ts = Math.round(1000 * performance.now());
    const timestamp = now();
    const line = () => `${id++}\t${ts}\t${item()}\t5`;
    return loader.append(Array.from({ length: count }, () => loader.recordOf(line(), timestamp)));
  });
}

/** Queries without a key, each in a batch of its own, as a console producer sends them. */
async function sendQueries(loader: Loader, sentAt: number[], done: Latencies): Promise<number> {
  return await send(queries, done, async (count) => {
    await Promise.all(Array.from({ length: count }, async () => {
      const value = encodeUtf8(`${sentAt.length} ${item()}`);
      const partition = Math.floor(Math.random() * loader.partitions);
      sentAt.push(performance.now());
      await loader.appendTo(partition, [{ timestamp: now(), key: null, value }]);
    }));
  });
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
  const [results, answers, transactionsThere, queriesThere] = Array.from(
    { length: 4 },
    () => new Latencies(),
  ) as [Latencies, Latencies, Latencies, Latencies];
  const sentAt: number[] = [];
  const field = (value: Uint8Array | null, n: number) => Number(decodeUtf8(value!)!.split("\t")[n]);
  await scene.read(TOPICS["transaction.output.topic"], (batch) => {
    const at = performance.now();
    for (const { value } of decodeBatch(batch)) results.add(at - field(value, 1) / 1000);
  });
  await scene.read(TOPICS["query.output.topic"], (batch) => {
    const at = performance.now();
    for (const { value } of decodeBatch(batch)) answers.add(at - sentAt[field(value, 0)]!);
  });
  const loader = await Loader.open(bootstrap, TOPICS["transaction.input.topic"]);
  // A connection of its own: the transactions' requests would be answered first.
  const asking = await Loader.open(bootstrap, TOPICS["query.input.topic"]);
  const [sent, asked, parts] = await Promise.all([
    sendTransactions(loader, transactionsThere),
    sendQueries(asking, sentAt, queriesThere),
    figures(scene, job),
  ]);
  await scene.until(job, () => results.all.length >= sent && answers.all.length >= asked);
  console.log(`${rate} transactions/s, commits every ${commit} ms: results ${results}`);
  if (asked > 0) console.log(`${queries} queries/s beside them: answers ${answers}`);
  console.log(`  of that: transactions acknowledged ${transactionsThere}`);
  if (asked > 0) console.log(`  queries acknowledged ${queriesThere}`);
  console.log(`  ${parts}`);
  await loader.close();
  await asking.close();
  return results;
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
