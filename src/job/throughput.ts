import { getLogger } from "@logtape/logtape";
import type { Clock } from "../types/mod.ts";
import type { WorkerFigures } from "./worker/figures.ts";

const log = getLogger(["stockflow", "job"]);

const INTERVAL_MS = 5000;

/** Tells every few seconds how fast records are folded, until the signal is aborted. */
export async function tellThroughput(
  figures: () => readonly WorkerFigures[],
  clock: Clock,
  stop: AbortSignal,
): Promise<void> {
  let before = 0;
  let at = clock.monotonic();
  while (!stop.aborted) {
    await clock.sleep(INTERVAL_MS, stop);
    const workers = figures();
    const records = workers.reduce((n, w) => n + w.recordsIn, 0);
    const partitions = workers.flatMap((w) => w.partitions);
    const now = clock.monotonic();
    const seconds = (now - at) / 1000;
    if (seconds === 0) continue;
    log.info("{rate} records/s, {records} records, {items} items, {alerts} alerts", {
      rate: Math.round((records - before) / seconds),
      records,
      items: partitions.reduce((n, p) => n + p.items, 0),
      alerts: partitions.reduce((n, p) => n + p.alerts, 0),
    });
    before = records;
    at = now;
  }
}
