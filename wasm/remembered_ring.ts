// Transactions that are remembered, in the order in which they came: what a repetition is compared with.
//
// Each has a number, from 1 on. 4,096 of them are a group of five pages, 20 bytes each:
//   pages 0 and 1   transaction id i64
//   pages 2 and 3   hash of the item id, 62 bits, and the outcome, 2 bits (see remembered_keys.ts)
//   page 4          check of ts and quantity u32
// The directory has 64 bytes for each group: 0 the pages, u32 each; 32 the clock of each of its four pieces, i64.
//
// A piece is 1,024 of them. Its clock is that of its last one; when that is a window old, the piece is forgotten. What is
// more than may be remembered is forgotten one by one. A full piece never changes, so a checkpoint may name it.
//
// The clock is of the log: it goes up with the records' timestamps, but at most by a 64th of the window at a time, so
// that one timestamp of a far year does not empty the memory.

import { DATE_MAX, PAGE_BYTES } from "./contract";
import { cutActive, park } from "./copies";
import { A_PAGE, allocatePages, ensure, freeTablePage, takeTablePage } from "./memory";
import { NONE } from "./state";

const GROUP_SHIFT: u64 = 12;
const GROUP_MASK: u64 = 4095;
export const PIECE_SHIFT: u64 = 10;
export const PIECE: u64 = 1024;
const PAGES: u32 = 5;
const DIRECTORY_BYTES: u32 = 64;
const CLOCKS: usize = 32;
/** Of the window: the clock goes up by no more at a time. */
const STEP: i64 = 64;

/** Whether transactions are remembered at all. */
export let remembers: bool = false;
let windowMs: i64 = 0;
let most: u64 = 0;
export let directory: usize = 0;
/** Where it is read: that of the ring, or a copy while a checkpoint is encoded. */
let reads: usize = 0;
let groupMask: u64 = 0;

// The state: with the entries, it is all that a repetition's answer depends on.
export let clock: i64 = NONE;
/** Number of the next one. */
export let head: u64 = 1;
/** Number of the first one that is remembered. */
export let tail: u64 = 1;
export let duplicates: u64 = 0;

/** No piece is forgotten before this clock: it is looked at again then. */
let expiresAt: i64 = i64.MAX_VALUE;
/** Pages that belong to groups. */
export let ringPages: u32 = 0;

/** False without memory. */
export function initRing(ms: i64, atMost: u32): bool {
  remembers = ms > 0 && atMost > 0;
  windowMs = ms;
  most = atMost;
  clock = NONE;
  head = tail = 1;
  duplicates = 0;
  expiresAt = i64.MAX_VALUE;
  if (!remembers) return true;
  let groups: u32 = 4;
  while (groups < (atMost >> <u32> GROUP_SHIFT) + 3) groups <<= 1;
  groupMask = groups - 1;
  if (!ensure(<usize> groups * DIRECTORY_BYTES + PAGE_BYTES)) return false;
  reads = directory = allocatePages(<usize> groups * DIRECTORY_BYTES);
  return true;
}

/** Most that may be remembered. */
@inline
export function rememberedMax(): u64 {
  return most;
}

export function directoryBytes(): usize {
  return <usize> (groupMask + 1) * DIRECTORY_BYTES;
}

/** Entries and clocks are read by this directory from now on. */
export function readDirectory(at: usize): void {
  reads = at;
}

@inline
function groupOf(n: u64): usize {
  return reads + <usize> ((n >> GROUP_SHIFT) & groupMask) * DIRECTORY_BYTES;
}

@inline
function pageOf(group: usize, page: u64): usize {
  return <usize> load<u32>(group + (<usize> page << 2));
}

/** Where the transaction id of a number stands. */
@inline
export function idAt(n: u64): usize {
  const i = n & GROUP_MASK;
  return pageOf(groupOf(n), i >> 11) + <usize> ((i & 2047) << 3);
}

/** Where the hash of its item and its outcome stand. */
@inline
export function itemAt(n: u64): usize {
  const i = n & GROUP_MASK;
  return pageOf(groupOf(n), 2 + (i >> 11)) + <usize> ((i & 2047) << 3);
}

/** Where its check stands. */
@inline
export function checkAt(n: u64): usize {
  return pageOf(groupOf(n), 4) + <usize> ((n & GROUP_MASK) << 2);
}

@inline
function clockAt(piece: u64): usize {
  return groupOf(piece << PIECE_SHIFT) + CLOCKS + <usize> ((piece & 3) << 3);
}

/** Clock of the last one of a piece. */
@inline
export function clockOf(piece: u64): i64 {
  return load<i64>(clockAt(piece));
}

/** Whether the number with these low 32 bits is remembered. */
@inline
export function lives(n: u32): bool {
  return <u32> (head - 1) - n < <u32> (head - tail);
}

/** The number with these low 32 bits, which lives. */
@inline
export function numberOf(n: u32): u64 {
  return head - 1 - <u64> (<u32> (head - 1) - n);
}

/** Moves the clock by the timestamp of a record, and forgets what is a window old then. */
@inline
export function moveClock(timestamp: i64): void {
  if (timestamp > clock) moveClockTo(timestamp);
}

function moveClockTo(timestamp: i64): void {
  if (timestamp > DATE_MAX || timestamp < 0) return;
  if (clock == NONE) {
    clock = timestamp;
    expiresAt = clock + windowMs;
  } else clock = min(timestamp, clock + max<i64>(1, windowMs / STEP));
  if (clock >= expiresAt) expire();
}

