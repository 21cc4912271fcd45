// The tables of the comparison itself: what a million records cost in each engine, and what stockflow takes of it.

import type { Measurement, Row, Spread } from "./figures.ts";
import { measuredOn } from "./machine.ts";
import { fixed, gibibytes, ratio, short, table } from "./tables.ts";
import { DESCRIPTIONS, ENGINE_TITLES, type EngineName, intervalIn, type Work } from "./works.ts";

type Cost = "cpu" | "withBroker";

/** The median, and from where to where the rounds reach. */
function show({ median, min, max }: Spread, text: (n: number) => string): string {
  return min === max ? text(median) : `${text(median)} (${text(min)} to ${text(max)})`;
}

/** How many times as much a peer takes as stockflow; null for stockflow itself, and without it. */
function timesOf(row: Row, rows: readonly Row[], cost: Cost): number | null {
  const ours = rows.find((r) => r.work === row.work && r.engine === "stockflow");
  if (!ours || row.engine === "stockflow") return null;
  return row.of[cost].median / ours.of[cost].median;
}

/** What stockflow takes of what a peer takes. */
function shareOf(row: Row, rows: readonly Row[], cost: Cost): string {
  const times = timesOf(row, rows, cost);
  if (times === null) return "";
  return times < 1 ? `${(1 / times).toFixed(1)} times as much` : `1/${ratio(times)}`;
}

/** How long the steady part took, and whether a checkpoint is in it. */
function steadyPart({ engine, work, steady }: Row): string {
  const { seconds, checkpoints } = steady;
  const took = seconds === null ? "" : show(seconds, (n) => `${ratio(n)} s`);
  if (engine !== "stockflow" || DESCRIPTIONS[work].generated) return took;
  return [took, checkpoints === null ? "checkpoints not counted" : countOf(checkpoints)]
    .filter((text) => text !== "").join(", ");
}

function countOf({ min, max }: Spread): string {
  if (max === 0) return "no checkpoint";
  return min < max
    ? `${min} to ${max} checkpoints`
    : max === 1
    ? "1 checkpoint"
    : `${max} checkpoints`;
}

export function tableOf(rows: readonly Row[]): string {
  const head = [
    "work",
    "engine",
    "rounds",
    "CPU-s per million records",
    "stockflow takes",
    "the broker's",
    "with the broker's, stockflow takes",
    "with start and warm-up",
    "records/s",
    "peak RSS",
    "steady part",
  ];
  return table(
    head,
    rows.map((row) => {
      const { generated } = DESCRIPTIONS[row.work];
      return [
        row.work,
        ENGINE_TITLES[row.engine],
        String(row.rounds),
        show(row.of.cpu, fixed(2)),
        shareOf(row, rows, "cpu"),
        generated ? "" : show(row.of.brokerCpu, fixed(2)),
        generated ? "" : shareOf(row, rows, "withBroker"),
        show(row.of.wholeCpu, fixed(2)),
        show(row.of.rate, short),
        show(row.of.peakBytes, gibibytes),
        steadyPart(row),
      ];
    }),
  );
}

/** From the smallest to the largest share that stockflow takes; empty without a peer. */
function sharesOf(rows: readonly Row[], cost: Cost): string {
  const times = rows.flatMap((row) => timesOf(row, rows, cost) ?? []);
  if (times.length === 0) return "";
  const [most, least] = [Math.max(...times), Math.min(...times)].map((n) => `1/${ratio(n)}`);
  return most === least ? most! : `${most} to ${least}`;
}

