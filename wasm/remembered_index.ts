// Where a remembered transaction stands in the ring. The index is not state: it is built anew from the ring.
//
// Lines (see remembered_lines.ts) are probed linearly.
//
// An index that is too small, or much too large, is followed by another: new ones go into that, and those in the old
// one follow in the order of the ring, some after each block. Meanwhile both are searched. Pages of lines are
// taken when they are needed.

import { Code, PAGE_BYTES } from "./contract";
import { head, idAt, itemAt, rememberedMax, tail } from "./remembered_ring";
import { OUTCOME_BITS } from "./remembered_keys";
import {
  beginLines,
  cellIn,
  clearLines,
  entryOf,
  freeIn,
  hitsIn,
  initCells,
  LINE_BYTES,
  livingIn,
  lookAt,
  passOn,
  put,
  searchCell,
  sweepLine,
  wasPassed,
} from "./remembered_lines";
import { placeOfPair } from "./secret";
import { blockShift, ensure, freeBlock, freeTablePage, takeBlock, takeTablePage } from "./memory";

const LINES_PER_PAGE: u32 = 256;
const LINES_MIN: u32 = 256;
/** Twice the entries that a line has on average, when the index is full. */
const TWICE_PER_LINE: u64 = 17;
/** Entries that follow into the new index after a block: all have, long before that is full. */
const MOVES: u32 = 512;
/** Lines that are swept after a block: all are, before as many entries came as are remembered twice. */
const SWEEPS: u32 = 4;

// An index: 0 lines u32, 4 directory of its pages u32, 0 = it is not there yet.
const LINES: usize = 0;
const DIRECTORY: usize = 4;
const current = memory.data(8, 8);
const old = memory.data(8, 8);
let linesMax: u32 = 0;
export let indexPages: u32 = 0;
/** Pages of the current one that were not needed yet. */
let missing: u32 = 0;
/** Number of the next entry that follows, and behind the last one. */
let moving: u64 = 0;
let movingEnd: u64 = 0;
let swept: u32 = 0;

/** False without memory. */
export function initIndex(): bool {
  memory.fill(current, 0, 8);
  memory.fill(old, 0, 8);
  initCells(rememberedMax());
  linesMax = max(LINES_MIN, <u32> (2 * rememberedMax() / TWICE_PER_LINE) + 1);
  return open(current, LINES_MIN);
}

function directoryBytes(lines: u32): u32 {
  return ((lines + LINES_PER_PAGE - 1) / LINES_PER_PAGE) << 2;
}

function open(index: usize, lines: u32): bool {
  const bytes = directoryBytes(lines), shift = blockShift(bytes);
  if (!ensure((<usize> 1 << shift) + 4 * PAGE_BYTES)) return false;
  const directory = takeBlock(shift);
  memory.fill(directory, 0, bytes);
  store<u32>(index, lines, LINES);
  store<u32>(index, <u32> directory, DIRECTORY);
  missing = bytes >> 2;
  return true;
}

function close(index: usize): void {
  const bytes = directoryBytes(load<u32>(index, LINES)),
    directory = <usize> load<u32>(index, DIRECTORY);
  for (let at = directory; at < directory + bytes; at += 4) {
    const page = load<u32>(at);
    if (!page) continue;
    freeTablePage(<usize> page);
    indexPages--;
  }
  freeBlock(directory, blockShift(bytes));
  memory.fill(index, 0, 8);
}

/** The hash by which an entry is placed: its line by the high 32 bits, its tag by the next 12. */
@inline
export function placeHash(id: i64, item: u64): u64 {
  return placeOfPair(<u64> id, item & ~OUTCOME_BITS);
}

@inline
function homeLine(index: usize, hash: u64): u32 {
  return <u32> ((hash >> 32) * <u64> load<u32>(index, LINES) >> 32);
}

/** Address of a line; 0 when its page is not there: the line is empty then. */
@inline
function lineAt(index: usize, line: u32): usize {
  const page = load<u32>(
    <usize> load<u32>(index, DIRECTORY) + (<usize> (line / LINES_PER_PAGE) << 2),
  );
  return page ? <usize> page + <usize> (line % LINES_PER_PAGE) * LINE_BYTES : 0;
}

/** The line where a search begins; the caller has called ensure. */
@inline
export function lineOf(hash: u64): usize {
  const line = homeLine(current, hash);
  return lineAt(current, line) || addPage(current, line);
}

/** Free lanes of the line that was looked at last. */
let freeLanes: u32 = 0;

/**
 * Whether a line alone says that what is searched for is not remembered.
 *
 * @param p the line where the search begins
 * @param low low half of its place hash
 */
@inline
export function isNew(p: usize, low: u32): bool {
  const look = lookAt(p, low);
  freeLanes = look >> 16;
  return !(look & 0xffff) && !wasPassed(p, low) && !load<u32>(old, LINES);
}

/** Number of the remembered transaction with this identity, or 0, where isNew is false of the line where it begins. */
export function search(id: i64, item: u64, p: usize): u64 {
  const hash = placeHash(id, item), low = <u32> hash;
  const n = searchOn(current, homeLine(current, hash), hitsIn(p, low), id, item, low);
  if (n || !load<u32>(old, LINES)) return n;
  const line = homeLine(old, hash), q = lineAt(old, line);
  return q ? searchOn(old, line, hitsIn(q, low), id, item, low) : 0;
}

