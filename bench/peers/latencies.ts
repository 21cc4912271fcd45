// Latencies as a curve over their quantiles, as HdrHistogram's plots show them (https://hdrhistogram.github.io).

/** Milliseconds below which so large a share of the latencies lies. */
export interface Quantile {
  readonly share: number;
  readonly ms: number;
}

/** Nines behind the last of which a curve ends. */
const NINES = 5;
const STEPS_OF_A_NINE = 10;

/** The value at a share of sorted latencies: the smallest that at least so many do not exceed. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
}

/**
 * The curve of latencies: shares 0, and ten to each nine as long as there are enough latencies, then the largest.
 *
 * @param sorted at least one
 */
export function curveOf(sorted: ArrayLike<number>): Quantile[] {
  const curve: Quantile[] = [];
  for (let step = 0; step <= NINES * STEPS_OF_A_NINE; step++) {
    const share = 1 - 10 ** (-step / STEPS_OF_A_NINE);
    if ((1 - share) * sorted.length < 1) break;
    curve.push({ share, ms: quantile(sorted, share) });
  }
  const last = { share: 1 - 1 / (2 * sorted.length), ms: sorted[sorted.length - 1]! };
  return [...curve, last];
}

/** What was measured of an engine at one rate. */
export interface LatencyMeasurement {
  /** Engine and setting, such as "stockflow, commits every 20 ms". */
  readonly setting: string;
  /** Transactions a second. */
  readonly rate: number;
  readonly what: "transactions" | "queries";
  readonly at: string;
  readonly count: number;
  /** So many did not become visible: it does not hold the load, and has no latencies. */
  readonly missing?: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly curve: readonly Quantile[];
}

/** Of one that does not hold the load. */
export function overloaded(
  about: Pick<LatencyMeasurement, "setting" | "rate" | "what" | "at">,
  missing: number,
): LatencyMeasurement {
  return { ...about, missing, count: 0, p50: 0, p99: 0, p999: 0, max: 0, curve: [] };
}

/** @param latencies in ms, at least one, in any order */
export function measurementOf(
  about: Pick<LatencyMeasurement, "setting" | "rate" | "what" | "at">,
  latencies: readonly number[],
): LatencyMeasurement {
  const sorted = Float64Array.from(latencies).sort();
  return {
    ...about,
    count: sorted.length,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    p999: quantile(sorted, 0.999),
    max: sorted.at(-1)!,
    curve: curveOf(sorted).map(({ share, ms }) => ({ share, ms: Number(ms.toPrecision(4)) })),
  };
}

/** A specification of Vega-Lite: a curve for each setting, over nines, one picture for each rate. */
export function latencyChartOf(
  all: readonly LatencyMeasurement[],
  what: LatencyMeasurement["what"],
): unknown {
  const values = all.filter((m) => m.what === what).flatMap(({ setting, rate, curve }) =>
    curve.map(({ share, ms }) => ({
      setting,
      rate: `${rate / 1000} k/s`,
      nines: -Math.log10(1 - share),
      ms,
    }))
  );
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    title: `From the scheduled time of sending to visible, ${what} (ms; less is better)`,
    data: { values },
    facet: { row: { field: "rate", title: null, sort: [] } },
    spec: {
      width: 560,
      height: 220,
      mark: { type: "line", interpolate: "linear" },
      encoding: {
        x: {
          field: "nines",
          type: "quantitative",
          title: "share of all that is faster",
          axis: {
            values: [0, 1, 2, 3, 4, 5],
            labelExpr: "datum.value == 0 ? '0' : datum.value == 1 ? '90 %' : '99' + " +
              "(datum.value > 2 ? '.' + substring('999', 0, datum.value - 2) : '') + ' %'",
          },
        },
        y: { field: "ms", type: "quantitative", scale: { type: "log" }, title: "ms" },
        color: {
          field: "setting",
          type: "nominal",
          sort: [],
          title: null,
          legend: { orient: "bottom", columns: 2, labelLimit: 0 },
        },
      },
    },
  };
}
