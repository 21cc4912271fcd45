import { DURATION_BOUNDS_SECONDS, type DurationCounts } from "../engine/mod.ts";
import type { Latency } from "./status.ts";

/** What was counted between two moments. */
export function durationsSince(before: DurationCounts, now: DurationCounts): DurationCounts {
  // A worker whose thread is replaced may report less than before for a moment.
  return {
    counts: now.counts.map((n, i) => Math.max(0, n - before.counts[i]!)),
    sumMs: Math.max(0, now.sumMs - before.sumMs),
  };
}

/**
 * A quantile in ms, interpolated within its class as Prometheus' histogram_quantile does; null without durations. What
 * lies above the largest bound counts as that bound.
 */
export function quantileMs({ counts }: DurationCounts, quantile: number): number | null {
  const total = counts.reduce((a, b) => a + b, 0);
  if (total === 0) return null;
  const rank = quantile * total;
  let below = 0;
  for (const [i, n] of counts.entries()) {
    const upper = DURATION_BOUNDS_SECONDS[i];
    if (upper === undefined) break;
    if (n > 0 && below + n >= rank) {
      const lower = i === 0 ? 0 : DURATION_BOUNDS_SECONDS[i - 1]!;
      return 1000 * (lower + (upper - lower) * (rank - below) / n);
    }
    below += n;
  }
  return 1000 * DURATION_BOUNDS_SECONDS.at(-1)!;
}

export function latencyOf(durations: DurationCounts): Latency {
  return {
    count: durations.counts.reduce((a, b) => a + b, 0),
    p50Ms: quantileMs(durations, 0.5),
    p99Ms: quantileMs(durations, 0.99),
  };
}
