// Remembered transactions in a checkpoint: a header, and pieces of 1,024 of them in the order of the log. Canonical
// without further ado. A full piece never changes, so a later checkpoint names it again.
//
// Format 1. Integers are LEB128, unsigned; a clock is 0 when there is none yet, else the clock + 1.
//   header   clock, number of the next one, number of the first one that is remembered, repetitions so far
//   piece    its clock, number of entries, then columns: transaction ids i64, hashes of items with outcomes u64, checks u32
// A piece begins at its first number, also where that is forgotten by now. Number 0 is not given out; its entry is zero.

import { Code, PAGE_BYTES } from "./contract";
import { cutActive } from "./copies";
import { CHUNK_BYTES, ensure, replaceArea } from "./memory";
import { cursor, putUnsigned, readUnsigned, setCursor } from "./integers";
import {
  beginPiece,
  checkAt,
  clock,
  clockOf,
  directory,
  directoryBytes,
  duplicates,
  endPiece,
  endRestore,
  head,
  idAt,
  itemAt,
  PIECE,
  PIECE_SHIFT,
  readDirectory,
  remembers,
  restoreRing,
  tail,
} from "./remembered_ring";
import { beginBuild, buildIndex } from "./remembered_index";
import { NONE } from "./state";
import { reserveSegment, segmentArea, segmentAreaBytes } from "./work";

const HEADER_BYTES_MAX: usize = 40;
const PIECE_HEADER_BYTES_MAX: usize = 20;
const ENTRY_BYTES: u64 = 20;
/** Entries that a call adds to the index. */
const SLICE: u32 = 16384;

// As of the cut.
let cutHead: u64 = 1;
let cutTail: u64 = 1;
let cutClock: i64 = NONE;
let cutDuplicates: u64 = 0;
/** A copy of the ring's directory: the ring may go round meanwhile. */
let cutDirectory: usize = 0;
let nextPiece: u64 = 0;

/** What lies before it is in the last published checkpoint. */
let published: u64 = 0;

let encodedPiece: u64 = 0;
let encodedPieceLength: u32 = 0;

/** Piece that was encoded last. */
export function lastPiece(): u64 {
  return encodedPiece;
}

/** Its length. */
export function lastPieceLength(): u32 {
  return encodedPieceLength;
}

/** Freezes what is remembered; false without memory. */
export function cutRemembered(): bool {
  cutHead = head;
  cutTail = tail;
  cutClock = clock;
  cutDuplicates = duplicates;
  nextPiece = max(published, tail) >> PIECE_SHIFT;
  if (!remembers) return true;
  const bytes = directoryBytes();
  if (!cutDirectory) cutDirectory = replaceArea(0, 0, bytes);
  if (!cutDirectory) return false;
  memory.copy(cutDirectory, directory, bytes);
  return true;
}

/** The cut has ended. */
export function endRememberedCut(wasPublished: bool): void {
  if (wasPublished) published = cutHead;
}

/** Pieces from this one on go into the next checkpoint, because the one that had them was not published. */
export function markPieces(from: u64): void {
  published = min(published, from << PIECE_SHIFT);
}

/** First piece that the cut has; those before it are forgotten. */
export function firstPiece(): u64 {
  return cutTail >> PIECE_SHIFT;
}

/** Encodes the header into the segment area; its length, or a code below zero. */
export function encodeHeader(): i32 {
  if (!cutActive) return Code.State;
  if (!reserveSegment(HEADER_BYTES_MAX)) return Code.OutOfMemory;
  let o = putUnsigned(segmentArea, cutClock == NONE ? 0 : <u64> cutClock + 1);
  o = putUnsigned(putUnsigned(putUnsigned(o, cutHead), cutTail), cutDuplicates);
  return <i32> (o - segmentArea);
}

/** Encodes the next piece that no published checkpoint has: More, or Done when there is none left. */
export function encodePiece(): i32 {
  if (!cutActive) return Code.State;
  const first = nextPiece << PIECE_SHIFT;
  if (!remembers || first >= cutHead) return Code.Done;
  const count = min(PIECE, cutHead - first);
  if (!reserveSegment(PIECE_HEADER_BYTES_MAX + <usize> (PIECE * ENTRY_BYTES))) {
    return Code.OutOfMemory;
  }
  readDirectory(cutDirectory);
  const last = clockOf(nextPiece);
  let o = putUnsigned(putUnsigned(segmentArea, last == NONE ? 0 : <u64> last + 1), count);
  memory.copy(o, idAt(first), <usize> (count << 3));
  o += <usize> (count << 3);
  memory.copy(o, itemAt(first), <usize> (count << 3));
  o += <usize> (count << 3);
  memory.copy(o, checkAt(first), <usize> (count << 2));
  o += <usize> (count << 2);
  readDirectory(directory);
  encodedPiece = nextPiece++;
  encodedPieceLength = <u32> (o - segmentArea);
  return Code.More;
}

// ---- restore ----

let wantedHead: u64 = 0;
let building: bool = false;

/** Restores the header of `length` bytes into a new instance; the pieces follow in their order. */
export function restoreHeader(length: u32): i32 {
  if (!remembers || head != 1) return Code.State;
  if (length > segmentAreaBytes) return Code.Segment;
  setCursor(segmentArea);
  const at = readUnsigned();
  wantedHead = readUnsigned();
  const first = readUnsigned(), repeated = readUnsigned();
  if (cursor != segmentArea + length || at > <u64> i64.MAX_VALUE) return Code.Segment;
  if (wantedHead > <u64> i64.MAX_VALUE) return Code.Segment;
  const code = restoreRing(at ? <i64> at - 1 : NONE, first, wantedHead, repeated);
  building = false;
  return code ? Code.Done : Code.Segment;
}

/** Restores the next piece, of `length` bytes. */
export function restorePiece(length: u32): i32 {
  if (!remembers || head >= wantedHead) return Code.State;
  if (length > segmentAreaBytes) return Code.Segment;
  setCursor(segmentArea);
  const last = readUnsigned(), count = readUnsigned();
  if (count != min(PIECE, wantedHead - head) || last > <u64> i64.MAX_VALUE) return Code.Segment;
  if (cursor + <usize> (count * ENTRY_BYTES) != segmentArea + length) return Code.Segment;
  if (!ensure(6 * PAGE_BYTES + CHUNK_BYTES)) return Code.OutOfMemory;
  beginPiece();
  const ids = cursor, items = ids + <usize> (count << 3), checks = items + <usize> (count << 3);
  memory.copy(idAt(head), ids, <usize> (count << 3));
  memory.copy(itemAt(head), items, <usize> (count << 3));
  memory.copy(checkAt(head), checks, <usize> (count << 2));
  endPiece(<u32> count, last ? <i64> last - 1 : NONE);
  return Code.Done;
}

/** Builds the index of what was restored, in slices: More, or Done. */
export function restoreIndex(): i32 {
  if (head != max(wantedHead, 1)) return Code.Segment;
  if (!building) {
    if (!beginBuild()) return Code.OutOfMemory;
    endRestore();
    published = head;
    building = true;
  }
  const code = buildIndex(SLICE);
  if (code != Code.More) building = false;
  return code;
}
