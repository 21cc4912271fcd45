// Rate and CPU of jobs that fold a topic as fast as they can, in the steady state.

import type { Service } from "../tools/kit/service.ts";
import { sleep } from "./kafka_scene.ts";
import { untilLook } from "./peers/measure.ts";
import { cpuSeconds } from "./process_figures.ts";
import { recordsIn } from "./service_metrics.ts";

export interface Steady {
  /** Millions of records a second, of all jobs together. */
  readonly rate: number;
  /** CPU-seconds of all jobs per million records. */
  readonly cpu: number;
  /** The same of the broker. */
  readonly broker: number;
}

/** Which part of the records is looked at, in shares of all. */
export interface SteadyPart {
  readonly records: number;
  readonly from: number;
  readonly to: number;
}

/** Waits until jobs have folded the records from one share to another. */
export async function steadyOf(
  jobs: readonly Service[],
  broker: { readonly pid: number },
  { records, from, to }: SteadyPart,
): Promise<Steady> {
  const sumOf = async (of: (job: Service) => Promise<number>) =>
    (await Promise.all(jobs.map(of))).reduce((a, b) => a + b);
  const sample = async () => ({
    at: performance.now(),
    cpu: await sumOf(({ pid }) => cpuSeconds(pid)),
    broker: await cpuSeconds(broker.pid),
    records: await sumOf(recordsIn),
  });
  let first = await sample();
  let last = first;
  let before = first;
  while (last.records < to * records) {
    const goal = last.records < from * records ? from * records : to * records;
    await sleep(untilLook(before, last, goal));
    before = last;
    last = await sample();
    if (last.records < from * records) first = last;
  }
  const million = (last.records - first.records) / 1e6;
  return {
    rate: million / ((last.at - first.at) / 1000),
    cpu: (last.cpu - first.cpu) / million,
    broker: (last.broker - first.broker) / million,
  };
}

export function describeSteady({ rate, cpu, broker }: Steady): string {
  return `${cpu.toFixed(3)} CPU-s per million records (broker ${broker.toFixed(3)}), ` +
    `${rate.toFixed(2)} M records/s`;
}
