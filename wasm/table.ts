// The item table: stock per item.
//
//   256 segments by the highest 8 bits of the hash; each a run of lines, linearly probed:
//   line, 64 B = one cache line, 3 slots, filled from the first:
//     0  key code  u64 x 3   0 = free
//    24  stock     i64 x 3   ABSENT = not seen yet, lives as long as it has an open window
//    48  link      u32 x 3   newest accumulator / 32
//    60  unused
//   A run's lines lie in pages of 256; one below 256 lines is one slab (see layout.ts).
//
// A run grows at 87 %: by doubling up to a page, from there by a quarter, one run after a block of
// records, so that no call takes long and little memory lies idle. Ids of one segment can be chosen;
// so a segment with more than SHARD_ITEMS items is cut into shards of its own runs, by the lowest bits
// of the place, one cut in two at a time (linear hashing, Litwin 1980): whatever the ids, a call moves
// twice as many items at the most.

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
  codePlace,
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
  SEGMENT_SHARD_TABLE,
  SEGMENT_SHARDS,
  SEGMENT_WAITS,
  segmentPart,
  shard,
  shardCount,
} from "./layout";

export const ABSENT: i64 = i64.MIN_VALUE;

const LINE_SHIFT: usize = 6;
const SLOTS: u32 = 3;
const LINES_MIN: u32 = 8;
const LINES_PER_UNIT: u32 = 8; // of a slab
/** Items of a shard on average, at which the segment gets another one. */
export const SHARD_ITEMS: u32 = 49152;
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

/** The descriptor of the run in which an item of the segment stands. */
@inline
function runOf(d: usize, place: u64): usize {
  return load<u32>(d, SEGMENT_SHARDS) ? shardOf(d, <u32> place) : d;
}

