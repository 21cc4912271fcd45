// The info area: figures of memory, windows, items and remembered transactions, as of when the host asks.

import {
  INFO_ACCUMULATORS,
  INFO_ALERTS,
  INFO_BYTES,
  INFO_COPY_BYTES,
  INFO_DUPLICATES,
  INFO_FREE_BYTES,
  INFO_GROWTHS,
  INFO_IMPOSSIBLE_TIMESTAMPS,
  INFO_KEY_BYTES,
  INFO_MEMORY_BYTES,
  INFO_NEWEST_WINDOW_END,
  INFO_OPEN_WINDOWS,
  INFO_PREFIXES,
  INFO_REMEMBERED,
  INFO_REMEMBERED_BYTES,
  INFO_REMEMBERED_CLOCK,
  INFO_REMEMBERED_SINCE,
  INFO_SLOTS,
  INFO_SUMMARIES_FIRED,
  INFO_TABLE_BYTES,
  INFO_WINDOW_BYTES,
  INFO_WINDOWS_FIRED,
  PAGE_BYTES,
  SEGMENTS,
} from "./contract";
import { freePageCount, tablePageCount, windowPageCount } from "./memory";
import { keyBytes } from "./key_records";
import { prefixCount } from "./keys";
import { growthCount } from "./runs";
import { linesPassed as linesPassedIn, segments, slotCount } from "./table";
import { copyCount } from "./copies";
import { SEGMENT_DESCRIPTOR_BYTES } from "./layout";
import { accumulatorCount, newestWindowEnd, openCount } from "./windows";
import { impossibleTimestamps } from "./time";
import { alerts, summariesFired, windowsFired } from "./summaries";
import { rememberedPages } from "./remembered";
import { clock, clockOf, duplicates, head, PIECE_SHIFT, tail } from "./remembered_ring";

export const info = memory.data(INFO_BYTES, 16);

/** Lines that searches for all items pass behind their home lines; walks through the whole table. */
export function linesPassed(): u64 {
  let passed: u64 = 0;
  for (let s: usize = 0; s < SEGMENTS; s++) {
    passed += linesPassedIn(segments + s * SEGMENT_DESCRIPTOR_BYTES);
  }
  return passed;
}

/** Refreshes the info area. */
export function refreshInfo(): void {
  store<u64>(
    info,
    <u64> (tablePageCount - copyCount - rememberedPages()) * PAGE_BYTES,
    INFO_TABLE_BYTES,
  );
  store<u64>(info, <u64> windowPageCount * PAGE_BYTES, INFO_WINDOW_BYTES);
  store<u64>(info, keyBytes, INFO_KEY_BYTES);
  store<u64>(info, <u64> freePageCount * PAGE_BYTES, INFO_FREE_BYTES);
  store<u64>(info, <u64> copyCount * PAGE_BYTES, INFO_COPY_BYTES);
  store<u64>(info, <u64> (<u32> memory.size()) << 16, INFO_MEMORY_BYTES);
  store<u64>(info, slotCount, INFO_SLOTS);
  store<u64>(info, openCount, INFO_OPEN_WINDOWS);
  store<u64>(info, accumulatorCount, INFO_ACCUMULATORS);
  store<u64>(info, growthCount, INFO_GROWTHS);
  store<u64>(info, windowsFired, INFO_WINDOWS_FIRED);
  store<u64>(info, summariesFired, INFO_SUMMARIES_FIRED);
  store<u64>(info, alerts, INFO_ALERTS);
  store<i64>(info, newestWindowEnd(), INFO_NEWEST_WINDOW_END);
  store<u64>(info, prefixCount, INFO_PREFIXES);
  store<u64>(info, head - tail, INFO_REMEMBERED);
  store<u64>(info, <u64> rememberedPages() * PAGE_BYTES, INFO_REMEMBERED_BYTES);
  store<u64>(info, duplicates, INFO_DUPLICATES);
  store<i64>(info, head == tail ? clock : clockOf(tail >> PIECE_SHIFT), INFO_REMEMBERED_SINCE);
  store<i64>(info, clock, INFO_REMEMBERED_CLOCK);
  store<u64>(info, impossibleTimestamps, INFO_IMPOSSIBLE_TIMESTAMPS);
}
