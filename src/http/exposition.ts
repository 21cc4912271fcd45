// Metrics in the text format of Prometheus, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/).
// They are read from where they are counted, so nothing is kept here: a metric is a function, a scrape calls it.

import { DURATION_BOUNDS_SECONDS, type DurationCounts } from "../engine/mod.ts";

export type Labels = Readonly<Record<string, string>>;

/** A value and its labels. */
export type Sample = readonly [value: number, labels?: Labels];

interface Described {
  /** Base units, and `_total` at the end of what only grows: by that it is a counter, else a gauge. */
  readonly name: string;
  readonly help: string;
}

export interface Metric extends Described {
  readonly samples: () => readonly Sample[];
}

/** Durations that were counted in classes elsewhere. */
export interface DurationHistogram extends Described {
  readonly durations: () => readonly (readonly [DurationCounts, Labels])[];
}

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The text of an answer to a scrape. */
export function exposeMetrics(metrics: readonly (Metric | DurationHistogram)[]): string {
  return metrics.map((metric) => "samples" in metric ? textOf(metric) : histogramOf(metric))
    .join("\n");
}

function textOf({ name, help, samples }: Metric): string {
  const lines = samples().map(([value, labels]) => lineOf(name, labels, value));
  return headOf(name, help, name.endsWith("_total") ? "counter" : "gauge") + lines.join("");
}

function histogramOf({ name, help, durations }: DurationHistogram): string {
  const lines = durations().flatMap(([{ counts, sumMs }, labels]) => {
    let below = 0;
    const classes = counts.map((n, i) => {
      const le = i < DURATION_BOUNDS_SECONDS.length ? String(DURATION_BOUNDS_SECONDS[i]) : "+Inf";
      return lineOf(`${name}_bucket`, { ...labels, le }, below += n);
    });
    return [
      ...classes,
      lineOf(`${name}_sum`, labels, sumMs / 1000),
      lineOf(`${name}_count`, labels, below),
    ];
  });
  return headOf(name, help, "histogram") + lines.join("");
}

function headOf(name: string, help: string, type: string): string {
  const escaped = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}\n`;
}

function lineOf(name: string, labels: Labels = {}, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeValue(text)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${numberOf(value)}\n`;
}

function escapeValue(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function numberOf(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
