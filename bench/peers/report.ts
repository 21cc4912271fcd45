// The figures as tables and charts. Nothing here reads or writes a file.

import type { ComparedAnswers } from "./answers.ts";
import type { Measurement, Row, Spread } from "./figures.ts";
import { rowsOf } from "./figures.ts";
import { KEY_SETS, type KeySet } from "./input.ts";
import type { LatencyMeasurement } from "./latencies.ts";
import { largerMachines } from "./larger_machines.ts";
import { type RecoveryMeasurement, recoveryParts } from "./recoveries.ts";
import { type ScaleMeasurement, scaleParts } from "./scale.ts";
import { type StageMeasurement, stageParts } from "./stage_costs.ts";
import { STATE_TITLE, type StateMeasurement } from "./state_figures.ts";
import { fixed, gibibytes, milliseconds, short, table } from "./tables.ts";
import { DESCRIPTIONS, type EngineName, type Work } from "./works.ts";

export const ENGINE_TITLES: Readonly<Record<EngineName, string>> = {
  stockflow: "stockflow",
  flink: "Apache Flink 2.2.1",
  streams: "Kafka Streams 4.1.0",
};

const KEY_TITLES: Readonly<Record<KeySet, string>> = {
  item: "`item_<n>`, all about as frequent",
  uuid: "UUIDs, all about as frequent",
  pareto: "`item_<n>`, drawn from the seed's Pareto distribution (shape 15)",
  sku: "`SKU-EU-<10 digits>-XL`, all about as frequent",
};

const perSecond = short;

/** The median, and from where to where the rounds reach. */
function show({ median, min, max }: Spread, text: (n: number) => string): string {
  return min === max ? text(median) : `${text(median)} (${text(min)} to ${text(max)})`;
}

/** How many times as much a peer takes as stockflow. */
function times(row: Row, rows: readonly Row[]): string {
  const ours = rows.find((r) => r.work === row.work && r.engine === "stockflow");
  if (!ours || row.engine === "stockflow") return "";
  return `${(row.of.cpu.median / ours.of.cpu.median).toFixed(1)} times ours`;
}

function tableOf(rows: readonly Row[]): string {
  const head = [
    "work",
    "engine",
    "CPU-s per million records",
    "compared",
    "with start and warm-up",
    "the broker's",
    "records/s",
    "peak RSS",
  ];
  return table(
    head,
    rows.map((row) => [
      row.work,
      ENGINE_TITLES[row.engine],
      show(row.of.cpu, fixed(2)),
      times(row, rows),
      show(row.of.wholeCpu, fixed(2)),
      DESCRIPTIONS[row.work].generated ? "" : show(row.of.brokerCpu, fixed(2)),
      show(row.of.rate, perSecond),
      show(row.of.peakBytes, gibibytes),
    ]),
  );
}

/** One line for each work: what a million records cost in each engine. */
export function shortTable(rows: readonly Row[]): string {
  const works = [...new Set(rows.map(({ work }) => work))];
  const cell = (work: Work, engine: EngineName) => {
    const row = rows.find((r) => r.work === work && r.engine === engine);
    if (!row) return "";
    const compared = times(row, rows);
    return row.of.cpu.median.toFixed(2) + (compared === "" ? "" : ` (${compared})`);
  };
  return table(
    ["CPU-seconds per million records", ...Object.values(ENGINE_TITLES)],
    works.map((work) => [
      `${work}: ${DESCRIPTIONS[work].title}`,
      ...(Object.keys(ENGINE_TITLES) as EngineName[]).map((engine) => cell(work, engine)),
    ]),
  );
}

