// Firing: the summaries of every window that ends at or before the watermark asked for, oldest
// window first, those that pass the alert filter written out. Cut into pieces, because a window may
// hold millions of accumulators.

import { Code, Format, OUTPUT_RECORD_BYTES_MAX } from "./contract";
import { allocate } from "./memory";
import { putAscii, putDecimal } from "./integers";
import { codeHash, putKey } from "./keys";
import { ABSENT, linkAddress, stockOf } from "./runs";
import { find, remove } from "./table";
import { cutActive } from "./copies";
import {
  ACCUMULATOR_BYTES,
  closeOldest,
  codeOf,
  failedOf,
  firstPage,
  linked,
  madeUnseen,
  markSegments,
  nextPage,
  oldestEnd,
  openWindow,
  pageEnd,
  succeededOf,
  volumeOf,
  windowEnd,
  windowStart,
} from "./windows";
import { fireTarget, firing, forgetWindow } from "./time";
import { largestTimestamp, setWatermark } from "./state";
import { closeRecord, hasRoom, nextByte, openRecord, setNextByte } from "./output";
import { putQuoted } from "./results";

/** Accumulators of one call. */
const PIECE: u32 = 8192;

let format: u32 = 0;
let totalMin: i64 = 0;
let rateMin: f64 = 0;
let stream: usize = 0;
let value: usize = 0;
let key: usize = 0;

// Where the walk through the oldest window stands.
let page: usize = 0;
let next: usize = 0;

export let windowsFired: u64 = 0;
export let summariesFired: u64 = 0;
export let alerts: u64 = 0;

export function initSummaries(
  recordFormat: u32,
  alertTotalMin: i64,
  alertRateMin: f64,
  summaryStream: usize,
): void {
  format = recordFormat;
  totalMin = alertTotalMin;
  rateMin = alertRateMin;
  stream = summaryStream;
  value = allocate(OUTPUT_RECORD_BYTES_MAX, 16);
  key = allocate(288, 16);
}

/** Fires what is due, a piece per call; `emit` false drops the summaries. Done when the watermark is reached. */
export function fireWindows(emit: bool): i32 {
  if (cutActive) return Code.State;
  let budget = PIECE;
  while (firing()) {
    if (oldestEnd > fireTarget) {
      setWatermark(fireTarget);
      break;
    }
    const window = openWindow(0);
    if (!page) {
      page = firstPage(window);
      next = page + ACCUMULATOR_BYTES;
    }
    while (page) {
      const end = pageEnd(window, page);
      while (next < end) {
        if (!budget--) return Code.More;
        if (emit && isAlert(next)) {
          if (!hasRoom(stream, 2 * OUTPUT_RECORD_BYTES_MAX, 1)) return Code.OutputFull;
          putSummary(window, next);
        }
        if (madeUnseen(next)) dropUnseen(next);
        summariesFired++;
        next += ACCUMULATOR_BYTES;
      }
      page = nextPage(page);
      next = page + ACCUMULATOR_BYTES;
    }
    markSegments(window);
    closeOldest();
    forgetWindow();
    windowsFired++;
  }
  return Code.Done;
}

/** The seed's SummaryAlertingCondition; both bounds are strict. */
@inline
function isAlert(a: usize): bool {
  const failed = <i64> failedOf(a), total = <i64> succeededOf(a) + failed;
  return total > totalMin && <f64> failed / <f64> total > rateMin;
}

/** An item that was never seen leaves the table with its last window. */
function dropUnseen(a: usize): void {
  const code = codeOf(a), slot = find(code, codeHash(code));
  if (slot && stockOf(slot) == ABSENT && linked(linkAddress(slot)) == a) remove(slot);
}

function putSummary(window: usize, a: usize): void {
  const n = putKey(key, codeOf(a));
  const length =
    <u32> ((format == Format.Json ? putJson(window, a, n) : putText(window, a, n)) - value);
  let o = openRecord(stream, nextByte(stream), largestTimestamp(), key, n, length, 1);
  memory.copy(o, value, length);
  o = closeRecord(o + length);
  setNextByte(stream, o);
  alerts++;
}

function putText(window: usize, a: usize, keyLength: u32): usize {
  memory.copy(value, key, keyLength);
  let o = value + keyLength;
  o = putField(o, "\t", windowStart(window));
  o = putField(o, "\t", windowEnd(window));
  o = putField(o, "\t", succeededOf(a));
  o = putField(o, "\t", failedOf(a));
  return putField(o, "\t", volumeOf(a));
}

function putJson(window: usize, a: usize, keyLength: u32): usize {
  let o = value;
  o += putAscii(o, '{"itemId":"');
  o = putQuoted(o, key, keyLength);
  o = putField(o, '","windowStart":', windowStart(window));
  o = putField(o, ',"windowEnd":', windowEnd(window));
  o = putField(o, ',"numSuccessfulTransactions":', succeededOf(a));
  o = putField(o, ',"numFailedTransactions":', failedOf(a));
  o = putField(o, ',"totalVolume":', volumeOf(a));
  return o + putAscii(o, "}");
}

function putField(o: usize, before: string, n: i64): usize {
  o += putAscii(o, before);
  return o + putDecimal(o, <u64> n);
}