/** Goes on from a line that has entries with the tag, or that was full. */
function searchOn(index: usize, line: u32, hits: u32, id: i64, item: u64, low: u32): u64 {
  const lines = load<u32>(index, LINES);
  let p = lineAt(index, line);
  while (true) {
    for (; hits; hits &= hits - 1) {
      const n = searchCell(cellIn(p, ctz(hits)), id, item);
      if (n) return n;
    }
    if (!wasPassed(p, low)) return 0;
    if (++line == lines) line = 0;
    p = lineAt(index, line);
    if (!p) return 0;
    hits = hitsIn(p, low);
  }
}

/**
 * Adds an entry, which the ring has, and for which a line was looked at just now; the caller has called ensure.
 *
 * @param p that line
 * @param low low half of its place hash
 */
@inline
export function add(n: u64, id: i64, item: u64, p: usize, low: u32): void {
  const entry = entryOf(n, low);
  if (freeLanes) put(p, freeLanes, entry);
  else addTo(current, entry, placeHash(id, item));
}

function addTo(index: usize, entry: u32, hash: u64): void {
  const lines = load<u32>(index, LINES);
  let line = homeLine(index, hash);
  while (true) {
    let p = lineAt(index, line);
    if (!p) p = addPage(index, line);
    const free = freeIn(p);
    if (free) return put(p, free, entry);
    passOn(p, entry);
    if (++line == lines) line = 0;
  }
}

function addPage(index: usize, line: u32): usize {
  const page = takeTablePage();
  clearLines(page, PAGE_BYTES);
  indexPages++;
  missing--;
  const at = <usize> load<u32>(index, DIRECTORY) + (<usize> (line / LINES_PER_PAGE) << 2);
  store<u32>(at, <u32> page);
  return lineAt(index, line);
}

/** Bytes that must be free before a block of so many records. */
@inline
export function indexGrowthBytes(records: u32): usize {
  return min(records + MOVES, missing) * PAGE_BYTES;
}

/** Work after a block: lets entries follow, or begins another index, and sweeps some lines. */
export function tendIndex(blockRecords: u32): void {
  if (load<u32>(old, LINES)) follow(MOVES);
  else resize(blockRecords);
  sweep();
}

function resize(blockRecords: u32): void {
  const lines = load<u32>(current, LINES), count = head - tail;
  const room = <u64> lines * TWICE_PER_LINE / 2;
  let wanted = lines;
  // By a quarter: half of it would be empty on average if it doubled.
  if (count + 2 * blockRecords > room) wanted = min(lines + lines / 4, linesMax);
  else if (lines > LINES_MIN && count < room / 4) wanted = max(lines / 2, LINES_MIN);
  if (wanted == lines) return;
  memory.copy(old, current, 8);
  if (!open(current, wanted)) {
    memory.copy(current, old, 8);
    memory.fill(old, 0, 8);
    return;
  }
  moving = tail;
  movingEnd = head;
  swept = 0;
}

/** Lets so many entries follow into the new index. */
function follow(count: u32): void {
  moving = max(moving, tail);
  const end = min(moving + count, movingEnd);
  let sum: u32 = 0;
  // The lines of all of them are loaded together.
  for (let n = moving; n < end; n++) {
    sum += load<u32>(lineOf(placeHash(load<i64>(idAt(n)), load<u64>(itemAt(n)))));
  }
  touched += sum;
  for (; moving < end; moving++) {
    addFrom(moving);
  }
  if (moving >= movingEnd) close(old);
}

/** Loads that only warm the cache end up here, so that the compiler keeps them. */
let touched: u32 = 0;

/** Adds an entry of the ring to the current index. */
@inline
function addFrom(n: u64): void {
  const hash = placeHash(load<i64>(idAt(n)), load<u64>(itemAt(n)));
  addTo(current, entryOf(n, <u32> hash), hash);
}

/** Loads the lines that are swept next; what is loaded is of no use. */
export function touchSwept(): u32 {
  return load<u32>(lineAt(current, swept)) +
    load<u32>(lineAt(current, min(swept + SWEEPS, load<u32>(current, LINES)) - 1));
}

/** Looks through some lines. */
function sweep(): void {
  for (let i: u32 = 0; i < SWEEPS; i++) {
    const p = lineAt(current, swept);
    if (++swept == load<u32>(current, LINES)) swept = 0;
    if (p) sweepLine(p);
  }
}

/**
 * Entries of the index whose cells live: as many as are remembered, where a cell is one number and no other index
 * follows. Walks through the whole index: tests look at it.
 */
export function rememberedInIndex(): u32 {
  let count: u32 = 0;
  for (let line: u32 = 0; line < load<u32>(current, LINES); line++) {
    const p = lineAt(current, line);
    if (p) count += livingIn(p);
  }
  return count;
}

// ---- restore ----

/** Begins to build the index from the ring; buildIndex does it. False without memory. */
export function beginBuild(): bool {
  const wanted = max(
    LINES_MIN,
    min(<u32> (2 * (head - tail) / TWICE_PER_LINE) + LINES_MIN, linesMax),
  );
  close(current);
  if (!open(current, wanted)) return false;
  beginLines(0);
  moving = tail;
  movingEnd = head;
  return true;
}

/** Adds a slice: More when something is left, else Done. */
export function buildIndex(slice: u32): i32 {
  const end = min(moving + slice, movingEnd);
  for (; moving < end; moving++) {
    if (!(moving & 63) && !ensure(indexGrowthBytes(64))) return Code.OutOfMemory;
    addFrom(moving);
  }
  return moving < movingEnd ? Code.More : Code.Done;
}