/** A specification of Vega-Lite: a bar for each engine, by work. */
export function chartOf(rows: readonly Row[], what: "cpu" | "peakBytes"): unknown {
  const values = rows.map(({ work, engine, of }) => ({
    work: `${work}: ${DESCRIPTIONS[work].title}`,
    engine: ENGINE_TITLES[engine],
    value: what === "cpu" ? of.cpu.median : of.peakBytes.median / 2 ** 30,
  }));
  const order = Object.values(ENGINE_TITLES);
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    title: what === "cpu"
      ? "CPU-seconds per million records (less is better)"
      : "Peak memory in GiB (less is better)",
    data: { values },
    facet: {
      row: {
        field: "work",
        title: null,
        header: { labelAngle: 0, labelAlign: "left", labelOrient: "top", labelAnchor: "start" },
      },
    },
    spec: {
      width: 480,
      height: { step: 18 },
      encoding: {
        y: { field: "engine", type: "nominal", sort: order, title: null },
        x: { field: "value", type: "quantitative", title: null, axis: { grid: false } },
      },
      layer: [
        {
          mark: "bar",
          encoding: {
            color: {
              field: "engine",
              type: "nominal",
              sort: order,
              legend: null,
              scale: { domain: order, range: ["#1b7837", "#e6843a", "#5b7db1"] },
            },
          },
        },
        {
          mark: { type: "text", align: "left", dx: 4 },
          encoding: { text: { field: "value", type: "quantitative", format: ".2f" } },
        },
      ],
    },
    resolve: { scale: { y: "independent" } },
  };
}

export interface ReportOptions {
  readonly all: readonly Measurement[];
  readonly machine: string;
  /** Files of the charts, by key set, as the page names them. */
  readonly charts: Readonly<Partial<Record<KeySet, readonly string[]>>>;
  readonly answers?: readonly ComparedAnswers[];
  readonly latencies?: readonly LatencyMeasurement[];
  readonly latencyCharts?: readonly string[];
  readonly states?: readonly StateMeasurement[];
  readonly recoveries?: readonly RecoveryMeasurement[];
  readonly scales?: readonly ScaleMeasurement[];
  readonly scaleCharts?: readonly string[];
  readonly stages?: readonly StageMeasurement[];
}

/** bench/RESULTS.md */
export function pageOf(options: ReportOptions): string {
  const { all, machine, charts, answers = [], latencies = [], latencyCharts = [], states = [] } =
    options;
  const { recoveries = [], scales = [], scaleCharts = [], stages = [] } = options;
  const parts = [
    "# stockflow beside Apache Flink and Kafka Streams",
    "Written by `deno task bench:peers`; do not edit. One run on one machine: the same topics, the " +
    "same work, and the same answers, which are compared. [peers/README.md](peers/README.md) has every " +
    "setting of the peers with its reason, and says what stockflow saves by not doing it.",
    `Machine: ${machine}. The broker (Apache Kafka 4.1.0) and the client that loads and measures are on the ` +
    "same cores. Machines are noisy: compare ratios, within one table.",
    "CPU is that of all threads of a process, as the kernel counts it, in the steady state: from 30 % of the " +
    "records on (d and e: behind a warm-up). In parentheses: the smallest and the largest of the rounds.",
    table(
      ["work", "what"],
      Object.entries(DESCRIPTIONS).map(([work, { title }]) => [work, title]),
    ),
  ];
  if (answers.length > 0) parts.push("## The same answers", ...answerParts(answers));
  for (const keys of KEY_SETS) {
    const rows = rowsOf(all, keys);
    if (rows.length === 0) continue;
    parts.push(`## Items: ${KEY_TITLES[keys]}`, conditionsOf(all.filter((m) => m.keys === keys)));
    parts.push(...(charts[keys] ?? []).map((file) => `![${KEY_TITLES[keys]}](${file})`));
    parts.push(tableOf(rows));
  }
  if (latencies.length > 0) {
    parts.push(
      "## Latency",
      "Written by `deno task bench:peers:latency`. Work b, 8 partitions, 1 M items; from the moment when a " +
        "transaction, or a query (100 a second), is due to be produced to the moment when a client sees its result, " +
        "or answer, under read_committed. A setting does not hold a rate when 40 s behind its end not all is visible.",
      ...latencyCharts.map((file) => `![Latency](${file})`),
      latencyTable(latencies),
    );
  }
  if (states.length > 0) {
    parts.push(
      "## Memory per item",
      `Written by \`deno task bench:peers:state\`. ${STATE_TITLE} stockflow: the memory of its items. Apache ` +
        "Flink (heap state) and Kafka Streams (in-memory store): what is left in the heap behind a collection, less " +
        "what is there with 1,000 items.",
      stateTable(states),
    );
  }
  if (recoveries.length > 0) {
    parts.push(
      "## Checkpoints, and recovery after kill -9",
      "Written by `deno task bench:peers:recovery`. Work b under load, a checkpoint every 10 s; the process is killed " +
        "and started again at once, with what it left: stockflow from its checkpoint and the log, Apache Flink from " +
        "its newest checkpoint, Kafka Streams (in-memory store, static membership) from its changelog. A latency " +
        "counts from when a transaction was due; what is visible under read_committed counts. A checkpoint of " +
        "stockflow holds what changed since the one before and refers to the rest; its bytes are those of all.",
      ...recoveryParts(recoveries, ENGINE_TITLES),
    );
  }
  if (scales.length > 0) {
    parts.push(
      "## Scale",
      "Written by `deno task bench:peers:scale`; stockflow alone, two workers where nothing else is said.",
      ...scaleCharts.map((file) => `![CPU by scale](${file})`),
      ...scaleParts(scales),
    );
  }
  if (stages.length > 0) {
    parts.push(
      "## Where the time goes",
      "Written by `deno task bench:peers:stages`.",
      ...stageParts(stages),
    );
  }
  parts.push(...largerMachines(rowsOf(all, "item"), ENGINE_TITLES));
  return `${parts.join("\n\n")}\n`;
}