function expire(): void {
  while (true) {
    expiresAt = nextExpiry();
    if (clock < expiresAt) return;
    forgetTo(min(((tail >> PIECE_SHIFT) + 1) << PIECE_SHIFT, head));
  }
}

/**
 * The clock at which the first piece is forgotten, or an earlier one. Pieces from before there was a clock are forgotten
 * together with the first one that has it.
 */
function nextExpiry(): i64 {
  if (tail == head) return i64.MAX_VALUE;
  for (let piece = tail >> PIECE_SHIFT; piece << PIECE_SHIFT < head; piece++) {
    const last = clockOf(piece);
    if (last != NONE) return last + windowMs;
  }
  // What comes next has a clock that is not below that of now.
  return clock == NONE ? i64.MAX_VALUE : clock + windowMs;
}

/** Forgets all below a number. */
function forgetTo(n: u64): void {
  const group = tail >> GROUP_SHIFT;
  tail = n;
  if (n == head) pieceEnd = 0;
  // The group of the next one stays: it is being filled.
  if (n >> GROUP_SHIFT == group) return;
  freeGroup(group << GROUP_SHIFT);
}

/** Forgets the oldest ones, so that no more than `most` are left. */
export function forgetBeyond(count: u32): void {
  while (head - tail > <u64> count) {
    forgetTo(min(((tail >> PIECE_SHIFT) + 1) << PIECE_SHIFT, head - <u64> count));
  }
}

function freeGroup(n: u64): void {
  const group = groupOf(n);
  for (let i: u64 = 0; i < PAGES; i++) {
    const page = pageOf(group, i);
    // A checkpoint that is being cut may still read it.
    if (cutActive) park(page, A_PAGE);
    else freeTablePage(page);
  }
  ringPages -= PAGES;
}

function addGroup(): void {
  const group = groupOf(head);
  for (let i: usize = 0; i < PAGES; i++) store<u32>(group + (i << 2), <u32> takeTablePage());
  ringPages += PAGES;
  if (head >> GROUP_SHIFT) return;
  // The entry that no number has is the same everywhere.
  store<i64>(idAt(0), 0);
  store<u64>(itemAt(0), 0);
  store<u32>(checkAt(0), 0);
}

// Where the entries of the piece at head go: an entry by its number in the piece.
let pieceIds: usize = 0;
let pieceItems: usize = 0;
let pieceChecks: usize = 0;
let pieceClock: usize = 0;
/** Behind the last number of that piece; 0 when it has to be looked up. */
let pieceEnd: u64 = 0;

/** Remembers one; the oldest one is forgotten if there are too many. */
@inline
export function append(id: i64, item: u64, check: u32): void {
  const n = head;
  if (n >= pieceEnd) openPiece();
  const i = <usize> (n & (PIECE - 1));
  store<i64>(pieceIds + (i << 3), id);
  store<u64>(pieceItems + (i << 3), item);
  store<u32>(pieceChecks + (i << 2), check);
  store<i64>(pieceClock, clock);
  head = n + 1;
  if (n + 1 - tail > most) {
    if ((tail + 1) & GROUP_MASK) tail++;
    else forgetTo(tail + 1);
  }
}

/** Loads where the entries of a block of 64 go, as far as they are of this piece; what is loaded is of no use. */
export function touchRing(): u32 {
  if (head >= pieceEnd) return 0;
  const first = <usize> (head & (PIECE - 1)), last = min(first + 64, <usize> PIECE - 1);
  let sum: u32 = 0;
  for (let i = first; i <= last; i += 8) {
    sum += load<u32>(pieceIds + (i << 3)) + load<u32>(pieceItems + (i << 3)) +
      load<u32>(pieceChecks + (i << 2));
  }
  return sum;
}

/** Looks up where the rest of the piece goes. */
function openPiece(): void {
  // Number 0 is not given out: the first group begins at 1.
  if (!(head & GROUP_MASK) || !ringPages) addGroup();
  const first = head & ~(PIECE - 1);
  pieceIds = idAt(first);
  pieceItems = itemAt(first);
  pieceChecks = checkAt(first);
  pieceClock = clockAt(head >> PIECE_SHIFT);
  pieceEnd = first + PIECE;
  if (expiresAt == i64.MAX_VALUE && clock != NONE) expiresAt = clock + windowMs;
}

@inline
export function countDuplicate(): void {
  duplicates++;
}

// ---- restore ----

/** Begins with an empty ring at the numbers of a checkpoint; false when there are more than may be remembered. */
export function restoreRing(at: i64, first: u64, next: u64, repeated: u64): bool {
  if (first < 1 || first > next || next - first > most) return false;
  clock = at;
  tail = first;
  // Pieces are appended from their beginnings on.
  head = first & ~(PIECE - 1);
  duplicates = repeated;
  expiresAt = i64.MAX_VALUE;
  return true;
}

/** Room for the entries of a piece that is restored, whose number is that of head; the caller has called ensure. */
export function beginPiece(): void {
  if (!(head & GROUP_MASK) || !ringPages) addGroup();
}

/** So many entries of the piece at head are there. */
export function endPiece(count: u32, last: i64): void {
  pieceEnd = 0;
  store<i64>(clockAt(head >> PIECE_SHIFT), last);
  head += count;
}

/** All pieces are there. */
export function endRestore(): void {
  expiresAt = nextExpiry();
}
