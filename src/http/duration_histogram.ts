import { Histogram, type MetricType } from "prom-client";
import { DURATION_BOUNDS_SECONDS, type DurationCounts } from "../engine/mod.ts";

interface DurationHistogramOptions<T extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly T[];
  readonly samples: () => readonly (readonly [DurationCounts, Readonly<Record<T, string>>])[];
}

/**
 * A histogram of durations that were counted elsewhere. The library's own takes each duration alone,
 * which would have to cross from the worker threads one by one.
 */
export class DurationHistogram<T extends string> extends Histogram<T> {
  readonly #options: DurationHistogramOptions<T>;

  constructor(options: DurationHistogramOptions<T>) {
    const { name, help, labelNames } = options;
    const buckets = [...DURATION_BOUNDS_SECONDS];
    super({ name, help, labelNames, buckets, registers: [] });
    this.#options = options;
  }

  override get(): ReturnType<Histogram<T>["get"]> {
    const { name, help, samples } = this.#options;
    const values = samples().flatMap(([{ counts, sumMs }, labels]) => {
      let below = 0;
      const classes = counts.map((n, i) => ({
        metricName: `${name}_bucket`,
        labels: { ...labels, le: DURATION_BOUNDS_SECONDS[i] ?? "+Inf" },
        value: below += n,
      }));
      return [
        ...classes,
        { metricName: `${name}_sum`, labels, value: sumMs / 1000 },
        { metricName: `${name}_count`, labels, value: below },
      ];
    });
    // The library's types have numbers for the kinds of metrics, the library itself has their names.
    const type = "histogram" as unknown as MetricType;
    return Promise.resolve({ name, help, type, aggregator: "sum", collect: () => {}, values });
  }

  /** What the registry asks for when it writes its text. */
  getForPromString(): ReturnType<Histogram<T>["get"]> {
    return this.get();
  }
}
