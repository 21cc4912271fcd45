// The figures of the last hour, for charts. They are of this life of the process: a restart begins anew.

import type { DurationCounts } from "../engine/mod.ts";
import { durationsSince, quantileMs } from "./quantiles.ts";
import type { SeriesPoint, StatusHistory } from "./status.ts";

/** Figures of a moment; counters only grow, but for those of partitions that are recovered. */
export interface Sample {
  /** ms since the epoch, for people. */
  readonly at: number;
  /** By the monotonic clock, for rates. */
  readonly monotonic: number;
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly queries: number;
  readonly accepted: number;
  readonly rejected: number;
  readonly invalid: number;
  readonly lag: number | null;
  readonly items: number;
  readonly stateBytes: number;
  readonly busy: number;
  readonly idle: number;
  readonly backPressured: number;
  readonly commits: DurationCounts;
  readonly queryDurations: DurationCounts;
  /** Time that all workers spent firing windows, in ms. */
  readonly firingMs: number;
  /** Records folded by partition. */
  readonly byPartition: ReadonlyMap<number, number>;
}

/** How often a sample is taken. */
export const SAMPLE_MS = 1000;
const SECONDS_KEPT = 601;
const TENS_KEPT = 361;
const COARSE = 10;
/** Rates "now" are over so many samples. */
const NOW_SAMPLES = 5;
/** Latencies "now" are over so many. */
const LATENCY_SAMPLES = 60;

/** Samples, and what is made of them. */
export class Samples {
  readonly #seconds: Sample[] = [];
  readonly #tens: Sample[] = [];
  #count = 0;

  add(sample: Sample): void {
    this.#seconds.push(sample);
    if (this.#seconds.length > SECONDS_KEPT) this.#seconds.shift();
    // Of the past the figures by partition are not needed.
    const old = this.#seconds.at(-1 - 2 * NOW_SAMPLES);
    if (old) this.#seconds[this.#seconds.length - 1 - 2 * NOW_SAMPLES] = withoutPartitions(old);
    if (this.#count++ % COARSE !== 0) return;
    this.#tens.push(withoutPartitions(sample));
    if (this.#tens.length > TENS_KEPT) this.#tens.shift();
  }

  /** The first and the last of the samples that rates are made of; null before there are two. */
  get now(): { readonly from: Sample; readonly to: Sample } | null {
    return between(this.#seconds, NOW_SAMPLES);
  }

  /** The same, for latencies. */
  get minute(): { readonly from: Sample; readonly to: Sample } | null {
    return between(this.#seconds, LATENCY_SAMPLES);
  }

  get history(): StatusHistory {
    return { seconds: pointsOf(this.#seconds), tens: pointsOf(this.#tens) };
  }

  /** The newest point; null before there are two samples. */
  get point(): SeriesPoint | null {
    const [from, to] = this.#seconds.slice(-2);
    return from && to ? pointOf(from, to) : null;
  }
}

function withoutPartitions(sample: Sample): Sample {
  return sample.byPartition.size === 0 ? sample : { ...sample, byPartition: new Map() };
}

function between(samples: readonly Sample[], count: number) {
  const to = samples.at(-1);
  const from = samples[Math.max(0, samples.length - 1 - count)];
  return to && from && to !== from ? { from, to } : null;
}

function pointsOf(samples: readonly Sample[]): SeriesPoint[] {
  return samples.slice(1).map((to, i) => pointOf(samples[i]!, to));
}

/** A second; a counter that went back counts as standing still. */
export function rateOf(from: Sample, to: Sample, of: (sample: Sample) => number): number {
  const seconds = Math.max(1, to.monotonic - from.monotonic) / 1000;
  return Math.max(0, of(to) - of(from)) / seconds;
}

function pointOf(from: Sample, to: Sample): SeriesPoint {
  const rate = (of: (sample: Sample) => number) => rateOf(from, to, of);
  const commits = durationsSince(from.commits, to.commits);
  const queries = durationsSince(from.queryDurations, to.queryDurations);
  const { at, lag, items, stateBytes, busy, idle, backPressured } = to;
  return {
    at,
    recordsIn: rate((s) => s.recordsIn),
    recordsOut: rate((s) => s.recordsOut),
    queries: rate((s) => s.queries),
    accepted: rate((s) => s.accepted),
    rejected: rate((s) => s.rejected),
    invalid: rate((s) => s.invalid),
    lag,
    items,
    stateBytes,
    busy,
    idle,
    backPressured,
    commitP50Ms: quantileMs(commits, 0.5),
    commitP99Ms: quantileMs(commits, 0.99),
    queryP50Ms: quantileMs(queries, 0.5),
    queryP99Ms: quantileMs(queries, 0.99),
  };
}
