// Checkpoints, and what a kill -9 costs: figures and their table.

import type { Stopwatch } from "./schedule.ts";
import { short, table } from "./tables.ts";
import type { EngineName } from "./works.ts";

export interface RecoveryMeasurement {
  readonly engine: EngineName;
  readonly items: number;
  /** Transactions a second before, during and after the kill. */
  readonly rate: number;
  readonly at: string;
  /** Bytes of a checkpoint of all items, and from its beginning to its end; null where there is none. */
  readonly checkpointBytes: number | null;
  readonly checkpointMs: number | null;
  /** The longest latency before the kill. */
  readonly longestBeforeMs: number;
  /** From the kill to the first result of a transaction that was due after it. */
  readonly firstResultMs: number;
  /** The longest latency of all. */
  readonly longestMs: number;
  /** From the kill until nothing waits longer than twice the longest before the kill. */
  readonly caughtUpMs: number;
  readonly sent: number;
  readonly lost: number;
  readonly doubled: number;
}

export type Waits = Pick<
  RecoveryMeasurement,
  "longestBeforeMs" | "firstResultMs" | "longestMs" | "caughtUpMs"
>;

/** Caught up: nothing waits longer than so many times the longest before the kill. */
const CAUGHT_UP = 2;

/** What a kill at a moment made of the latencies. */
export function waitsOf(watch: Pick<Stopwatch, "forEach">, killedAt: number): Waits {
  let longestBeforeMs = 0;
  let firstResultMs = Infinity;
  let longestMs = 0;
  watch.forEach((dueAt, ms) => {
    longestMs = Math.max(longestMs, ms);
    if (dueAt + ms <= killedAt) longestBeforeMs = Math.max(longestBeforeMs, ms);
    if (dueAt > killedAt) firstResultMs = Math.min(firstResultMs, dueAt + ms - killedAt);
  });
  let caughtUpMs = 0;
  watch.forEach((dueAt, ms) => {
    if (ms > CAUGHT_UP * longestBeforeMs) caughtUpMs = Math.max(caughtUpMs, dueAt + ms - killedAt);
  });
  return { longestBeforeMs, firstResultMs, longestMs, caughtUpMs };
}

/** Tables of all that was measured. */
export function recoveryParts(
  all: readonly RecoveryMeasurement[],
  titles: Readonly<Record<EngineName, string>>,
): string[] {
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
    seconds(m.caughtUpMs),
    seconds(m.longestMs),
    `${m.lost}; ${m.doubled} of ${short(m.sent)}`,
  ]);
  return [table(head, rows)];
}
