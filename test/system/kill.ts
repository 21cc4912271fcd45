// kill -9 of the real service at random moments under load, also inside a checkpoint, and the verdict.
//
//   deno task kill [--kills=20] [--seed=<n>]

import { commandLine } from "../../tools/kit/command_line.ts";
import { EMBEDDED_TOPICS } from "../../src/jobs/mod.ts";
import { codecOf, decodeBatch, decodeUtf8, Format } from "../../src/types/mod.ts";
import { Model } from "../model/model.ts";
import { newSeed, Random } from "../../tools/kit/random.ts";
import {
  batchesOf,
  checkpointUnderWay,
  newestCheckpoint,
  openLog,
  openStore,
  sameSummaries,
  stateHashOf,
  valuesOf,
} from "./evidence.ts";
import {
  EVERY_SUMMARY,
  startService,
  stopInGoodOrder,
  waitReady,
} from "../../tools/kit/service.ts";

export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  /** Between two requests of a client; 0, a full load, by default. */
  readonly pauseMs?: number;
  /** Learns what happens. */
  readonly log?: (line: string) => void;
}

export interface Verdict {
  /** Transactions that were answered. */
  readonly answered: number;
  /** Answered, but not in the log, or without a result, or with another one than was answered. */
  readonly lost: number;
  /** In the log or among the results more than once, or with a result that the fold does not give. */
  readonly doubled: number;
  readonly stateHashEqual: boolean;
  /** Kills that found a checkpoint under way. */
  readonly insideCheckpoint: number;
  readonly summaries: number;
}

export function verdictLine(v: Omit<Verdict, "insideCheckpoint">): string {
  return `${v.answered} answered, ${v.lost} lost, ${v.doubled} doubled, state hash ${
    v.stateHashEqual ? "equal" : "DIFFERENT"
  }`;
}

export const PARTITIONS = 4;
const CLIENTS = 4;
const ITEMS = 20_000;
const PRELOADED = 100_000;
const ALIVE_MS_MAX = 900;

export const FLAGS = {
  "log.partitions": String(PARTITIONS),
  "checkpoint.interval.millis": "150",
  "commit.interval.ms": "20",
  ...EVERY_SUMMARY,
  // Event time runs ahead of the clock, so that windows close all the time.
  "event.time": "true",
  "watermark.out.of.orderness.ms": "5000",
  "event.time.max.ahead.ms": "31536000000",
};

/** Event time between two transactions: windows close on a busy machine too. */
const TS_STEP_MS = 20;

/** Posts transactions with ids of its own, until the service is gone; remembers every answer. */
export class Load {
  readonly answered = new Map<number, boolean>();
  #nextId = 1;
  readonly #startMs = Date.now();

  constructor(readonly random: Random) {}

  /** @returns the status of the answer */
  async post(url: string, lines: readonly string[]): Promise<number> {
    const response = await fetch(`${url}/transactions`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: lines.join("\n"),
    });
    for (const line of (await response.text()).trimEnd().split("\n")) {
      const fields = line.split("\t");
      if (fields.length === 5) this.answered.set(Number(fields[0]), fields[4] === "true");
    }
    return response.status;
  }

  /** A few transactions of random items. */
  someLines(): string[] {
    const line = () => this.line(this.random.below(ITEMS), this.random.below(60) - 35);
    return Array.from({ length: 1 + this.random.below(100) }, line);
  }

  line(item: number, quantity: number): string {
    const id = this.#nextId++;
    return `${id}\t${this.#startMs + TS_STEP_MS * id}\titem_${item}\t${quantity}`;
  }

  async preload(url: string): Promise<void> {
    for (let at = 0; at < PRELOADED; at += 5000) {
      await this.post(url, Array.from({ length: 5000 }, (_, i) => this.line(at + i, 10)));
    }
  }

  /** One client; ends when a request fails, which a killed service makes sure of. */
  async client(url: string, pauseMs = 0): Promise<void> {
    try {
      while (true) {
        await this.post(url, this.someLines());
        if (pauseMs > 0) await sleep(pauseMs);
      }
    } catch {
      // The service was killed: what was not answered may or may not have happened.
    }
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Kills the service again and again under load, then compares everything that it left. */
export async function killRun(
  { kills, seed, pauseMs, log = () => {} }: KillOptions,
): Promise<Verdict> {
  const random = new Random(seed);
  const load = new Load(random);
  const folder = await Deno.makeTempDir({ prefix: "stockflow-kill-" });
  try {
    let service = await startService({ folder, flags: FLAGS });
    await load.preload(service.url);
    let insideCheckpoint = 0;
    for (let kill = 1; kill <= kills; kill++) {
      const clients = Array.from({ length: CLIENTS }, () => load.client(service.url, pauseMs));
      await sleep(50 + random.below(ALIVE_MS_MAX));
      await service.kill();
      await Promise.all(clients);
      if (await checkpointUnderWay(folder)) insideCheckpoint++;
      log(`kill ${kill}: ${load.answered.size} answered so far`);
      service = await startService({ folder, flags: FLAGS });
    }
    await waitReady(service);
    await stopInGoodOrder(service);
    return { ...await compare(folder, folder, load), insideCheckpoint };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Compares everything that a service left in its folders with the model, and with what it answered. */
export async function compare(
  logFolder: string,
  stateFolder: string,
  load: Load,
): Promise<Omit<Verdict, "insideCheckpoint">> {
  const log = await openLog(logFolder, PARTITIONS);
  const store = await openStore(stateFolder);
  const results = new Map<number, boolean>();
  const inLog = new Set<number>();
  let doubled = 0;
  let summaries = 0;
  let stateHashEqual = true;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const { options, stateHash } = await newestCheckpoint(store, partition);
    const batches = await batchesOf(log, EMBEDDED_TOPICS.transactions, partition);
    const model = new Model(options);
    for (const record of batches.flatMap((batch) => decodeBatch(batch))) {
      model.fold(record);
      const id = Number(decodeUtf8(record.value!)!.split("\t")[0]);
      if (inLog.has(id)) doubled++;
      inLog.add(id);
    }
    const written = await valuesOf(log, EMBEDDED_TOPICS.results, partition);
    for (let i = 0; i < Math.max(written.length, model.results.length); i++) {
      if (written[i] !== model.results[i]?.value) doubled++;
      if (written[i] === undefined) continue;
      const { transaction, success } = codecOf(Format.Text).parseTransactionResult(written[i]!);
      results.set(Number(transaction.transactionId), success);
    }
    const fired = await valuesOf(log, EMBEDDED_TOPICS.summaries, partition);
    if (!sameSummaries(fired, model)) doubled++;
    summaries += fired.length;
    if (stateHashOf(options, batches) !== stateHash) stateHashEqual = false;
  }
  await log.close();
  store.close();
  let lost = 0;
  for (const [id, success] of load.answered) {
    if (!inLog.has(id) || results.get(id) !== success) lost++;
  }
  return { answered: load.answered.size, lost, doubled, stateHashEqual, summaries };
}

if (import.meta.main) {
  const values = commandLine("kill", {
    kills: { type: "string", default: "20" },
    seed: { type: "string" },
  });
  const seed = Number(values.seed ?? newSeed());
  console.log(`seed ${seed}`);
  const verdict = await killRun({ kills: Number(values.kills), seed, log: console.log });
  console.log(
    `${verdict.insideCheckpoint} kills inside a checkpoint, ${verdict.summaries} summaries`,
  );
  console.log(verdictLine(verdict));
  const good = verdict.lost === 0 && verdict.doubled === 0 && verdict.stateHashEqual;
  Deno.exit(good ? 0 : 1);
}
