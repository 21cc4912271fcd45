import * as c from "../../wasm/contract.ts";
import type { CoreInfo } from "./core_types.ts";

/**
 * Reads the figures from the core's info area.
 *
 * @param duplicatesBefore repetitions that the core does not count
 */
export function readInfo(view: DataView, at: number, duplicatesBefore: number): CoreInfo {
  const read = (field: number) => Number(view.getBigUint64(at + field, true));
  return {
    tableBytes: read(c.INFO_TABLE_BYTES),
    windowBytes: read(c.INFO_WINDOW_BYTES),
    keyBytes: read(c.INFO_KEY_BYTES),
    freeBytes: read(c.INFO_FREE_BYTES),
    copyBytes: read(c.INFO_COPY_BYTES),
    memoryBytes: read(c.INFO_MEMORY_BYTES),
    slots: read(c.INFO_SLOTS),
    openWindows: read(c.INFO_OPEN_WINDOWS),
    accumulators: read(c.INFO_ACCUMULATORS),
    growths: read(c.INFO_GROWTHS),
    windowsFired: read(c.INFO_WINDOWS_FIRED),
    summariesFired: read(c.INFO_SUMMARIES_FIRED),
    alerts: read(c.INFO_ALERTS),
    newestWindowEnd: read(c.INFO_NEWEST_WINDOW_END),
    prefixes: read(c.INFO_PREFIXES),
    remembered: read(c.INFO_REMEMBERED),
    rememberedBytes: read(c.INFO_REMEMBERED_BYTES),
    duplicates: duplicatesBefore + read(c.INFO_DUPLICATES),
    rememberedSince: view.getBigInt64(at + c.INFO_REMEMBERED_SINCE, true),
    rememberedClock: view.getBigInt64(at + c.INFO_REMEMBERED_CLOCK, true),
    impossibleTimestamps: read(c.INFO_IMPOSSIBLE_TIMESTAMPS),
  };
}
