// Checkpoints, and what a kill -9 costs: figures and their table.

import { type Measured, measuredOn } from "./machine.ts";
import type { Stopwatch } from "./schedule.ts";
import { short, table } from "./tables.ts";
import type { EngineName } from "./works.ts";

export interface RecoveryMeasurement extends Measured {
  readonly engine: EngineName;
  readonly items: number;
  /** Transactions a second before, during and after the kill. */
  readonly rate: number;
  /** Bytes of a checkpoint of all items, and from its beginning to its end; null where there is none. */
  readonly checkpointBytes: number | null;
  readonly checkpointMs: number | null;
  /** The longest latency before the kill. */
  readonly longestBeforeMs: number;
  /** From the kill to the first result of a transaction that was due after it. */
  readonly firstResultMs: number;
  /** The longest latency of all. */
  readonly longestMs: number;
  /** From the kill until, from the first result on, less waits than comes in `caughtUpBelowMs`. */
  readonly caughtUpMs: number;
  /**
   * The same for all engines. Older measurements do not have it: for them it was until nothing waited longer than twice
   * the longest before the kill.
   */
  readonly caughtUpBelowMs?: number;
  readonly sent: number;
  readonly lost: number;
  readonly doubled: number;
}

export type Waits = Pick<
  RecoveryMeasurement,
  "longestBeforeMs" | "firstResultMs" | "longestMs" | "caughtUpMs" | "caughtUpBelowMs"
>;

const CAUGHT_UP_BELOW_MS = 1000;

/** What a kill at a moment made of the latencies. */
export function waitsOf(
  watch: Pick<Stopwatch, "forEach" | "perSecond">,
  killedAt: number,
): Waits {
  const due: number[] = [];
  const visible: number[] = [];
  let longestBeforeMs = 0;
  let firstResultMs = Infinity;
  let longestMs = 0;
  watch.forEach((dueAt, ms) => {
    due.push(dueAt);
    visible.push(dueAt + ms);
    longestMs = Math.max(longestMs, ms);
    if (dueAt + ms <= killedAt) longestBeforeMs = Math.max(longestBeforeMs, ms);
    if (dueAt > killedAt) firstResultMs = Math.min(firstResultMs, dueAt + ms - killedAt);
  });
  const below = watch.perSecond * CAUGHT_UP_BELOW_MS / 1000;
  const caughtUpMs = belowFrom(killedAt + firstResultMs, { due, visible, below }) - killedAt;
  const waits = { longestBeforeMs, firstResultMs, longestMs, caughtUpMs };
  return { ...waits, caughtUpBelowMs: CAUGHT_UP_BELOW_MS };
}

/** The first moment from one on when fewer than so many are due and not visible. */
function belowFrom(
  from: number,
  { due, visible, below }: {
    readonly due: readonly number[];
    readonly visible: readonly number[];
    readonly below: number;
  },
): number {
  const seen = Float64Array.from(visible).sort();
  let dues = 0;
  for (const [i, at] of seen.entries()) {
    while (dues < due.length && due[dues]! <= at) dues++;
    if (at >= from && dues - (i + 1) < below) return at;
  }
  return Infinity;
}

/** Tables of all that was measured. */
export function recoveryParts(
  all: readonly RecoveryMeasurement[],
  titles: Readonly<Record<EngineName, string>>,
): string[] {
  /** What is measured in another way than the others. */
  const isOld = (m: RecoveryMeasurement) => m.caughtUpBelowMs === undefined;
  const seconds = (ms: number | null) => ms === null ? "" : `${(ms / 1000).toFixed(2)} s`;
  const head = [
    "items",
    "engine",
    "checkpoint",
    "taken in",
    "longest wait before",
    "kill to first result",
    "caught up after",
    "longest wait of all",
    "lost; doubled",
  ];
  const rows = all.toSorted((a, b) => a.items - b.items).map((m) => [
    short(m.items),
    titles[m.engine],
    m.checkpointBytes === null ? "" : `${(m.checkpointBytes / 1e6).toFixed(1)} MB`,
    seconds(m.checkpointMs),
    seconds(m.longestBeforeMs),
    seconds(m.firstResultMs),
    `${seconds(m.caughtUpMs)}${isOld(m) ? " (old)" : ""}`,
    seconds(m.longestMs),
    `${m.lost}; ${m.doubled} of ${short(m.sent)}`,
  ]);
  const known = all.flatMap(({ caughtUpBelowMs }) => caughtUpBelowMs ?? []);
  const thresholds = [...new Set(known)].map((ms) => `${ms / 1000} s`).join(" or ");
  return [
    [
      "Written by `deno task bench:peers:recovery`. Work b under load, a checkpoint every 10 s; the process is killed " +
      "and started again at once, with what it left: stockflow from its checkpoint and the log, Apache Flink from " +
      "its newest checkpoint, Kafka Streams (a hash map in memory, static membership) from its changelog. A latency " +
      "counts from when a transaction was due; what is visible under read_committed counts. A checkpoint of " +
      "stockflow holds what changed since the one before and refers to the rest; its bytes are those of all.",
      ...(known.length === 0 ? [] : [
        `Caught up, in all engines: at the first result behind the kill or later, less is due and not visible than ` +
        `comes in ${thresholds} of the load.`,
      ]),
      ...(known.length === all.length ? [] : [
        "What is marked (old) is until nothing waited longer than twice the longest wait before the kill, which is another " +
        "threshold for each engine.",
      ]),
      measuredOn(all),
    ].join(" "),
    table(head, rows),
  ];
}
