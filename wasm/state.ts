// The scalar part of the state (see contract.ts), and the configuration that the fold depends on.

import {
  CONFIG_BYTES,
  STATE_ACCEPTED,
  STATE_BYTES,
  STATE_FAR_AHEAD,
  STATE_INVALID,
  STATE_ITEMS,
  STATE_LARGEST_TIMESTAMP,
  STATE_LARGEST_TS,
  STATE_LATE,
  STATE_POSITION,
  STATE_QUANTITY_SUM,
  STATE_REJECTED,
  STATE_WATERMARK,
} from "./contract";

/** A time that is not known yet. */
export const NONE: i64 = i64.MIN_VALUE;

export const config = memory.data(CONFIG_BYTES, 16);
export const state = memory.data(STATE_BYTES, 16);

export function initState(): void {
  memory.fill(state, 0, STATE_BYTES);
  setWatermark(NONE);
  setLargestTs(NONE);
  setLargestTimestamp(NONE);
}

@inline
export function position(): i64 {
  return load<i64>(state, STATE_POSITION);
}

@inline
export function setPosition(offset: i64): void {
  store<i64>(state, offset, STATE_POSITION);
}

/** The fired watermark. */
@inline
export function watermark(): i64 {
  return load<i64>(state, STATE_WATERMARK);
}

@inline
export function setWatermark(ms: i64): void {
  store<i64>(state, ms, STATE_WATERMARK);
}

@inline
export function largestTs(): i64 {
  return load<i64>(state, STATE_LARGEST_TS);
}

@inline
export function setLargestTs(ms: i64): void {
  store<i64>(state, ms, STATE_LARGEST_TS);
}

@inline
export function largestTimestamp(): i64 {
  return load<i64>(state, STATE_LARGEST_TIMESTAMP);
}

@inline
export function setLargestTimestamp(ms: i64): void {
  store<i64>(state, ms, STATE_LARGEST_TIMESTAMP);
}

@inline
function add(field: usize, n: i64): void {
  store<i64>(state + field, load<i64>(state + field) + n);
}

@inline
export function countOutcomes(accepted: u32, rejected: u32, quantitySum: i64): void {
  add(STATE_ACCEPTED, accepted);
  add(STATE_REJECTED, rejected);
  add(STATE_QUANTITY_SUM, quantitySum);
}

@inline
export function countInvalid(reason: u32): void {
  add(STATE_INVALID + (reason << 3), 1);
}

@inline
export function countItem(): void {
  add(STATE_ITEMS, 1);
}

@inline
export function countLate(): void {
  add(STATE_LATE, 1);
}

@inline
export function countFarAhead(): void {
  add(STATE_FAR_AHEAD, 1);
}