function shardOf(d: usize, place: u32): usize {
  const shards = load<u32>(d, SEGMENT_SHARDS), mask = <u32> -1 >> clz(shards - 1);
  let i = place & mask;
  if (i >= shards) i &= mask >> 1; // not cut yet
  return shard(d, i);
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
  const d = runOf(segmentOf(hash), hash);
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
  const d = runOf(segmentOf(hash), hash);
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
  const d = runOf(segmentOf(hash), hash);
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
  const d = segmentOf(hash), run = runOf(d, hash);
  const items = load<u32>(run) + 1;
  if (items >= load<u32>(run, SEGMENT_GROW_AT)) askToGrow(d, run, items);
  const slot = freeSlot(run, hash);
  if (cutActive) preserve(slot);
  store<u64>(slot, code);
  setStock(slot, ABSENT);
  store<u32>(linkAddress(slot), 0);
  store<u32>(run, items);
  if (run != d) store<u32>(d, load<u32>(d) + 1);
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

function askToGrow(d: usize, run: usize, items: u32): void {
  const lines = load<u32>(run, SEGMENT_LINES);
  // One that a block could fill up cannot wait for the end of the block.
  if (items + BLOCK_RECORDS >= capacity(lines) && growNow(run)) movedSegment = d;
  else if (!load<u8>(d, SEGMENT_WAITS)) {
    store<u8>(d, 1, SEGMENT_WAITS);
    store<u32>(waiting + (<usize> waitingCount << 2), <u32> d);
    waitingCount++;
  }
}

/** False when memory does not allow it. A run below a page always may: reserveGrowth sees to that. */
function growNow(run: usize): bool {
  const lines = load<u32>(run, SEGMENT_LINES);
  if (lines >= LINES_PER_PAGE && !ensure(bytesFor(nextLines(lines)))) return false;
  resize(run, nextLines(lines));
  return true;
}

/** Lets one waiting segment grow by a step. Called between blocks, when no slot address is held. */
@inline
export function growOne(): void {
  if (waitingCount) growWaiting();
}

function growWaiting(): void {
  const d = <usize> load<u32>(waiting + (<usize> (waitingCount - 1) << 2));
  const run = dueRun(d);
  if (run) {
    const cut = load<u32>(d) >= SHARD_ITEMS * shardCount(d) && addShard(d);
    if (!cut && !growNow(run)) return;
    if (dueRun(d)) return; // the next step is for the next block
  }
  store<u8>(d, 0, SEGMENT_WAITS);
  waitingCount--;
}

/** A run of the segment that reached its limit, or 0. */
function dueRun(d: usize): usize {
  const n = shardCount(d);
  for (let i: u32 = 0; i < n; i++) {
    const run = shard(d, i);
    if (load<u32>(run) >= load<u32>(run, SEGMENT_GROW_AT)) return run;
  }
  return 0;
}

/** Bytes of memory that must be free before a block: small segments grow at once. */
export const BLOCK_GROWTH_BYTES: usize = BLOCK_RECORDS * (PAGE_BYTES + 64) + 2 * CHUNK_BYTES;

/** Before a block: grows the waiting runs that it could fill up; false when memory does not allow it. */
export function growFull(): bool {
  for (let i: u32 = 0; i < waitingCount; i++) {
    const d = <usize> load<u32>(waiting + (<usize> i << 2)), n = shardCount(d);
    for (let k: u32 = 0; k < n; k++) {
      const run = shard(d, k);
      if (
        load<u32>(run) + BLOCK_RECORDS >= capacity(load<u32>(run, SEGMENT_LINES)) && !growNow(run)
      ) {
        return false;
      }
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

/** Gives a run `lines` empty lines. */
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

/** Moves a run's items to `lines` lines. What it used before is kept while a checkpoint may read it. */
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

/** Lines that hold so many items and an eighth more. */
function linesFor(items: u32): u32 {
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

// ---- shards ----

@inline
function shardTableShift(shards: u32): u32 {
  return blockShift(shards * <u32> SEGMENT_DESCRIPTOR_BYTES);
}

/** Makes room for the descriptors of so many shards; memory was ensured. */
function growShardTable(d: usize, shards: u32): void {
  const before = load<u32>(d, SEGMENT_SHARDS), shift = shardTableShift(shards);
  if (before && shardTableShift(before) == shift) return;
  const table = takeBlock(shift);
  memory.fill(table, 0, <usize> 1 << shift);
  if (before) {
    const old = <usize> load<u32>(d, SEGMENT_SHARD_TABLE);
    memory.copy(table, old, <usize> before * SEGMENT_DESCRIPTOR_BYTES);
    release(old, A_BLOCK + shardTableShift(before)); // a checkpoint has a copy of its own
  }
  store<u32>(d, <u32> table, SEGMENT_SHARD_TABLE);
}

/** Cuts the next shard in two; false without memory. */
function addShard(d: usize): bool {
  const shards = shardCount(d), level = <u32> 1 << (31 - clz(shards));
  const old = shard(d, shards - level), items = load<u32>(old);
  const lines = linesFor((items >> 1) + (items >> 4));
  const tableBytes = 2 * (<usize> 1 << shardTableShift(shards + 1)) + CHUNK_BYTES;
  if (!ensure(2 * bytesFor(lines) + tableBytes)) return false;
  growShardTable(d, shards + 1);
  growthCount++;
  memory.copy(before, shard(d, shards - level), SEGMENT_DESCRIPTOR_BYTES);
  store<u32>(d, shards + 1, SEGMENT_SHARDS);
  const low = shard(d, shards - level), high = shard(d, shards);
  layOut(low, lines);
  layOut(high, lines);
  store<u32>(low, 0);
  store<u32>(high, 0);
  const parts = load<u32>(before, SEGMENT_PARTS), bytes = partBytes(before);
  for (let i: u32 = 0; i < parts; i++) {
    const part = segmentPart(before, i);
    for (let line = part; line < part + bytes; line += LINE_BYTES) dealLine(low, high, level, line);
  }
  giveBackLines(before);
  return true;
}

/** Moves a line's items to the shard that the bit of their place tells. */
function dealLine(low: usize, high: usize, bit: u32, line: usize): void {
  for (let slot = line; slot < line + LINE_CODES_BYTES; slot += 8) {
    const code = load<u64>(slot);
    if (!code) return;
    const place = codePlace(code), run = <u32> place & bit ? high : low;
    store<u32>(run, load<u32>(run) + 1);
    moveSlot(freeSlot(run, place), slot);
  }
}

/** Shards that a restored segment of so many items is laid out with; 0 = none. */
export function shardsFor(items: u32): u32 {
  return items < SHARD_ITEMS ? 0 : 1 << (32 - clz(items / SHARD_ITEMS));
}

/** Makes an empty segment ready for so many shards, which layOutShard lays out; false without memory. */
export function beginShards(d: usize, shards: u32): bool {
  if (!ensure((<usize> 1 << shardTableShift(shards)) + CHUNK_BYTES)) return false;
  growShardTable(d, shards);
  giveBackLines(d);
  store<u32>(d, shards, SEGMENT_SHARDS);
  return true;
}

/** Lays out one shard of a segment that will hold so many items; false without memory. */
export function layOutShard(d: usize, i: u32, items: u32): bool {
  const lines = linesFor(items / load<u32>(d, SEGMENT_SHARDS));
  if (!ensure(bytesFor(lines))) return false;
  layOut(shard(d, i), lines);
  return true;
}

// ---- removal ----

/** Removes an item that was never seen and has no open window. No checkpoint is being cut. */
export function remove(slot: usize): void {
  const code = slotCode(slot), hash = codeHash(code), d = segmentOf(hash), run = runOf(d, hash);
  markChanged(d);
  store<u32>(d, load<u32>(d) - 1);
  if (run != d) store<u32>(run, load<u32>(run) - 1);
  slotCount--;
  closeGap(run, lineOfSlot(run, hash, slot), slot);
  releaseKey(code);
}

function lineOfSlot(d: usize, hash: u64, slot: usize): u32 {
  const first = slot & ~(LINE_BYTES - 1);
  let line = homeLine(d, hash);
  while (lineAddress(d, line) != first) {
    if (++line == load<u32>(d, SEGMENT_LINES)) line = 0;
  }
  return line;
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
        const home = homeLine(d, codePlace(code));
        if ((next >= home ? next - home : next + lines - home) >= distance) found = s;
      }
      if (!found && !load<u64>(q, 16)) return;
    }
    moveSlot(last, found);
    line = next;
    slot = found;
  }
}

// ---- figures ----

/**
 * Lines that searches for all items of a segment pass behind their home lines. What a flood of chosen ids
 * would raise: tests and benchmarks look at it.
 */
export function linesPassed(d: usize): u64 {
  let passed: u64 = 0;
  const n = shardCount(d);
  for (let i: u32 = 0; i < n; i++) {
    const run = shard(d, i), lines = load<u32>(run, SEGMENT_LINES);
    for (let line: u32 = 0; line < lines; line++) {
      const p = lineAddress(run, line);
      for (let slot = p; slot < p + LINE_CODES_BYTES; slot += 8) {
        const code = load<u64>(slot);
        if (!code) break;
        const home = homeLine(run, codePlace(code));
        passed += <u64> (line >= home ? line - home : line + lines - home);
      }
    }
  }
  return passed;
}
