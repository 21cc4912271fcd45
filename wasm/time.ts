// Time of a partition: record timestamps, the log's watermark, and the window a transaction joins.
// behaviour in short:
//   event time        window of the transaction's ts; the log's watermark is the largest ts so far
//                     minus the allowed out-of-orderness
//   processing time   window of the largest record timestamp so far, which is the log's watermark too
// A transaction is judged by the records before it, so that batch cuts change nothing.

import { DATE_MAX, TIMESTAMP_MAX } from "./contract";
import {
  countFarAhead,
  countLate,
  largestTimestamp,
  largestTs,
  NONE,
  setLargestTimestamp,
  setLargestTs,
  setWatermark,
  watermark,
} from "./state";
import { newestWindowEnd, oldestEnd, openCount, windowMs, windowWithNumber } from "./windows";

let eventTime: bool = false;
let outOfOrderMs: i64 = 0;
let maxAheadMs: i64 = 0;
/** Record timestamps beyond it count as none; negative ones do, seen as unsigned. */
let timestampMax: u64 = DATE_MAX;
export let impossibleTimestamps: u64 = 0;

/** What the fired watermark will be once everything due is fired. */
export let fireTarget: i64 = NONE;

// The window met last: [lastStart, lastEnd), and the open window if there is one.
let lastStart: i64 = 0;
let lastEnd: i64 = 0;
let lastWindow: usize = 0;

export function initTime(
  useEventTime: bool,
  outOfOrder: i64,
  maxAhead: i64,
  foldVersion: u32,
): void {
  timestampMax = foldVersion == 1 ? <u64> i64.MAX_VALUE : <u64> DATE_MAX;
  impossibleTimestamps = 0;
  eventTime = useEventTime;
  outOfOrderMs = outOfOrder;
  maxAheadMs = maxAhead;
  fireTarget = NONE;
  forgetWindow();
}

/** To be called when a window was closed: what is remembered of it is void. */
export function forgetWindow(): void {
  lastEnd = lastStart = 0;
  lastWindow = 0;
}

/** A record's timestamp as it counts; also moves the partition's largest one. */
@inline
export function recordTimestamp(raw: i64, replay: bool): i64 {
  const largest = largestTimestamp();
  // A record without a timestamp takes the largest before it.
  const t = <u64> raw > timestampMax ? withoutTimestamp(raw, replay) : min(raw, TIMESTAMP_MAX);
  if (t > largest) setLargestTimestamp(t);
  return t;
}

function withoutTimestamp(raw: i64, replay: bool): i64 {
  if (raw > 0 && !replay) impossibleTimestamps++;
  return max(largestTimestamp(), 0);
}

/** From here on it is folded as the newest version does; what came before keeps its effect. */
export function raiseFold(): void {
  timestampMax = DATE_MAX;
  if (largestTimestamp() > DATE_MAX) setLargestTimestamp(DATE_MAX);
}

/**
 * The open window that a valid transaction joins, or 0. In a replay the watermark that was committed
 * later is set already: what it makes late was not late when it was counted.
 */
@inline
export function windowFor(ts: i64, timestamp: i64, replay: bool): usize {
  let time = largestTimestamp();
  let logWatermark = NONE;
  if (eventTime) {
    if (ts - timestamp > maxAheadMs) {
      countFarAhead();
      return 0;
    }
    const largest = largestTs();
    if (largest != NONE) logWatermark = largest - outOfOrderMs;
    if (ts > largest) setLargestTs(ts);
    time = ts;
  }
  if (time < lastStart || time >= lastEnd) {
    lastStart = time - time % windowMs;
    lastEnd = lastStart + windowMs;
    lastWindow = 0;
  }
  if (lastEnd <= logWatermark || lastEnd <= watermark()) {
    if (!replay || lastEnd <= logWatermark) countLate();
    return 0;
  }
  if (!lastWindow) {
    lastWindow = windowWithNumber(lastStart / windowMs);
    // Open windows end after the log's watermark and begin at or before the largest ts: a bounded number.
    if (!lastWindow) unreachable();
  }
  return lastWindow;
}

/** The log's watermark as of now, NONE before the first transaction. */
@inline
function logWatermark(): i64 {
  if (!eventTime) return largestTimestamp();
  return largestTs() == NONE ? NONE : largestTs() - outOfOrderMs;
}

/** Whether a window ends at or before the log's watermark. */
@inline
export function windowsDue(): bool {
  return logWatermark() >= oldestEnd;
}

/** Moves the fired watermark up to the log's, or asks for it if windows must be fired first. */
@inline
export function followLog(): void {
  if (windowMs) advanceTo(logWatermark());
}

/** Asks for a fired watermark of at least `target`; it is reached at once when no window ends by then. */
export function advanceTo(target: i64): void {
  if (target > fireTarget) fireTarget = target;
  if (fireTarget <= watermark()) return;
  if (oldestEnd > fireTarget) setWatermark(fireTarget);
}

/** Whether windows wait to be fired. */
@inline
export function firing(): bool {
  return fireTarget > watermark();
}

/** Asks for the newest open window and all before it to be fired. */
export function advanceIdle(): void {
  if (openCount) advanceTo(newestWindowEnd());
}
