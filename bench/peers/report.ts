// The figures as tables and charts. Nothing here reads or writes a file.

import type { ComparedAnswers } from "./answers.ts";
import { conditionsOf, tableOf } from "./comparison.ts";
import { type Measurement, type Row, rowsOf } from "./figures.ts";
import { KEY_SETS, type KeySet } from "./input.ts";
import { type LatencyMeasurement, latencyParts } from "./latencies.ts";
import { largerMachines } from "./larger_machines.ts";
import { measuredOn } from "./machine.ts";
import { type RecoveryMeasurement, recoveryParts } from "./recoveries.ts";
import { type ScaleMeasurement, scaleParts } from "./scale.ts";
import { type StageMeasurement, stageParts } from "./stage_costs.ts";
import { STATE_TITLE, type StateMeasurement } from "./state_figures.ts";
import { gibibytes, ratio, table } from "./tables.ts";
import { DESCRIPTIONS, ENGINE_TITLES } from "./works.ts";

const KEY_TITLES: Readonly<Record<KeySet, string>> = {
  item: "`item_<n>`, all about as frequent",
  uuid: "UUIDs, all about as frequent",
  pareto: "`item_<n>`, drawn from the seed's Pareto distribution (shape 15)",
  sku: "`SKU-EU-<10 digits>-XL`, all about as frequent",
};

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
      ? "CPU-seconds per million records, of the engine alone (less is better)"
      : "Peak memory in GiB (a JVM takes what it is allowed to)",
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
  const { all, charts, answers = [], latencies = [], latencyCharts = [], states = [] } = options;
  const { recoveries = [], scales = [], scaleCharts = [], stages = [] } = options;
  const parts = [
    "# stockflow beside Apache Flink and Kafka Streams",
    "Written by `deno task bench:peers` and its like; do not edit. The same topics, the same work, and the same " +
    "answers, which are compared. [peers/README.md](peers/README.md) has every setting of the peers with its " +
    "reason, and says what stockflow saves by not doing it.",
    "Each part has a command of its own; they were run one after the other, each that needs a broker with one of " +
    "its own. A part says when it was measured, and on which machine. The broker (Apache Kafka 4.1.0) and the client " +
    "that loads and measures are on the same cores. Machines are noisy: compare ratios, within one table.",
    "CPU is that of all threads of a process, as the kernel counts it, in the steady state: from 30 % of the " +
    "records on (d and e: behind a warm-up). In parentheses: the smallest and the largest of the rounds. The peak RSS " +
    "of a JVM is what it was allowed to take, and took before it collected anything; what state needs is under " +
    '"Memory per item".',
    table(
      ["work", "what"],
      Object.entries(DESCRIPTIONS).map(([work, { title }]) => [work, title]),
    ),
  ];
  if (answers.length > 0) parts.push("## The same answers", ...answerParts(answers));
  for (const keys of KEY_SETS) {
    const rows = rowsOf(all, keys);
    if (rows.length === 0) continue;
    const mine = all.filter((m) => m.keys === keys);
    parts.push(`## Items: ${KEY_TITLES[keys]}`, ...conditionsOf(mine));
    parts.push(...(charts[keys] ?? []).map((file) => `![${KEY_TITLES[keys]}](${file})`));
    parts.push(tableOf(rows));
  }
  if (latencies.length > 0) {
    const pictures = latencyCharts.map((file) => `![Latency](${file})`);
    parts.push("## Latency", ...latencyParts(latencies, pictures));
  }
  if (states.length > 0) {
    parts.push(
      "## Memory per item",
      `Written by \`deno task bench:peers:state\`. ${STATE_TITLE} stockflow: the memory of its items. Apache ` +
        "Flink (heap state) and Kafka Streams (a hash map in memory): what is left in the heap behind a collection, less " +
        `what is there with 1,000 items. ${measuredOn(states)}`,
      stateTable(states),
    );
  }
  if (recoveries.length > 0) {
    parts.push(
      "## Checkpoints, and recovery after kill -9",
      ...recoveryParts(recoveries, ENGINE_TITLES),
    );
  }
  if (scales.length > 0) {
    parts.push(
      "## Scale",
      "Written by `deno task bench:peers:scale`; stockflow alone, two workers where nothing else is said. " +
        measuredOn(scales),
      ...scaleCharts.map((file) => `![CPU by scale](${file})`),
      ...scaleParts(scales),
    );
  }
  if (stages.length > 0) {
    parts.push(
      "## Where the time goes",
      `Written by \`deno task bench:peers:stages\`. ${measuredOn(stages)}`,
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
    "depend on the order between items; the number of records is before it. A run in which they differ fails. " +
    measuredOn(all),
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
    return !o || o === m ? "" : `1/${ratio(m.bytes / o.bytes)}`;
  };
  return table(
    ["items", "ids", "engine", "bytes per item", "stockflow takes", "peak RSS"],
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

const MARK = "<!-- peers: written by deno task bench:peers -->";
const END = "<!-- end of peers -->";

/** The README with the part between its two marks written anew. */
export function withPeers(readme: string, part: string): string {
  const from = readme.indexOf(MARK);
  const to = readme.indexOf(END);
  if (from < 0 || to < from) throw new Error(`README.md has no ${MARK} and ${END}`);
  return `${readme.slice(0, from + MARK.length)}\n\n${part}\n\n${readme.slice(to)}`;
}
