// Copy on write for the checkpoint being cut. From the cut on, a page that existed then is copied
// before its first change, so that the encoder sees the state at the cut while records go on being
// folded. What a growing segment leaves is parked until the checkpoint is done.
//
//   copies: u32 per page of the memory at the cut
//     0 unchanged since the cut, NEW not part of the cut, else the address of the copy

import { PAGE_BYTES, SEGMENTS } from "./contract";
import {
  A_BLOCK,
  alignUp,
  allocatePages,
  blockShift,
  CHUNK_BYTES,
  ensure,
  freeTablePage,
  PAGE_SHIFT,
  pageLimit,
  release,
  replaceArea,
  takeBlock,
  takeTablePage,
} from "./memory";
import {
  SEGMENT_CHANGED,
  SEGMENT_DESCRIPTOR_BYTES,
  SEGMENT_SHARD_TABLE,
  SEGMENT_SHARDS,
} from "./layout";

const NEW: u32 = 1;

export let cutActive: bool = false;
export let copyCount: u32 = 0;
let copies: usize = 0;
let copiesBytes: usize = 0;
let cutPages: usize = 0;

// Parked memory: a list of pages of
//   0 next page u32, 4 entries u32, then entries of 8 B: address u32, what u32 (see release)
const PARKED_MAX: u32 = (PAGE_BYTES - 8) / 8;
let parked: usize = 0;

/** Segment descriptors as of the cut; a segment is pending while its changed flag is set there. */
export let frozenSegments: usize = 0;

export function initCopies(): void {
  frozenSegments = allocatePages(SEGMENTS * SEGMENT_DESCRIPTOR_BYTES);
}

@inline
export function frozenSegment(segment: u32): usize {
  return frozenSegments + <usize> segment * SEGMENT_DESCRIPTOR_BYTES;
}

/** Begins a cut; false without memory for it. */
export function beginCopies(segments: usize): bool {
  const pages = pageLimit();
  const need = pages << 2;
  if (need > copiesBytes) {
    const bytes = alignUp(need + (need >> 1), PAGE_BYTES);
    const area = replaceArea(copies, copiesBytes, bytes);
    if (!area) return false;
    copies = area;
    copiesBytes = bytes;
  }
  memory.fill(copies, 0, need);
  if (!copyDescriptors(segments)) return false;
  cutPages = pages;
  cutActive = true;
  return true;
}

/** Copies the descriptors of all segments and their shards; false without memory. */
function copyDescriptors(segments: usize): bool {
  let bytes: usize = CHUNK_BYTES;
  for (let s: u32 = 0; s < SEGMENTS; s++) {
    const shards = load<u32>(segments + <usize> s * SEGMENT_DESCRIPTOR_BYTES, SEGMENT_SHARDS);
    if (shards) bytes += 2 * ((<usize> 1 << shardTableShift(shards)) + PAGE_BYTES);
  }
  if (!ensure(bytes)) return false;
  memory.copy(frozenSegments, segments, SEGMENTS * SEGMENT_DESCRIPTOR_BYTES);
  for (let s: u32 = 0; s < SEGMENTS; s++) {
    const then = frozenSegment(s), shards = load<u32>(then, SEGMENT_SHARDS);
    if (!shards) continue;
    const table = takeBlock(shardTableShift(shards));
    memory.copy(
      table,
      <usize> load<u32>(then, SEGMENT_SHARD_TABLE),
      <usize> shards * SEGMENT_DESCRIPTOR_BYTES,
    );
    store<u32>(then, <u32> table, SEGMENT_SHARD_TABLE);
  }
  return true;
}

@inline
function shardTableShift(shards: u32): u32 {
  return blockShift(shards * <u32> SEGMENT_DESCRIPTOR_BYTES);
}

function dropDescriptors(): void {
  for (let s: u32 = 0; s < SEGMENTS; s++) {
    const then = frozenSegment(s), shards = load<u32>(then, SEGMENT_SHARDS);
    if (shards) {
      release(<usize> load<u32>(then, SEGMENT_SHARD_TABLE), A_BLOCK + shardTableShift(shards));
    }
  }
}

export function endCopies(): void {
  cutActive = false;
  dropDescriptors();
  copyCount = 0;
  for (let i: usize = 0; i < cutPages; i++) {
    const copy = load<u32>(copies + (i << 2));
    if (copy > NEW) freeTablePage(<usize> copy);
  }
  while (parked) {
    const page = parked, end = page + 8 + (<usize> load<u32>(page, 4) << 3);
    for (let p = page + 8; p < end; p += 8) release(<usize> load<u32>(p), load<u32>(p, 4));
    parked = load<usize>(page);
    freeTablePage(page);
  }
}

/** To be called before anything at `p` changes while a cut is active. */
export function preserve(p: usize): void {
  const page = p >> PAGE_SHIFT;
  if (page >= cutPages) return;
  const at = copies + (page << 2);
  if (load<u32>(at)) return;
  const copy = takeTablePage();
  memory.copy(copy, page << PAGE_SHIFT, PAGE_BYTES);
  store<u32>(at, <u32> copy);
  copyCount++;
}

/** To be called before a slot changes: matters only while its segment is not encoded yet. */
@inline
export function preserveSlot(segment: u32, slot: usize): void {
  if (load<u8>(frozenSegment(segment), SEGMENT_CHANGED)) preserve(slot);
}

/** Notes that a page was taken into use after the cut. */
export function markNew(p: usize): void {
  const page = p >> PAGE_SHIFT;
  if (page < cutPages) store<u32>(copies + (page << 2), NEW);
}

/** Where to read what stood at `p` at the cut; 0 when its page was not in use then. */
@inline
export function frozen(p: usize): usize {
  const page = p >> PAGE_SHIFT;
  if (page >= cutPages) return 0;
  const copy = load<u32>(copies + (page << 2));
  if (!copy) return p;
  return copy == NEW ? 0 : <usize> copy + (p & (PAGE_BYTES - 1));
}

/** Keeps memory that the cut may still read until the checkpoint is done. */
export function park(p: usize, what: u32): void {
  if (!parked || load<u32>(parked, 4) == PARKED_MAX) {
    const page = takeTablePage();
    store<usize>(page, parked);
    store<u32>(page, 0, 4);
    parked = page;
  }
  const n = load<u32>(parked, 4);
  const entry = parked + 8 + (<usize> n << 3);
  store<u32>(entry, <u32> p);
  store<u32>(entry, what, 4);
  store<u32>(parked, n + 1, 4);
}
