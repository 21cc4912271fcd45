// The item table: stock per item.
//
//   256 segments by the highest 8 bits of the hash; each a run of lines, linearly probed:
//   line, 64 B = one cache line, 3 slots, filled from the first:
//     0  key code  u64 x 3   0 = free
//    24  stock     i64 x 3   ABSENT = not seen yet, lives as long as it has an open window
//    48  link      u32 x 3   newest accumulator / 32
//    60  unused
//   A segment's lines lie in pages of 256; a segment below 256 lines is one slab (see layout.ts).
//
// A segment grows at 87 %: by doubling up to a page, from there by a quarter, one segment after a
// block of records, so that no call takes long and little memory lies idle.

import { PAGE_BYTES, SEGMENTS } from "./contract";
import {
  A_BLOCK,
  A_PAGE,
  allocate,
  allocatePages,
  blockShift,
  CHUNK_BYTES,
  ensure,
  release,
  takeBlock,
  takeSlab,
  takeTablePage,
} from "./memory";
import {
  codeHash,
  internKey,
  isStoredKey,
  keyCode,
  keyHash,
  mayBeStored,
  releaseKey,
} from "./keys";
import { cutActive, markNew, park, preserve } from "./copies";
import {
  LINE_BYTES,
  LINE_CODES_BYTES,
  LINES_PER_PAGE,
  partBytes,
  SEGMENT_CHANGED,
  SEGMENT_DESCRIPTOR_BYTES,
  SEGMENT_GROW_AT,
  SEGMENT_LINES,
  SEGMENT_PAGE_TABLE,
  SEGMENT_PARTS,
  SEGMENT_WAITS,
  segmentPart,
} from "./layout";

export const ABSENT: i64 = i64.MIN_VALUE;

const LINE_SHIFT: usize = 6;
const SLOTS: u32 = 3;
const LINES_MIN: u32 = 8;
const LINES_PER_UNIT: u32 = 8; // of a slab
/** Records of a block: at most so many items are inserted between two calls of growFull. */
export const BLOCK_RECORDS: u32 = 64;
const STOCK: usize = 24;
const LINK: usize = 48;

export let segments: usize = 0;
/** Slots in use. */
export let slotCount: u32 = 0;
export let growthCount: u32 = 0;

/** Segments that reached their limit and wait to grow. */
let waiting: usize = 0;
let waitingCount: u32 = 0;

export function initTable(): void {
  segments = allocatePages(SEGMENTS * SEGMENT_DESCRIPTOR_BYTES);
  waiting = allocate(SEGMENTS * 4, 64);
  for (let s: usize = 0; s < SEGMENTS; s++) {
    layOut(segments + s * SEGMENT_DESCRIPTOR_BYTES, LINES_MIN);
  }
}

// ---- segments, lines, slots ----

@inline
export function segmentOf(hash: u64): usize {
  return segments + (<usize> (hash >> 56)) * SEGMENT_DESCRIPTOR_BYTES;
}

@inline
function homeLine(d: usize, hash: u64): u32 {
  return <u32> (((hash & 0xffffffff) * <u64> load<u32>(d, SEGMENT_LINES)) >> 32);
}

@inline
export function lineAddress(d: usize, line: u32): usize {
  const page = <usize> load<u32>(
    <usize> load<u32>(d, SEGMENT_PAGE_TABLE) + (<usize> (line >> 8) << 2),
  );
  return page + (<usize> (line & 255) << LINE_SHIFT);
}

