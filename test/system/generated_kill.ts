// kill -9 of the process, and crashes of single worker threads, under the generator's load with windows
// on; then everything that is left is compared with a computation from the generated log.
//
//   deno task kill:generated [--kills=20] [--crashes=20] [--seed=<n>]

import { commandLine } from "../../tools/kit/command_line.ts";
import { EMBEDDED_TOPICS, EmbeddedItemTransactionJob, jobName } from "../../src/jobs/mod.ts";
import { MACHINE, openGeneratorLog, type RunningJob } from "../../src/service/mod.ts";
import { Parameters } from "../../src/parameters/mod.ts";
import { ThreadWorker } from "../../src/engine/threads/thread_worker.ts";
import { decodeBatch, systemClock } from "../../src/types/mod.ts";
import { Model } from "../model/model.ts";
import { newSeed, Random } from "../../tools/kit/random.ts";
import {
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

export interface GeneratedVerdict {
  readonly inputs: number;
  readonly results: number;
  /** Inputs without a result. */
  readonly lost: number;
  /** Results that no input has, or other ones than the fold gives; summaries likewise. */
  readonly doubled: number;
  readonly stateHashEqual: boolean;
  readonly summaries: number;
}

export function generatedVerdictLine(v: GeneratedVerdict): string {
  return `${v.inputs} inputs, ${v.results} results, ${v.lost} lost, ${v.doubled} doubled, state hash ${
    v.stateHashEqual ? "equal" : "DIFFERENT"
  }`;
}

export interface GeneratedKillOptions {
  /** kill -9 of the process. */
  readonly kills: number;
  /** Crashes of a worker thread in a process that goes on. */
  readonly crashes: number;
  readonly seed: number;
  /** Shortest and longest life between two kills or crashes. */
  readonly aliveMs: readonly [number, number];
  /** Transactions a second; 40,000 by default. */
  readonly rate?: number;
  readonly log?: (line: string) => void;
}

const JOB = jobName("embedded", true);
const PARTITIONS = 4;
const WINDOW_MS = 60_000;

const RATE = 40_000;

const FLAGS = {
  "log.partitions": String(PARTITIONS),
  "generate.transactions": "true",
  "generate.results": "true",
  "generate.rate": String(RATE),
  "num.items": "5000",
  "parallelism": "2",
  "checkpoint.interval.millis": "150",
  "commit.interval.ms": "20",
  ...EVERY_SUMMARY,
} as const;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** How long to let it live: now and then just into the moment when windows are fired. */
function life(random: Random, [shortest, longest]: readonly [number, number]): number {
  const toFiring = WINDOW_MS - Date.now() % WINDOW_MS;
  if (toFiring < longest) return toFiring + random.below(200);
  return shortest + random.below(longest - shortest);
}

/** Kills and crashes a service that folds generated transactions, then compares what it left. */
export async function generatedKillRun(options: GeneratedKillOptions): Promise<GeneratedVerdict> {
  const { kills, crashes, seed, aliveMs, rate = RATE, log = () => {} } = options;
  const flags = { ...FLAGS, "generate.rate": String(rate) };
  const random = new Random(seed);
  const folder = await Deno.makeTempDir({ prefix: "stockflow-generated-" });
  try {
    for (let kill = 1; kill <= kills; kill++) {
      const service = await startService({ folder, flags });
      await waitReady(service);
      await sleep(life(random, aliveMs));
      await service.kill();
      log(`kill ${kill}`);
    }
    if (crashes > 0) await crashRun(folder, flags, crashes, random, aliveMs, log);
    const last = await startService({ folder, flags });
    await waitReady(last);
    await stopInGoodOrder(last);
    return await compare(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Crashes threads of a job in this process. */
async function crashRun(
  folder: string,
  flags: Readonly<Record<string, string>>,
  crashes: number,
  random: Random,
  aliveMs: readonly [number, number],
  log: (line: string) => void,
): Promise<void> {
  const files = { "log.kv": `${folder}/log.kv`, "state.kv": `${folder}/state.kv` };
  const job: RunningJob = await new EmbeddedItemTransactionJob()
    .createApplicationPipeline(Parameters.of({ ...flags, ...files }))
    .start(JOB, MACHINE);
  for (let crash = 1; crash <= crashes; crash++) {
    while (!job.isReady) {
      if (job.failure) throw job.failure;
      await sleep(5);
    }
    await sleep(life(random, aliveMs));
    const worker = job.workers[random.below(job.workers.length)];
    if (!(worker instanceof ThreadWorker)) throw new Error("The job's workers are not threads");
    worker.crash();
    while (job.isReady) await sleep(1);
    log(`crash ${crash}`);
  }
  while (!job.isReady) await sleep(5);
  await job.stop();
  if (job.failure) throw job.failure;
}

async function compare(folder: string): Promise<GeneratedVerdict> {
  const log = await openLog(folder, PARTITIONS);
  const generated = await openGeneratorLog(log, systemClock);
  const store = await openStore(folder, JOB);
  const { partitions } = await generated.claim(generated.computedFrom.topic);
  const verdict = {
    inputs: 0,
    results: 0,
    lost: 0,
    doubled: 0,
    stateHashEqual: true,
    summaries: 0,
  };
  for (const { partition, committed } of partitions) {
    const { options, stateHash } = await newestCheckpoint(store, partition);
    const model = new Model(options);
    const batches: Uint8Array[] = [];
    while (model.position < committed.offset) {
      const read = { maxBytes: 1, waitMs: 0 };
      const answer = await generated.read(partition, model.position, read);
      for (const record of decodeBatch(answer.batches[0]!)) model.fold(record);
      batches.push(answer.batches[0]!);
    }
    if (model.position !== committed.offset) throw new Error("A batch was folded in part");
    const results = await valuesOf(log, EMBEDDED_TOPICS.results, partition);
    verdict.inputs += model.position;
    verdict.results += results.length;
    verdict.lost += Math.max(0, model.results.length - results.length);
    verdict.doubled += results.filter((line, i) => line !== model.results[i]?.value).length;
    const summaries = await valuesOf(log, EMBEDDED_TOPICS.summaries, partition);
    verdict.summaries += summaries.length;
    if (!sameSummaries(summaries, model)) verdict.doubled++;
    verdict.stateHashEqual &&= stateHashOf(options, batches) === stateHash;
  }
  await log.close();
  store.close();
  return verdict;
}

if (import.meta.main) {
  const values = commandLine("kill:generated", {
    kills: { type: "string", default: "20" },
    crashes: { type: "string", default: "20" },
    seed: { type: "string" },
  });
  const seed = Number(values.seed ?? newSeed());
  console.log(`seed ${seed}`);
  const verdict = await generatedKillRun({
    kills: Number(values.kills),
    crashes: Number(values.crashes),
    seed,
    aliveMs: [200, 3000],
    log: console.log,
  });
  console.log(`${verdict.summaries} summaries`);
  console.log(generatedVerdictLine(verdict));
  const { lost, doubled, stateHashEqual } = verdict;
  Deno.exit(lost === 0 && doubled === 0 && stateHashEqual ? 0 : 1);
}
