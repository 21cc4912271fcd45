import { getLogger } from "@logtape/logtape";
import type { Clock } from "../types/mod.ts";
import type { OnProgress } from "../engine/progress.ts";
import type { PartitionFigures, WorkerFigures } from "../engine/figures.ts";

const log = getLogger(["stockflow", "job"]);

const TICK_MS = 500;
const TELL_TICKS = 10;

export interface ThroughputOptions {
  readonly figures: () => readonly WorkerFigures[];
  readonly clock: Clock;
  /** Records that are to be generated; 0 = without end. */
  readonly count: number;
  /** Learns how many of them are folded. */
  readonly onProgress: OnProgress;
}

/** Records that are not folded yet, over partitions whose log's end is known; null = of none it is. */
function lagOf(partitions: readonly PartitionFigures[]): number | null {
  const known = partitions.filter((p) => p.logEnd !== null);
  if (known.length === 0) return null;
  return known.reduce((n, p) => n + Math.max(0, p.logEnd! - p.position), 0);
}

/** Logs every few seconds how fast records are folded, until the signal is aborted. */
export async function logThroughput(
  { figures, clock, count, onProgress }: ThroughputOptions,
  stop: AbortSignal,
): Promise<void> {
  const report = (over: boolean) => {
    const done = figures().flatMap((w) => w.partitions).reduce((n, p) => n + p.position, 0);
    onProgress({ work: "generate", by: "", done, total: count, over: over || done >= count });
    return done;
  };
  let reporting = count > 0;
  let before = 0;
  let at = clock.monotonic();
  for (let tick = 1; !stop.aborted; tick++) {
    await clock.sleep(TICK_MS, stop);
    if (reporting) reporting = report(stop.aborted) < count;
    if (tick % TELL_TICKS !== 0 && !stop.aborted) continue;
    const workers = figures();
    const records = workers.reduce((n, w) => n + w.recordsIn, 0);
    const partitions = workers.flatMap((w) => w.partitions);
    const now = clock.monotonic();
    const behind = lagOf(partitions);
    // Of a log that others write to, a quiet time is not worth a line.
    if (count > 0 || records !== before || behind === null) {
      const behindText = behind === null ? "" : ", {lag} records behind";
      log.info(`{rate} records/s, {records} records, {items} items, {alerts} alerts${behindText}`, {
        rate: Math.round(1000 * (records - before) / Math.max(1, now - at)),
        records,
        items: partitions.reduce((n, p) => n + p.items, 0),
        alerts: partitions.reduce((n, p) => n + p.alerts, 0),
        ...(behind === null ? {} : { lag: behind }),
      });
    }
    before = records;
    at = now;
  }
}