/** What the table says, in a sentence; empty without a peer. */
export function headline(rows: readonly Row[]): string {
  const fromKafka = rows.filter(({ work }) => !DESCRIPTIONS[work].generated);
  const lessThan = (some: readonly Row[], cost: Cost) => {
    const times = some.flatMap((row) => timesOf(row, rows, cost) ?? []);
    return { all: times.length, less: times.filter((n) => n > 1).length };
  };
  const { all, less } = lessThan(rows, "cpu");
  if (all === 0) return "";
  if (less < all) {
    return `stockflow takes less CPU than a peer in ${less} of ${all} comparisons of an engine at a work.`;
  }
  const shares = sharesOf(rows, "cpu");
  const broker = lessThan(fromKafka, "withBroker");
  const withBroker = broker.less === broker.all ? sharesOf(fromKafka, "withBroker") : "";
  return `stockflow takes the least CPU in all of them: ${shares} of its peers'` +
    `${withBroker === "" ? "" : `, ${withBroker} with the broker's in it`}.`;
}

/** One line for each work: what a million records cost in each engine. */
export function shortTable(rows: readonly Row[]): string {
  const works = [...new Set(rows.map(({ work }) => work))];
  const cell = (work: Work, engine: EngineName) => {
    const row = rows.find((r) => r.work === work && r.engine === engine);
    if (!row) return "";
    const share = shareOf(row, rows, "cpu");
    return row.of.cpu.median.toFixed(2) + (share === "" ? "" : ` (stockflow takes ${share})`);
  };
  return table(
    [
      "CPU-seconds per million records, of the engine alone: the broker's and the start are not in it; less is better",
      ...Object.values(ENGINE_TITLES),
    ],
    works.map((work) => [
      `${work}: ${DESCRIPTIONS[work].title}`,
      ...(Object.keys(ENGINE_TITLES) as EngineName[]).map((engine) => cell(work, engine)),
    ]),
  );
}

/** Of what input, when and where; what of it the filter lets through; and how often checkpoints were taken. */
export function conditionsOf(mine: readonly Measurement[]): string[] {
  const distinct = (values: readonly number[]) =>
    [...new Set(values)].filter((n) => n > 0).map((n) => `${n / 1e6} M`).join(" or ");
  const records = distinct(mine.map(({ records }) => records));
  const items = `${distinct(mine.map(({ items }) => items))} items`;
  const input = records === "" ? `${items}.` : `${records} records of ${items}.`;
  return [
    `${input} In each round the engines take turns. ${measuredOn(mine)}`,
    ...summariesOf(mine),
    ...intervalsOf(mine),
  ];
}

/** How many summaries of the input are written: what the filter does not let through costs no record. */
function summariesOf(mine: readonly Measurement[]): string[] {
  const found = mine.flatMap(({ work, parameters = {}, records, answers }) => {
    const passed = answers?.["summaries"]?.records;
    if (passed === undefined) return [];
    const filter = Object.entries(parameters).map(([key, value]) => `\`${key}=${value}\``);
    const by = filter.length > 0 ? `${filter.join(", ")} in all engines` : "the seed's parameters";
    return `Work ${work}: ${
      passed.toLocaleString("en")
    } summaries of its windows pass the filter ` +
      `(${by}) in ${short(records)} records.`;
  });
  return [...new Set(found)];
}

function intervalsOf(mine: readonly Measurement[]): string[] {
  const ours = mine.filter((m) => m.engine === "stockflow" && !DESCRIPTIONS[m.work].generated);
  const often = ours.flatMap(({ work, settings }) => {
    const ms = intervalIn(settings);
    return ms === null ? [] : `every ${ms / 1000} s at ${work}`;
  });
  const counted = ours.filter(({ figures }) => figures.checkpoints !== undefined);
  return [
    ...(often.length === 0 ? [] : [
      "stockflow's checkpoints are taken more often than the peers' 10 s, so that its short runs hold one: " +
      `${
        [...new Set(often)].join(", ")
      }. How many each partition completed in the steady part is beside its length.`,
    ]),
    ...(counted.length === ours.length ? [] : [
      "Where checkpoints were not counted, stockflow took one every 10 s as its peers, and its steady part was " +
      "shorter: the cost of a checkpoint is not in it.",
    ]),
  ];
}
