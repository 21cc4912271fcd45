// How rate and cost of stockflow grow with what it is given: one table for each of them, and where its curve bends.

import type { Measured } from "./machine.ts";
import { gibibytes, short, table } from "./tables.ts";

export const SCALES = ["partitions", "processes", "items", "batch"] as const;
export type Scale = (typeof SCALES)[number];

export interface ScaleMeasurement extends Measured {
  readonly by: Scale;
  /** Partitions, processes, items, or records in a batch. */
  readonly n: number;
  /** Of all processes together. */
  readonly workers: number;
  /** Records a second of all processes. */
  readonly rate: number;
  /** CPU-seconds per million records: of all processes, and of the broker (0 without one). */
  readonly cpu: number;
  readonly brokerCpu: number;
  /** Resident memory of all processes. */
  readonly bytes: number;
  /** By items: how many were there, and how long they took to come. */
  readonly items?: number;
  readonly loadSeconds?: number;
}

interface Description {
  readonly title: string;
  readonly column: string;
  readonly conditions: string;
  /** Why it bends where it does. */
  readonly why: string;
}

export const SCALE_DESCRIPTIONS: Readonly<Record<Scale, Description>> = {
  partitions: {
    title: "By partitions and workers",
    column: "partitions",
    conditions: "Work b from Kafka, 1 M items.",
    why:
      "A partition is folded by one worker at a time, so fewer partitions than workers leave workers idle. With more, " +
      "each fetch and each commit is shared by more, smaller batches, and each partition has a table of its own.",
  },
  processes: {
    title: "By processes",
    column: "processes",
    conditions: "Work a from Kafka, 8 partitions, 1 M items, shared by the processes of a group.",
    why:
      "More processes than cores cannot add to the rate; the broker is on the same cores. What a process costs beside its records " +
      "(heart-beats, a commit of its own, a garbage collector of its own) is paid once for each.",
  },
  items: {
    title: "By items",
    column: "items",
    conditions:
      "Work e: generated in the process, 4 partitions, so that no broker has a part in it.",
    why:
      "Three items share a cache line of 64 bytes. While all lines are in the processor's caches a record waits for " +
      "nothing; beyond them each record waits for a line from memory, and, beyond what the TLB covers, for its page. " +
      "64 records are looked up at once, so that these waits overlap.",
  },
  batch: {
    title: "By records in a batch",
    column: "records in a batch",
    conditions:
      "Work b from Kafka, 8 partitions, 1 M items. The input alone: results are batched by stockflow.",
    why:
      "A batch has a header of 61 bytes, a CRC, a call of the core and a lookup in the fetcher: paid once a batch, " +
      "whatever it holds. Producers that wait a few milliseconds (linger.ms) fill theirs.",
  },
};

/** Where CPU per record changes most from one measurement to the next, as a sentence; empty without two of them. */
export function bendOf(by: Scale, all: readonly ScaleMeasurement[]): string {
  let bend = { times: 1, text: "" };
  for (const [i, next] of all.entries()) {
    const before = all[i - 1];
    if (!before || before.workers !== next.workers) continue;
    const ratio = next.cpu / before.cpu;
    const times = Math.max(ratio, 1 / ratio);
    if (times <= bend.times) continue;
    const { column } = SCALE_DESCRIPTIONS[by];
    bend = {
      times,
      text:
        `The CPU per record changes most from ${short(before.n)} to ${short(next.n)} ${column}: ` +
        `to ${ratio.toFixed(2)} times.`,
    };
  }
  return bend.text;
}

export function scaleOf(by: Scale, all: readonly ScaleMeasurement[]): ScaleMeasurement[] {
  return all.filter((m) => m.by === by)
    .toSorted((a, b) => by === "partitions" ? a.workers - b.workers || a.n - b.n : a.n - b.n);
}

/** The tables of all that was measured. */
export function scaleParts(all: readonly ScaleMeasurement[]): string[] {
  return SCALES.flatMap((by) => {
    const mine = scaleOf(by, all);
    if (mine.length === 0) return [];
    const { title, conditions, why, column } = SCALE_DESCRIPTIONS[by];
    const head = [column, "workers", "records/s", "CPU-s per million", "the broker's", "RSS"];
    const byItems = by === "items" ? ["items seen", "loaded in"] : [];
    const rows = mine.map((m) => [
      short(m.n),
      String(m.workers),
      short(m.rate),
      m.cpu.toFixed(2),
      m.brokerCpu === 0 ? "" : m.brokerCpu.toFixed(2),
      gibibytes(m.bytes),
      ...(by === "items" ? [short(m.items ?? 0), `${(m.loadSeconds ?? 0).toFixed(1)} s`] : []),
    ]);
    return [
      `### ${title}`,
      `${conditions} ${bendOf(by, mine)} ${why}`,
      table([...head, ...byItems], rows),
    ];
  });
}

/** A specification of Vega-Lite: CPU per million records, a curve for each table. */
export function scaleChartOf(all: readonly ScaleMeasurement[]): unknown {
  const values = SCALES.flatMap((by) =>
    scaleOf(by, all).map(({ n, workers, cpu }) => ({
      by: SCALE_DESCRIPTIONS[by].title,
      n,
      workers: by === "partitions" ? `${workers} workers` : "2 workers",
      cpu,
    }))
  );
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    title: "CPU-seconds of stockflow per million records (less is better)",
    data: { values },
    facet: { field: "by", title: null, sort: [] },
    columns: 2,
    spec: {
      width: 280,
      height: 160,
      mark: { type: "line", point: true },
      encoding: {
        x: {
          field: "n",
          type: "quantitative",
          scale: { type: "log" },
          title: null,
          axis: { format: "~s" },
        },
        y: { field: "cpu", type: "quantitative", title: null },
        color: { field: "workers", type: "nominal", sort: [], title: null },
      },
    },
    resolve: { scale: { x: "independent", y: "independent" } },
  };
}
