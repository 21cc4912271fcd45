// CPU, rate and memory of an engine while it works through the records.

import { cpuSeconds, peakResidentBytes } from "../process_figures.ts";
import { completedIn } from "./checkpoints.ts";
import type { Figures } from "./figures.ts";
import type { Job } from "./job.ts";

const STEADY_FROM = 0.3;
const LOOK_MS = 100;
const LOOK_MS_MAX = 1000;
const SILENT_MS_MAX = 120_000;

interface Sample {
  readonly at: number;
  readonly records: number;
  readonly cpu: number;
  readonly broker: number;
}

/** Ends what runs beside a benchmark when that is interrupted, and the benchmark behind it. */
export function endWhenInterrupted(end: () => Promise<void>): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => void end().finally(() => Deno.exit(130)));
  }
}

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function sampleOf(job: Job, brokerPid: number | null): Promise<Sample> {
  job.check();
  return {
    at: performance.now(),
    records: await job.records(),
    cpu: await cpuSeconds(job.pid),
    broker: brokerPid === null ? 0 : await cpuSeconds(brokerPid),
  };
}

/** How far something is, and when. */
export interface Place {
  /** ms */
  readonly at: number;
  readonly records: number;
}

/**
 * In how many ms to look again at who goes towards a goal: each look costs him an answer of all his metrics. Half of the
 * time that is left as it goes on now, so the goal is not missed by much.
 */
export function untilLook(before: Place, now: Place, goal: number): number {
  const perMs = (now.records - before.records) / (now.at - before.at);
  const leftMs = perMs > 0 ? (goal - now.records) / perMs : 0;
  return Math.min(LOOK_MS_MAX, Math.max(LOOK_MS, leftMs / 2));
}

/**
 * Waits until a job has gone through so many records.
 *
 * @param countsCheckpoints of a job that says when each was completed
 * @throws when it ends, or executes nothing for two minutes
 */
export async function measureRecords(
  job: Job,
  brokerPid: number,
  records: number,
  countsCheckpoints = false,
): Promise<Figures> {
  let first = await sampleOf(job, brokerPid);
  let last = first;
  let before = first;
  while (last.records < records) {
    const goal = last.records < STEADY_FROM * records ? STEADY_FROM * records : records;
    await sleep(untilLook(before, last, goal));
    before = last;
    const next = await sampleOf(job, brokerPid);
    // The time of the last progress, for the first sample with all records.
    if (next.records > last.records) last = next;
    else if (next.at - last.at > SILENT_MS_MAX) {
      throw new Error(`No record in two minutes, behind ${next.records} of ${records}`);
    }
    if (last.records < STEADY_FROM * records) first = last;
  }
  return await figuresOf(job, first, last, countsCheckpoints);
}

export interface Period {
  /** The warm-up takes so long, and goes on until so much CPU was used: on a busy machine time alone warms nothing. */
  readonly warmUpSeconds: number;
  readonly warmUpCpuSeconds: number;
  readonly seconds: number;
}

/** Measures a job that has no end for some seconds, behind a warm-up. */
export async function measureSeconds(
  job: Job,
  period: Period,
  countsCheckpoints = false,
): Promise<Figures> {
  const { warmUpSeconds, warmUpCpuSeconds, seconds } = period;
  await sleep(1000 * warmUpSeconds);
  let first = await sampleOf(job, null);
  while (first.cpu < warmUpCpuSeconds) {
    await sleep(LOOK_MS);
    first = await sampleOf(job, null);
  }
  await sleep(1000 * seconds);
  return await figuresOf(job, first, await sampleOf(job, null), countsCheckpoints);
}

async function figuresOf(
  job: Job,
  first: Sample,
  last: Sample,
  countsCheckpoints: boolean,
): Promise<Figures> {
  const peakBytes = await peakResidentBytes(job.pid);
  const epoch = ({ at }: Sample) => performance.timeOrigin + at;
  const counted = countsCheckpoints
    ? { checkpoints: completedIn(await job.checkpoint!(), epoch(first), epoch(last)) }
    : {};
  const million = (last.records - first.records) / 1e6;
  return {
    cpu: (last.cpu - first.cpu) / million,
    brokerCpu: (last.broker - first.broker) / million,
    wholeCpu: last.cpu / (last.records / 1e6),
    rate: 1000 * (last.records - first.records) / (last.at - first.at),
    peakBytes,
    seconds: (last.at - first.at) / 1000,
    ...counted,
  };
}
