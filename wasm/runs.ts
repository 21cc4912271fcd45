// Runs: the lines of a segment, or of a shard of one, in which its items stand.
//
//   line, 64 B = one cache line, 3 slots, filled from the first:
//     0  key code  u64 x 3   0 = free
//    24  stock     i64 x 3   ABSENT = not seen yet, lives as long as it has an open window
//    48  link      u32 x 3   newest accumulator / 32
//    60  unused, 0 (see touchAhead in search.ts)
//   A run's lines lie in parts: pages of 256, or, below 256 lines, one slab (see layout.ts). What stands behind a part
//   is not the run's: it may be a slab that was given back, which keeps the codes of before, perhaps of this very run.
//
// A run grows at 87 %: by doubling up to a page, from there by a quarter.

import { PAGE_BYTES } from "./contract";
import { cutActive, markNew, park } from "./copies";
import { codePlace } from "./keys";
import {
  LINE_BYTES,
  LINE_CODES_BYTES,
  LINES_PER_PAGE,
  partBytes,
  SEGMENT_DESCRIPTOR_BYTES,
  SEGMENT_GROW_AT,
  SEGMENT_LINES,
  SEGMENT_PAGE_TABLE,
  SEGMENT_PARTS,
  segmentPart,
} from "./layout";
import {
  A_BLOCK,
  A_PAGE,
  blockShift,
  CHUNK_BYTES,
  ensure,
  release,
  takeBlock,
  takeSlab,
  takeTablePage,
} from "./memory";

export const ABSENT: i64 = i64.MIN_VALUE;

const LINE_SHIFT: usize = 6;
const SLOTS: u32 = 3;
export const LINES_MIN: u32 = 8;
const LINES_PER_UNIT: u32 = 8; // of a slab
const STOCK: usize = 24;
const LINK: usize = 48;

export let growthCount: u32 = 0;

export function countGrowth(): void {
  growthCount++;
}

// ---- lines and slots ----

@inline
export function homeLine(d: usize, hash: u64): u32 {
  return <u32> (((hash & 0xffffffff) * <u64> load<u32>(d, SEGMENT_LINES)) >> 32);
}

@inline
export function lineAddress(d: usize, line: u32): usize {
  const page = <usize> load<u32>(
    <usize> load<u32>(d, SEGMENT_PAGE_TABLE) + (<usize> (line >> 8) << 2),
  );
  return page + (<usize> (line & 255) << LINE_SHIFT);
}

/** Whether a line is the last one of its part: the memory behind it is not the next line. */
@inline
export function endsPart(d: usize, line: u32): bool {
  return ((line + 1) & (min(load<u32>(d, SEGMENT_LINES), LINES_PER_PAGE) - 1)) == 0; // powers of two
}

@inline
export function slotCode(slot: usize): u64 {
  return load<u64>(slot);
}

@inline
export function stockOf(slot: usize): i64 {
  return load<i64>(slot, STOCK);
}

@inline
export function setStock(slot: usize, stock: i64): void {
  store<i64>(slot, stock, STOCK);
}

/** Address of a slot's link. */
@inline
export function linkAddress(slot: usize): usize {
  return (slot & ~(LINE_BYTES - 1)) + LINK + ((slot & (LINE_BYTES - 1)) >> 1);
}

@inline
export function capacity(lines: u32): u32 {
  return lines * SLOTS;
}

@inline
export function freeSlot(d: usize, hash: u64): usize {
  let line = homeLine(d, hash);
  while (true) {
    const p = lineAddress(d, line);
    if (!load<u64>(p, 16)) return !load<u64>(p) ? p : !load<u64>(p, 8) ? p + 8 : p + 16;
    if (++line == load<u32>(d, SEGMENT_LINES)) line = 0;
  }
}

// ---- size ----

export function nextLines(lines: u32): u32 {
  if (lines < LINES_PER_PAGE) return lines << 1;
  const pages = lines / LINES_PER_PAGE;
  return (pages + max(1, pages >> 2)) * LINES_PER_PAGE;
}

