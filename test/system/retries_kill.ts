// Clients that send every request three times, and again whenever its answer is lost, while the service is killed again
// and again: each transaction is executed once, and each answer is that of the first.
//
//   deno task kill:retries [--kills=20] [--seed=<n>]      embedded over HTTP, then Kafka by producers

import { commandLine } from "../../tools/kit/command_line.ts";
import { EMBEDDED_TOPICS } from "../../src/jobs/mod.ts";
import { codecOf, decodeUtf8, Format, type ItemTransaction } from "../../src/types/mod.ts";
import { newSeed, Random } from "../../tools/kit/random.ts";
import { type Service, startService, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { kafkaRetriesRun } from "../faults/retries_kill.ts";
import { openLog, recordsOf } from "./evidence.ts";
import {
  Answers,
  isGoodRetry,
  judge,
  type RetryVerdict,
  retryVerdictLine,
} from "./retries_verdict.ts";

export interface RetryRunOptions {
  readonly kills: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

const PARTITIONS = 2;
const CLIENTS = 8;
const ITEMS = 50;
const BATCH_MAX = 30;
const ALIVE_MS_MAX = 1500;
/** How often each request is sent with an answer. */
const TIMES = 3;
const FLAGS = {
  "log.partitions": String(PARTITIONS),
  "checkpoint.interval.millis": "150",
  "commit.interval.ms": "20",
};

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const CODEC = codecOf(Format.Json);

/** Clients of a service whose address changes with every life. */
class Clients {
  /** Of the life that there is; null while there is none. */
  url: string | null = null;
  readonly answers = new Answers();
  readonly answered: ItemTransaction[] = [];
  isOver = false;
  #nextId = 1;

  constructor(readonly random: Random) {}

  #some(): ItemTransaction[] {
    const { random } = this;
    return Array.from({ length: 1 + random.below(BATCH_MAX) }, () => ({
      transactionId: BigInt(this.#nextId++),
      ts: Date.now(),
      itemId: `item_${random.below(ITEMS)}`,
      quantity: random.below(60) - 28,
    }));
  }

  /** One client, until it is over: what it has begun it ends. */
  async run(): Promise<void> {
    while (!this.isOver) {
      const transactions = this.#some();
      const body = `[${transactions.map((t) => CODEC.formatTransaction(t)).join(",")}]`;
      for (let times = 0; times < TIMES; times++) await this.#untilAnswered(body);
      this.answered.push(...transactions);
    }
  }

  async #untilAnswered(body: string): Promise<void> {
    while (!await this.#send(body)) await sleep(20);
  }

  /** Whether it was answered. */
  async #send(body: string): Promise<boolean> {
    try {
      if (this.url === null) return false;
      const response = await fetch(`${this.url}/transactions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      });
      const text = await response.text();
      if (response.status === 503) return false;
      if (response.status !== 200) throw new RangeError(`${response.status}: ${text}`);
      const results = JSON.parse(text) as { transaction: ItemTransaction; success: boolean }[];
      // Of a request that was cut some may be answered, and the others be unknown.
      if (results.some((result) => "error" in result)) return false;
      for (const result of results) this.answers.add(result);
      return true;
    } catch (error) {
      if (error instanceof RangeError) throw error;
      return false; // the service was killed
    }
  }
}

/** Kills the embedded service again and again, then compares what it left with what was answered. */
export async function retriesRun(
  { kills, seed, log = () => {} }: RetryRunOptions,
): Promise<RetryVerdict> {
  const random = new Random(seed);
  const clients = new Clients(random);
  const folder = await Deno.makeTempDir({ prefix: "stockflow-retries-" });
  let service: Service | null = null;
  try {
    service = await startService({ folder, flags: FLAGS });
    clients.url = service.url;
    const running = Promise.all(Array.from({ length: CLIENTS }, () => clients.run()));
    running.catch(() => clients.isOver = true);
    for (let kill = 1; kill <= kills && !clients.isOver; kill++) {
      await sleep(50 + random.below(ALIVE_MS_MAX));
      clients.url = null;
      await service.kill();
      log(`kill ${kill}: ${clients.answered.length} transactions so far`);
      service = await startService({ folder, flags: FLAGS });
      clients.url = service.url;
    }
    clients.isOver = true;
    await running;
    await waitReady(service);
    const stocks = await stocksOf(service);
    await stopInGoodOrder(service);
    return judge(clients.answered, await resultsIn(folder), clients.answers, stocks);
  } finally {
    await service?.kill();
    await Deno.remove(folder, { recursive: true });
  }
}

async function stocksOf({ url }: Service): Promise<Map<string, number>> {
  const stocks = new Map<string, number>();
  for (let i = 0; i < ITEMS; i++) {
    const response = await fetch(`${url}/items/item_${i}`);
    const text = await response.text();
    stocks.set(`item_${i}`, response.ok ? JSON.parse(text).quantity : 0);
  }
  return stocks;
}

async function resultsIn(folder: string) {
  const log = await openLog(folder, PARTITIONS);
  const seen = [];
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (const { value, headers } of await recordsOf(log, EMBEDDED_TOPICS.results, partition)) {
      const result = codecOf(Format.Text).parseTransactionResult(decodeUtf8(value!)!);
      seen.push({ result, isRepetition: headers.length > 0 });
    }
  }
  await log.close();
  return seen;
}

if (import.meta.main) {
  const values = commandLine("kill:retries", {
    kills: { type: "string", default: "20" },
    seed: { type: "string" },
  });
  const seed = Number(values.seed ?? newSeed());
  console.log(`seed ${seed}`);
  let isGood = true;
  for (const [job, run] of [["embedded", retriesRun], ["kafka", kafkaRetriesRun]] as const) {
    const verdict = await run({ kills: Number(values.kills), seed, log: console.log });
    console.log(`${job}: ${retryVerdictLine(verdict)} (${verdict.repeats} repeats)`);
    isGood &&= isGoodRetry(verdict);
  }
  Deno.exit(isGood ? 0 : 1);
}
