// Lines of 64 bytes, probed linearly, of 16 lanes u32. A lane is one of 15 entries: 12 bits of tag, 20 bits of its cell; the
// last one is the cell of the newest entry that found the line full and went on to the next one, and one bit of 8 for the
// tag of each that did: others are not looked for beyond the line.
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
export function hitsIn(p: usize, low: u32): u32 {
  const tag = i32x4.splat(<i32> (low >> CELL_BITS));
  return roomMask(
    tagged(v128.load(p), tag),
    tagged(v128.load(p, 16), tag),
    tagged(v128.load(p, 32), tag),
    tagged(v128.load(p, 48), tag),
  );
}

@inline
function tagged(lanes: v128, tag: v128): v128 {
  return i32x4.eq(i32x4.shr_u(lanes, CELL_BITS), tag);
}

/** Both for one line: hitsIn, and freeIn 16 bits higher. */
@inline
export function lookAt(p: usize, low: u32): u32 {
  const a = v128.load(p), b = v128.load(p, 16), c = v128.load(p, 32), d = v128.load(p, 48);
  const tag = i32x4.splat(<i32> (low >> CELL_BITS));
  const newest = v128.load(blockLanes), count = v128.load(blockLanes, 16);
  const hits = roomMask(tagged(a, tag), tagged(b, tag), tagged(c, tag), tagged(d, tag));
  const free = roomMask(
    deadLanes(a, newest, count),
    deadLanes(b, newest, count),
    deadLanes(c, newest, count),
    deadLanes(d, newest, count),
  );
  return hits | (free << 16);
}

/** The entries of a line that may be replaced, one bit for each: their cells live neither now nor in this block. */
@inline
export function freeIn(p: usize): u32 {
  const newest = v128.load(blockLanes), count = v128.load(blockLanes, 16);
  return roomMask(
    deadLanes(v128.load(p), newest, count),
    deadLanes(v128.load(p, 16), newest, count),
    deadLanes(v128.load(p, 32), newest, count),
    deadLanes(v128.load(p, 48), newest, count),
  );
}

/** One bit for each lane of a line that is set, but for the last one. */
@inline
function roomMask(a: v128, b: v128, c: v128, d: v128): u32 {
  const low = i16x8.narrow_i32x4_s(a, b), high = i16x8.narrow_i32x4_s(c, d);
  return <u32> i8x16.bitmask(i8x16.narrow_i16x8_s(low, high)) & ROOM_MASK;
}

// Cells are compared in the high bits of a lane, where they wrap by themselves.

/** The cell of the newest entry that a block may add, and how many cells live up to it: four lanes each. */
const blockLanes = memory.data(32, 16);

/** Before up to so many entries are added: from here on what is forgotten by now may be replaced. */
export function beginLines(entries: u64): void {
  const newest = head - 1 + entries;
  const count = <u32> (newest >> cellShift) - <u32> (tail >> cellShift) + 1;
  v128.store(blockLanes, i32x4.splat(<i32> (cellOf(newest) << TAG_BITS)));
  v128.store(blockLanes, i32x4.splat(<i32> (count << TAG_BITS)), 16);
}

@inline
function deadLanes(lanes: v128, newest: v128, count: v128): v128 {
  return i32x4.ge_u(i32x4.sub(newest, i32x4.shl(lanes, TAG_BITS)), count);
}

/** Whether an entry that is remembered, and may have this hash, found the line full. */
@inline
export function wasPassed(p: usize, low: u32): bool {
  const passed = load<u32>(p, PASSED);
  return (passed & passedBit(low)) != 0 && lives(passed & CELL_MASK);
}

/** One of 8 bits above the cell, by the tag. */
@inline
function passedBit(entry: u32): u32 {
  return (1 << CELL_BITS) << (entry >> 29);
}

/** Notes that this entry found the line full. */
@inline
export function passOn(p: usize, entry: u32): void {
  const passed = load<u32>(p, PASSED), cell = entry & CELL_MASK, newest = cellOf(head - 1);
  let last = passed & CELL_MASK, bits: u32 = 0;
  if (lives(last)) bits = passed & ~CELL_MASK;
  else last = cell;
  // The newer one of both is forgotten later.
  if (((newest - last) & CELL_MASK) > ((newest - cell) & CELL_MASK)) last = cell;
  store<u32>(p, bits | passedBit(entry) | last, PASSED);
}

@inline
export function entryOf(n: u64, low: u32): u32 {
  return (low & ~CELL_MASK) | cellOf(n);
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

/** Entries of a line whose cells live. */
export function livingIn(p: usize): u32 {
  let count: u32 = 0;
  for (let at: usize = 0; at < PASSED; at += 4) count += <u32> lives(load<u32>(p + at) & CELL_MASK);
  return count;
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
  const newest = i32x4.splat(<i32> (cellOf(head - 1) << TAG_BITS)),
    count = i32x4.splat(<i32> (liveCells() << TAG_BITS)),
    dead = i32x4.splat(<i32> deadCell());
  for (let at = p; at < p + LINE_BYTES; at += 16) {
    const lanes = v128.load(at);
    v128.store(at, v128.bitselect(dead, lanes, deadLanes(lanes, newest, count)));
  }
}
