// Lines of 64 bytes, probed linearly, of 16 lanes u32. A lane is one of 15 entries: 12 bits of tag, 20 bits of its cell; the
// last one is the cell of the newest entry that found the line full and went on to the next one.
//
// A cell is a few numbers in a row, so that 20 bits are enough: at most 2^18 cells live at a time. An entry with the right
// tag is looked for in its cell, in the ring.
//
// What is forgotten need not be taken out: its cell no longer lives, and its lane is free for the next one. As cells wrap
// after 2^20, lines are swept in turn long before.

import { head, idAt, itemAt, tail } from "./remembered_ring";
import { OUTCOME_BITS } from "./remembered_keys";

export const LINE_BYTES: usize = 64;
const PASSED: usize = 60;
const ROOM_MASK: u32 = (1 << 15) - 1;
const CELL_BITS: u32 = 20;
const CELL_MASK: u32 = (1 << CELL_BITS) - 1;
const TAG_BITS: u32 = 32 - CELL_BITS;
const LIVE_CELLS_MAX: u64 = 1 << 18;

/** A cell has 2^cellShift numbers. */
let cellShift: u64 = 0;

/** @param most entries that may be remembered */
export function initCells(most: u64): void {
  cellShift = 0;
  while (LIVE_CELLS_MAX << cellShift < most) cellShift++;
}

// ---- cells ----

@inline
function cellOf(n: u64): u32 {
  return <u32> (n >> cellShift) & CELL_MASK;
}

@inline
function liveCells(): u32 {
  return <u32> ((head - 1) >> cellShift) - <u32> (tail >> cellShift) + 1;
}

/** Whether a cell has an entry that is remembered. */
@inline
function lives(cell: u32): bool {
  return ((cellOf(head - 1) - cell) & CELL_MASK) < liveCells();
}

/** The first number of a cell that lives. */
@inline
function firstOf(cell: u32): u64 {
  const back = <u64> ((cellOf(head - 1) - cell) & CELL_MASK);
  return (((head - 1) >> cellShift) - back) << cellShift;
}

// ---- lines ----

@inline
export function cellIn(p: usize, lane: u32): u32 {
  return load<u32>(p + (<usize> lane << 2)) & CELL_MASK;
}

/** The entries of a line that have the hash's tag, one bit for each. */
@inline
export function hitsIn(p: usize, hash: u64): u32 {
  const tag = i32x4.splat(<i32> ((<u32> hash >> CELL_BITS) << CELL_BITS)),
    end = i32x4.splat(1 << CELL_BITS);
  return (tagged(v128.load(p), tag, end) | (tagged(v128.load(p, 16), tag, end) << 4) |
    (tagged(v128.load(p, 32), tag, end) << 8) | (tagged(v128.load(p, 48), tag, end) << 12)) &
    ROOM_MASK;
}

@inline
function tagged(lanes: v128, tag: v128, end: v128): u32 {
  return <u32> i32x4.bitmask(i32x4.lt_u(v128.xor(lanes, tag), end));
}

/** The entries of a line whose cells no longer live, one bit for each. */
@inline
export function freeIn(p: usize): u32 {
  const newest = newestLanes(), count = countLanes();
  return (deadIn(v128.load(p), newest, count) | (deadIn(v128.load(p, 16), newest, count) << 4) |
    (deadIn(v128.load(p, 32), newest, count) << 8) |
    (deadIn(v128.load(p, 48), newest, count) << 12)) & ROOM_MASK;
}

@inline
function deadIn(lanes: v128, newest: v128, count: v128): u32 {
  return <u32> i32x4.bitmask(deadLanes(lanes, newest, count));
}

// Cells are compared in the high bits of a lane, where they wrap by themselves.

@inline
function newestLanes(): v128 {
  return i32x4.splat(<i32> (cellOf(head - 1) << TAG_BITS));
}

@inline
function countLanes(): v128 {
  return i32x4.splat(<i32> (liveCells() << TAG_BITS));
}

@inline
function deadLanes(lanes: v128, newest: v128, count: v128): v128 {
  return i32x4.ge_u(i32x4.sub(newest, i32x4.shl(lanes, TAG_BITS)), count);
}

/** Whether an entry that is remembered found the line full. */
@inline
export function wasPassed(p: usize): bool {
  return lives(load<u32>(p, PASSED));
}

/** Notes that this entry found the line full. */
@inline
export function passOn(p: usize, entry: u32): void {
  const passed = load<u32>(p, PASSED), cell = entry & CELL_MASK, newest = cellOf(head - 1);
  // The newer one of both is forgotten later.
  if (!lives(passed) || ((newest - passed) & CELL_MASK) > ((newest - cell) & CELL_MASK)) {
    store<u32>(p, cell, PASSED);
  }
}

@inline
export function entryOf(n: u64, hash: u64): u32 {
  return (<u32> hash & ~CELL_MASK) | cellOf(n);
}

@inline
export function put(p: usize, free: u32, entry: u32): void {
  store<u32>(p + (<usize> ctz(free) << 2), entry);
}

/** The remembered one of a cell with this identity, or 0. */
export function searchCell(cell: u32, id: i64, item: u64): u64 {
  if (!lives(cell)) return 0;
  const first = firstOf(cell), end = min(first + (<u64> 1 << cellShift), head);
  let n = max(first, tail);
  for (let at = idAt(n); n < end; n++, at += 8) {
    if (load<i64>(at) == id && !((load<u64>(itemAt(n)) ^ item) & ~OUTCOME_BITS)) return n;
  }
  return 0;
}

// ---- lines that wait ----

/** The cell that died last: it will not live for the longest time. */
@inline
function deadCell(): u32 {
  return (cellOf(tail) - 1) & CELL_MASK;
}

/** Lines without entries. */
export function clearLines(p: usize, bytes: usize): void {
  const dead = i32x4.splat(<i32> deadCell());
  for (let at = p; at < p + bytes; at += 16) v128.store(at, dead);
}

/** Cells of a line that no longer live become one that will not live for the longest time. */
export function sweepLine(p: usize): void {
  const newest = newestLanes(), count = countLanes(), dead = i32x4.splat(<i32> deadCell());
  for (let at = p; at < p + LINE_BYTES; at += 16) {
    const lanes = v128.load(at);
    v128.store(at, v128.bitselect(dead, lanes, deadLanes(lanes, newest, count)));
  }
}