/** What was compared, and that it was the same. */
function answerParts(all: readonly ComparedAnswers[]): string[] {
  const kinds = [...new Set(all.flatMap(({ answers }) => Object.keys(answers)))];
  return [
    "Digests of what each engine answered over the same input, every item with a failure reported. A digest does not " +
    "depend on the order between items; the number of records is before it. A run in which they differ fails.",
    table(
      ["work", "engine", ...kinds],
      all.map(({ work, engine, answers }) => [
        work,
        ENGINE_TITLES[engine],
        ...kinds.map((kind) => {
          const digest = answers[kind];
          return digest === undefined ? "" : `${digest.records}: \`${digest.hash}\``;
        }),
      ]),
    ),
  ];
}

function stateTable(all: readonly StateMeasurement[]): string {
  const ours = (m: StateMeasurement) =>
    all.find((o) => o.engine === "stockflow" && o.keys === m.keys && o.items === m.items);
  const compared = (m: StateMeasurement) => {
    const o = ours(m);
    return !o || o === m ? "" : `${(m.bytes / o.bytes).toFixed(1)} times ours`;
  };
  return table(
    ["items", "ids", "engine", "bytes per item", "compared", "peak RSS"],
    all.toSorted((a, b) => a.keys < b.keys ? -1 : a.keys > b.keys ? 1 : a.items - b.items).map((
      m,
    ) => [
      `${m.items / 1e6} M`,
      KEY_TITLES[m.keys].split(",")[0]!,
      ENGINE_TITLES[m.engine],
      (m.bytes / m.items).toFixed(1),
      compared(m),
      gibibytes(m.peakBytes),
    ]),
  );
}

function latencyTable(all: readonly LatencyMeasurement[]): string {
  return table(
    ["transactions/s", "engine", "of", "p50 (ms)", "p99", "p99.9", "max", "count"],
    all.toSorted((a, b) => a.rate - b.rate).map((m) => [
      String(m.rate),
      m.setting,
      m.what,
      ...(m.missing === undefined
        ? [m.p50, m.p99, m.p999, m.max].map(milliseconds)
        : ["does not hold it", "", "", ""]),
      String(m.count),
    ]),
  );
}

function conditionsOf(mine: readonly Measurement[]): string {
  const distinct = (values: readonly number[]) =>
    [...new Set(values)].filter((n) => n > 0).map((n) => `${n / 1e6} M`).join(" or ");
  const rounds = Math.max(...mine.map(({ round }) => round));
  const from = mine.map(({ at }) => at).sort()[0];
  return `${distinct(mine.map(({ records }) => records))} records of ${
    distinct(mine.map(({ items }) => items))
  } items, ${
    rounds === 1 ? "one round" : `${rounds} rounds, the engines in turn`
  }, from ${from} on.`;
}

const MARK = "<!-- peers: written by deno task bench:peers -->";
const END = "<!-- end of peers -->";

/** The README with the part between its two marks written anew. */
export function withPeers(readme: string, part: string): string {
  const from = readme.indexOf(MARK);
  const to = readme.indexOf(END);
  if (from < 0 || to < from) throw new Error(`README.md has no ${MARK} and ${END}`);
  return `${readme.slice(0, from + MARK.length)}\n\n${part}\n\n${readme.slice(to)}`;
}