@inline
function growAt(lines: u32): u32 {
  return <u32> (<u64> capacity(lines) * 87 / 100);
}

/** Bytes of memory that `lines` lines and their page table may need. */
@inline
export function bytesFor(lines: u32): usize {
  return <usize> lines * LINE_BYTES + <usize> lines + 2 * CHUNK_BYTES;
}

/** Gives a run `lines` empty lines. */
export function layOut(d: usize, lines: u32): void {
  const parts = (lines + LINES_PER_PAGE - 1) / LINES_PER_PAGE;
  const table = takeBlock(blockShift(parts << 2));
  if (lines < LINES_PER_PAGE) store<u32>(table, <u32> takeSlab(lines / LINES_PER_UNIT));
  else {
    for (let i: u32 = 0; i < parts; i++) {
      const page = takeTablePage();
      if (cutActive) markNew(page);
      memory.fill(page, 0, PAGE_BYTES);
      store<u32>(table + (<usize> i << 2), <u32> page);
    }
  }
  store<u32>(d, lines, SEGMENT_LINES);
  store<u32>(d, growAt(lines), SEGMENT_GROW_AT);
  store<u32>(d, <u32> table, SEGMENT_PAGE_TABLE);
  store<u32>(d, parts, SEGMENT_PARTS);
}

/** Moves a run's items to `lines` lines. What it used before is kept while a checkpoint may read it. */
export function resize(d: usize, lines: u32): void {
  memory.copy(before, d, SEGMENT_DESCRIPTOR_BYTES);
  growthCount++;
  layOut(d, lines);
  const parts = load<u32>(before, SEGMENT_PARTS), bytes = partBytes(before);
  for (let i: u32 = 0; i < parts; i++) {
    const part = segmentPart(before, i);
    for (let line = part; line < part + bytes; line += LINE_BYTES) moveLine(d, line);
  }
  giveBackLines(before);
}

/** The descriptor of the run that is being resized, as it was. */
const before = memory.data(32, 8);

@inline
function moveLine(d: usize, line: usize): void {
  for (let slot = line; slot < line + LINE_CODES_BYTES; slot += 8) {
    const code = load<u64>(slot);
    if (!code) return;
    moveSlot(freeSlot(d, codePlace(code)), slot);
  }
}

@inline
export function moveSlot(to: usize, from: usize): void {
  store<u64>(to, load<u64>(from));
  setStock(to, stockOf(from));
  store<u32>(linkAddress(to), load<u32>(linkAddress(from)));
}

export function giveBackLines(d: usize): void {
  const lines = load<u32>(d, SEGMENT_LINES), parts = load<u32>(d, SEGMENT_PARTS);
  const kind = lines < LINES_PER_PAGE ? lines / LINES_PER_UNIT : A_PAGE;
  for (let i: u32 = 0; i < parts; i++) giveBack(segmentPart(d, i), kind);
  giveBack(<usize> load<u32>(d, SEGMENT_PAGE_TABLE), A_BLOCK + blockShift(parts << 2));
}

@inline
function giveBack(p: usize, what: u32): void {
  if (cutActive) park(p, what);
  else release(p, what);
}

/** Lines that hold so many items and an eighth more. */
export function linesFor(items: u32): u32 {
  let lines: u32 = LINES_MIN;
  while (growAt(lines) <= items + (items >> 3)) lines = nextLines(lines);
  return lines;
}

/** Gives an empty segment room for fewer than SHARD_ITEMS items before a restore; false without memory. */
export function sizeFor(d: usize, items: u32): bool {
  let lines: u32 = LINES_MIN;
  while (growAt(lines) <= items) lines = nextLines(lines);
  if (lines == load<u32>(d, SEGMENT_LINES)) return true;
  if (!ensure(bytesFor(lines))) return false;
  resize(d, lines);
  return true;
}
