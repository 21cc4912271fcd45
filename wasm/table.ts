// The item table: stock per item.
//
//   256 segments by the highest 8 bits of the hash; each a run of lines, linearly probed (see runs.ts), or, where
//   very many ids share those bits, shards of their own runs (see shards.ts).
//
// One run grows after a block of records, so that no call takes long and little memory lies idle.

import { PAGE_BYTES, SEGMENTS } from "./contract";
import { cutActive, preserve } from "./copies";
import {
  codeHash,
  codePlace,
  internKey,
  isStored,
  isStoredKey,
  keyCode,
  keyHash,
  releaseKey,
  SOUGHT_BITS,
} from "./keys";
import {
  LINE_BYTES,
  LINE_CODES_BYTES,
  LINES_PER_PAGE,
  SEGMENT_CHANGED,
  SEGMENT_DESCRIPTOR_BYTES,
  SEGMENT_GROW_AT,
  SEGMENT_LINES,
  SEGMENT_WAITS,
  shard,
  shardCount,
} from "./layout";
import { allocate, allocatePages, CHUNK_BYTES, ensure } from "./memory";
import {
  ABSENT,
  bytesFor,
  capacity,
  endsPart,
  freeSlot,
  homeLine,
  layOut,
  lineAddress,
  LINES_MIN,
  linkAddress,
  moveSlot,
  nextLines,
  resize,
  setStock,
  slotCode,
} from "./runs";
import { addShard, runOf, SHARD_ITEMS } from "./shards";

/** Records of a block: at most so many items are inserted between two calls of growFull. */
export const BLOCK_RECORDS: u32 = 64;

export let segments: usize = 0;
/** Slots in use. */
export let slotCount: u32 = 0;

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

// ---- segments ----

@inline
export function segmentOf(hash: u64): usize {
  return segments + (<usize> (hash >> 56)) * SEGMENT_DESCRIPTOR_BYTES;
}

/** Set in homeOf when no line of the run stands behind that line. */
export const ENDS_PART: usize = 1;

/** Address of the line where the search for a hash begins, plus ENDS_PART if it is the last one of its part. */
@inline
export function homeOf(hash: u64): usize {
  const d = runOf(segmentOf(hash), hash), line = homeLine(d, hash);
  return lineAddress(d, line) | <usize> endsPart(d, line);
}

@inline
export function markChanged(d: usize, changed: bool = true): void {
  store<u8>(d, load<u8>(d, SEGMENT_CHANGED) | <u8> changed, SEGMENT_CHANGED);
}

// ---- search ----

/** The slot of a code, or 0. */
@inline
export function find(code: u64, hash: u64): usize {
  return findBits(code, hash, u64.MAX_VALUE);
}

/** The first slot of a code with the bits that a stored id is sought by, or 0. */
@inline
export function findSought(code: u64, hash: u64): usize {
  return findBits(code, hash, SOUGHT_BITS);
}

/** The slot of a code that equals `code` in the bits of `mask`, or 0. */
@inline
function findBits(code: u64, hash: u64, mask: u64): usize {
  const d = runOf(segmentOf(hash), hash);
  let line = homeLine(d, hash);
  while (true) {
    const p = lineAddress(d, line);
    if ((load<u64>(p) & mask) == code) return p;
    if ((load<u64>(p, 8) & mask) == code) return p + 8;
    const third = load<u64>(p, 16);
    if ((third & mask) == code) return p + 16;
    if (!third) return 0;
    if (++line == load<u32>(d, SEGMENT_LINES)) line = 0;
  }
}

function findStored(p: usize, n: u32, sought: u64, hash: u64): usize {
  const d = runOf(segmentOf(hash), hash);
  let line = homeLine(d, hash);
  while (true) {
    const q = lineAddress(d, line);
    for (let slot = q; slot < q + LINE_CODES_BYTES; slot += 8) {
      const code = load<u64>(slot);
      if (!code) return 0;
      if (isStoredKey(code, p, n, sought)) return slot;
    }
    if (++line == load<u32>(d, SEGMENT_LINES)) line = 0;
  }
}

/** The slot of an item by its id, or 0. */
export function findId(p: usize, n: u32): usize {
  const code = keyCode(p, n);
  return code ? findItem(p, n, code, keyHash) : 0;
}

/** The same, where what keyCode answers is known. */
@inline
export function findItem(p: usize, n: u32, code: u64, hash: u64): usize {
  return isStored(code) ? findStored(p, n, code, hash) : find(code, hash);
}

// ---- insertion ----

/** Set when an insertion had to grow its segment at once: addresses of its slots are void. */
export let movedSegment: usize = 0;

export function clearMoved(): void {
  movedSegment = 0;
}

/** Adds an item that the table does not hold; its stock is ABSENT. What keyCode answered, or 0 if that is not known. */
export function insert(p: usize, n: u32, known: u64, knownHash: u64): usize {
  const code = internKey(p, n, known, knownHash), hash = keyHash;
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