/** Where the search for a hash begins: touched ahead, it is in the cache when it is needed. */
@inline
export function homeAddress(hash: u64): usize {
  const d = segmentOf(hash);
  return lineAddress(d, homeLine(d, hash));
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
function capacity(lines: u32): u32 {
  return lines * SLOTS;
}

@inline
export function markChanged(d: usize): void {
  store<u8>(d, 1, SEGMENT_CHANGED);
}

// ---- search ----

/** The slot of a code, or 0. */
@inline
export function find(code: u64, hash: u64): usize {
  const d = segmentOf(hash);
  let line = homeLine(d, hash);
  while (true) {
    const p = lineAddress(d, line);
    if (load<u64>(p) == code) return p;
    if (load<u64>(p, 8) == code) return p + 8;
    const third = load<u64>(p, 16);
    if (third == code) return p + 16;
    if (!third) return 0;
    if (++line == load<u32>(d, SEGMENT_LINES)) line = 0;
  }
}

function findStored(p: usize, n: u32, hash: u64): usize {
  const d = segmentOf(hash);
  let line = homeLine(d, hash);
  while (true) {
    const q = lineAddress(d, line);
    for (let slot = q; slot < q + LINE_CODES_BYTES; slot += 8) {
      const code = load<u64>(slot);
      if (!code) return 0;
      if (isStoredKey(code, p, n, hash)) return slot;
    }
    if (++line == load<u32>(d, SEGMENT_LINES)) line = 0;
  }
}

/** The slot of an item whose code was not known when its record was parsed, or 0. */
export function findId(p: usize, n: u32): usize {
  const code = keyCode(p, n), hash = keyHash;
  if (code) return find(code, hash);
  return mayBeStored(p, n) ? findStored(p, n, hash) : 0;
}

// ---- insertion ----

/** Set when an insertion had to grow its segment at once: addresses of its slots are void. */
export let movedSegment: usize = 0;

export function clearMoved(): void {
  movedSegment = 0;
}

/** Adds an item that the table does not hold; its stock is ABSENT. */
export function insert(p: usize, n: u32): usize {
  const code = internKey(p, n), hash = keyHash;
  const d = segmentOf(hash);
  const items = load<u32>(d) + 1;
  if (items >= load<u32>(d, SEGMENT_GROW_AT)) askToGrow(d, items);
  const slot = freeSlot(d, hash);
  if (cutActive) preserve(slot);
  store<u64>(slot, code);
  setStock(slot, ABSENT);
  store<u32>(linkAddress(slot), 0);
  store<u32>(d, items);
  markChanged(d);
  slotCount++;
  return slot;
}

@inline
function freeSlot(d: usize, hash: u64): usize {
  let line = homeLine(d, hash);
  while (true) {
    const p = lineAddress(d, line);
    if (!load<u64>(p, 16)) return !load<u64>(p) ? p : !load<u64>(p, 8) ? p + 8 : p + 16;
    if (++line == load<u32>(d, SEGMENT_LINES)) line = 0;
  }
}

function askToGrow(d: usize, items: u32): void {
  const lines = load<u32>(d, SEGMENT_LINES);
  // A segment that a block could fill up cannot wait for the end of the block.
  if (items + BLOCK_RECORDS >= capacity(lines) && growNow(d)) movedSegment = d;
  else if (!load<u8>(d, SEGMENT_WAITS)) {
    store<u8>(d, 1, SEGMENT_WAITS);
    store<u32>(waiting + (<usize> waitingCount << 2), <u32> d);
    waitingCount++;
  }
}

/** False when memory does not allow it. A segment below a page always may: reserveGrowth sees to that. */
function growNow(d: usize): bool {
  const lines = load<u32>(d, SEGMENT_LINES);
  if (lines >= LINES_PER_PAGE && !ensure(bytesFor(nextLines(lines)))) return false;
  resize(d, nextLines(lines));
  return true;
}

/** Lets one waiting segment grow. Called between blocks, when no slot address is held. */
@inline
export function growOne(): void {
  if (waitingCount) growWaiting();
}

function growWaiting(): void {
  const d = <usize> load<u32>(waiting + (<usize> (waitingCount - 1) << 2));
  if (load<u32>(d) >= load<u32>(d, SEGMENT_GROW_AT) && !growNow(d)) return;
  store<u8>(d, 0, SEGMENT_WAITS);
  waitingCount--;
}

/** Bytes of memory that must be free before a block: small segments grow at once. */
export const BLOCK_GROWTH_BYTES: usize = BLOCK_RECORDS * (PAGE_BYTES + 64) + 2 * CHUNK_BYTES;

/** Before a block: grows the waiting segments that it could fill up; false when memory does not allow it. */
export function growFull(): bool {
  for (let i: u32 = 0; i < waitingCount; i++) {
    const d = <usize> load<u32>(waiting + (<usize> i << 2));
    if (load<u32>(d) + BLOCK_RECORDS >= capacity(load<u32>(d, SEGMENT_LINES)) && !growNow(d)) {
      return false;
    }
  }
  return true;
}

// ---- size ----

function nextLines(lines: u32): u32 {
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
function bytesFor(lines: u32): usize {
  return <usize> lines * LINE_BYTES + <usize> lines + 2 * CHUNK_BYTES;
}

/** Gives a segment without items `lines` lines. */
function layOut(d: usize, lines: u32): void {
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

/** Moves a segment's items to `lines` lines. What it used before is kept while a checkpoint may read it. */
function resize(d: usize, lines: u32): void {
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

/** The descriptor of the segment that is being resized, as it was. */
const before = memory.data(32, 8);

@inline
function moveLine(d: usize, line: usize): void {
  for (let slot = line; slot < line + LINE_CODES_BYTES; slot += 8) {
    const code = load<u64>(slot);
    if (!code) return;
    moveSlot(freeSlot(d, codeHash(code)), slot);
  }
}

@inline
function moveSlot(to: usize, from: usize): void {
  store<u64>(to, load<u64>(from));
  setStock(to, stockOf(from));
  store<u32>(linkAddress(to), load<u32>(linkAddress(from)));
}

function giveBackLines(d: usize): void {
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

/** Gives an empty segment room for `items` items before a restore; false without memory. */
export function sizeFor(d: usize, items: u32): bool {
  let lines: u32 = LINES_MIN;
  while (growAt(lines) <= items) lines = nextLines(lines);
  if (lines == load<u32>(d, SEGMENT_LINES)) return true;
  if (!ensure(bytesFor(lines))) return false;
  resize(d, lines);
  return true;
}

// ---- removal ----

/** Removes an item that was never seen and has no open window. No checkpoint is being cut. */
export function remove(slot: usize): void {
  const code = slotCode(slot), hash = codeHash(code), d = segmentOf(hash);
  markChanged(d);
  store<u32>(d, load<u32>(d) - 1);
  slotCount--;
  closeGap(d, lineOfSlot(d, slot), slot);
  releaseKey(code);
}

function lineOfSlot(d: usize, slot: usize): u32 {
  const parts = load<u32>(d, SEGMENT_PARTS), bytes = partBytes(d);
  for (let i: u32 = 0; i < parts; i++) {
    const part = segmentPart(d, i);
    if (slot >= part && slot < part + bytes) {
      return i * LINES_PER_PAGE + <u32> ((slot - part) >> LINE_SHIFT);
    }
  }
  return unreachable();
}

/**
 * Fills the gap at `slot`: the line's last slot moves in; if the line was full, an item that had to
 * pass this line on its way moves back, which leaves the next gap (backward shift deletion).
 */
function closeGap(d: usize, line: u32, slot: usize): void {
  const lines = load<u32>(d, SEGMENT_LINES);
  while (true) {
    const first = lineAddress(d, line);
    const wasFull = load<u64>(first, 16) != 0;
    const last = wasFull ? first + 16 : load<u64>(first, 8) ? first + 8 : first;
    if (slot != last) moveSlot(slot, last);
    store<u64>(last, 0);
    if (!wasFull) return;
    let next = line;
    let found: usize = 0;
    while (!found) {
      if (++next == lines) next = 0;
      const q = lineAddress(d, next);
      const distance = next >= line ? next - line : next + lines - line;
      for (let s = q; s < q + LINE_CODES_BYTES && !found; s += 8) {
        const code = load<u64>(s);
        if (!code) break;
        const home = homeLine(d, codeHash(code));
        if ((next >= home ? next - home : next + lines - home) >= distance) found = s;
      }
      if (!found && !load<u64>(q, 16)) return;
    }
    moveSlot(last, found);
    line = next;
    slot = found;
  }
}
