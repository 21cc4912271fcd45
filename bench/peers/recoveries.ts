// Checkpoints, and what a kill -9 costs: figures and their table.

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
  /** From the kill until all that was due until then is visible, and nothing waits longer than before the kill. */
  readonly caughtUpMs: number;
  readonly sent: number;
  readonly lost: number;
  readonly doubled: number;
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
