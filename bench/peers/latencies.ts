// Latencies: their table, and a curve over their quantiles, as HdrHistogram's plots show them (https://hdrhistogram.github.io).

import { type Measured, measuredOn } from "./machine.ts";
import { milliseconds, table } from "./tables.ts";

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
export interface LatencyMeasurement extends Measured {
  /** Engine and setting, such as "stockflow, commits every 20 ms". */
  readonly setting: string;
  /** Transactions a second. */
  readonly rate: number;
  readonly what: "transactions" | "queries";
  /** How long load came before the window, and how long the window was; older measurements do not have them. */
  readonly warmUpSeconds?: number;
  readonly seconds?: number;
  readonly count: number;
  /** So many did not become visible: it does not hold the load, and has no latencies. */
  readonly missing?: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly curve: readonly Quantile[];
}

/** What a measurement is of. */
type About = Pick<
  LatencyMeasurement,
  "setting" | "rate" | "what" | "at" | "warmUpSeconds" | "seconds"
>;

/** Of one that does not hold the load. */
export function overloaded(
  about: About,
  missing: number,
): LatencyMeasurement {
  return { ...about, missing, count: 0, p50: 0, p99: 0, p999: 0, max: 0, curve: [] };
}

/** @param latencies in ms, at least one, in any order */
export function measurementOf(
  about: About,
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

/** Settings that are behind at the end of their warm-up have so much longer. */
export const CATCH_UP_SECONDS_MAX = 120;

/** From one to the other, as seconds. */
function spanOf(all: readonly number[]): string {
  const [from, to] = [Math.min(...all), Math.max(...all)].map((n) => n.toFixed(0));
  return from === to ? `${from} s` : `${from} to ${to} s`;
}

/** How the windows of measurements were chosen. */
function windowsOf(all: readonly LatencyMeasurement[]): string {
  const known = all.filter((m) => m.warmUpSeconds !== undefined && m.seconds !== undefined);
  const held = known.filter(({ missing }) => missing === undefined);
  const of = (key: "warmUpSeconds" | "seconds") =>
    spanOf((held.length > 0 ? held : known).map((m) => m[key]!));
  return [
    ...(known.length === 0 ? [] : [
      `A window of ${of("seconds")} is measured, behind a warm-up of ${
        of("warmUpSeconds")
      }. It begins once no more ` +
      "is sent and not visible than comes in two commits or checkpoints of the engine, or in a second where that is " +
      `more. A setting does not hold a rate when that is not so ${CATCH_UP_SECONDS_MAX} s behind the warm-up, or not ` +
      "so at the window's end, or when 40 s behind that not all is visible.",
    ]),
    ...(known.length === all.length ? [] : [
      "Rows without a warm-up are older: their windows began whatever waited, so that a backlog may be in them; such " +
      "a setting does not hold a rate when 40 s behind its end not all is visible.",
    ]),
  ].join(" ");
}

/** What is said of all that was measured, and its table. */
export function latencyParts(
  all: readonly LatencyMeasurement[],
  pictures: readonly string[],
): string[] {
  return [
    "Written by `deno task bench:peers:latency`. Work b, 8 partitions, 1 M items; from the moment when a " +
    "transaction, or a query (100 a second), is due to be produced to the moment when a client sees its result, " +
    `or answer, under read_committed. ${windowsOf(all)} ${measuredOn(all)}`,
    ...pictures,
    table(
      ["transactions/s", "engine", "of", "warm-up", "p50 (ms)", "p99", "p99.9", "max", "count"],
      all.toSorted((a, b) => a.rate - b.rate).map((m) => [
        String(m.rate),
        m.setting,
        m.what,
        m.warmUpSeconds === undefined ? "" : spanOf([m.warmUpSeconds]),
        ...(m.missing === undefined
          ? [m.p50, m.p99, m.p999, m.max].map(milliseconds)
          : ["does not hold it", "", "", ""]),
        String(m.count),
      ]),
    ),
  ];
}
