// Memory of the core. Nothing here is garbage collected: what is given out is either permanent or
// goes back to a free list, because WebAssembly memory never shrinks.
//
//   0 .. __heap_base   static data
//   then only whole pages of 16 KiB, each one of
//     table page       lines of the item table, or slabs for small segments
//     window page      accumulators of one open window
//     copy             a page as it was when the checkpoint was cut
//     chunk            key bytes and small blocks, cut off one after the other
//     area             input, output and work areas
//
// Window pages never become table pages or the other way round: a stale link of a slot may point
// into any page that once was a window page, and must find zeros or an accumulator there.

import { PAGE_BYTES } from "./contract";

export const PAGE_SHIFT: usize = 14;
const WASM_PAGE_SHIFT: usize = 16;

/** First byte that was never given out. */
let top: usize = 0;
let wasmPagesMax: usize = 0;

let freeTablePages: usize = 0;
let freeWindowPages: usize = 0;
export let freePageCount: u32 = 0;
export let tablePageCount: u32 = 0;
export let windowPageCount: u32 = 0;

export function initMemory(pagesMax: u32): void {
  top = alignUp(__heap_base, PAGE_BYTES);
  wasmPagesMax = pagesMax;
}

@inline
export function alignUp(n: usize, to: usize): usize {
  return (n + to - 1) & ~(to - 1);
}

/** Index that no page given out so far has reached. */
export function pageLimit(): usize {
  return top >> PAGE_SHIFT;
}

/** Makes sure that `bytes` more can be given out; false when the limit forbids it. */
export function ensure(bytes: usize): bool {
  const end = <u64> top + bytes;
  const have = <u64> (<u32> memory.size()) << WASM_PAGE_SHIFT;
  if (end <= have) return true;
  const more = (end - have + (1 << WASM_PAGE_SHIFT) - 1) >> WASM_PAGE_SHIFT;
  if (<u64> (<u32> memory.size()) + more > wasmPagesMax) return false;
  return memory.grow(<i32> more) >= 0;
}

/** Whole pages, permanent and zero at first. Callers on the data path have called ensure. */
export function allocatePages(bytes: usize): usize {
  const size = alignUp(bytes, PAGE_BYTES);
  if (!ensure(size)) unreachable();
  const p = top;
  top += size;
  return p;
}

export const CHUNK_BYTES: usize = 65536;
let chunkNext: usize = 0;
let chunkEnd: usize = 0;

/** Permanent bytes, zero at first, at most CHUNK_BYTES; the alignment is a power of two up to 64. */
export function allocate(bytes: usize, alignment: usize): usize {
  let p = alignUp(chunkNext, alignment);
  if (!p || p + bytes > chunkEnd) {
    p = allocatePages(CHUNK_BYTES);
    chunkEnd = p + CHUNK_BYTES;
  }
  chunkNext = p + bytes;
  return p;
}

/** An unzeroed page for the item table or for a copy. */
export function takeTablePage(): usize {
  tablePageCount++;
  const p = freeTablePages;
  if (!p) return allocatePages(PAGE_BYTES);
  freeTablePages = load<usize>(p);
  freePageCount--;
  return p;
}

export function freeTablePage(p: usize): void {
  tablePageCount--;
  donatePage(p);
}

function donatePage(p: usize): void {
  store<usize>(p, freeTablePages);
  freeTablePages = p;
  freePageCount++;
}

/** A zeroed page for accumulators. */
export function takeWindowPage(): usize {
  windowPageCount++;
  const p = freeWindowPages;
  if (!p) return allocatePages(PAGE_BYTES);
  freeWindowPages = load<usize>(p);
  freePageCount--;
  store<usize>(p, 0);
  return p;
}

/** Zeroes the page, so that stale links into it find no key. */
export function freeWindowPage(p: usize): void {
  windowPageCount--;
  memory.fill(p, 0, PAGE_BYTES);
  store<usize>(p, freeWindowPages);
  freeWindowPages = p;
  freePageCount++;
}

/** A page-aligned area that may be replaced by a larger one; its pages then serve the table. 0 = no room. */
export function replaceArea(old: usize, oldBytes: usize, bytes: usize): usize {
  const size = alignUp(bytes, PAGE_BYTES);
  if (size < bytes || !ensure(size)) return 0;
  for (let p = old; p < old + oldBytes; p += PAGE_BYTES) donatePage(p);
  return allocatePages(size);
}

// Small blocks: powers of two from 64 bytes, each size with a free list.
const BLOCK_SHIFT_MIN: u32 = 6;
const freeBlocks = memory.data(32 * 4, 8);

/** Exponent of the smallest block that holds `bytes`. */
export function blockShift(bytes: u32): u32 {
  return bytes <= 64 ? BLOCK_SHIFT_MIN : 32 - clz(bytes - 1);
}

export function takeBlock(shift: u32): usize {
  const list = freeBlocks + (<usize> shift << 2);
  const p = load<usize>(list);
  const bytes = <usize> 1 << shift;
  if (!p) return bytes > PAGE_BYTES ? allocatePages(bytes) : allocate(bytes, 64);
  store<usize>(list, load<usize>(p));
  return p;
}

export function freeBlock(p: usize, shift: u32): void {
  const list = freeBlocks + (<usize> shift << 2);
  store<usize>(p, load<usize>(list));
  store<usize>(list, p);
}

// Slabs: parts of a page for segments that are smaller than a page. A page is cut into 32 units of
// 512 bytes; a slab is 2^k units, aligned to its size.
//   directory entry: 0 address u32, 4 used units u32 (bit per unit)
// Units in use are zeroed when they are taken; the others hold anything, also lines of before.
const UNIT_SHIFT: usize = 9;
const SLAB_PAGES_MAX: u32 = 512; // more than the slabs that can live at once (one per segment and one more)
const slabPages = memory.data(4096, 8);
let slabPageCount: u32 = 0;

@inline
function unitMask(units: u32): u32 {
  return (1 << units) - 1;
}

/** A zeroed slab of `units` units (1, 2, 4, 8 or 16). */
export function takeSlab(units: u32): usize {
  const mask = unitMask(units);
  for (let i: u32 = 0; i < slabPageCount; i++) {
    const entry = slabPages + (<usize> i << 3);
    const used = load<u32>(entry, 4);
    for (let at: u32 = 0; at < 32; at += units) {
      if (!(used & (mask << at))) return claimSlab(entry, at, units);
    }
  }
  if (slabPageCount == SLAB_PAGES_MAX) unreachable();
  const entry = slabPages + (<usize> slabPageCount << 3);
  slabPageCount++;
  store<u32>(entry, <u32> takeTablePage());
  store<u32>(entry, 0, 4);
  return claimSlab(entry, 0, units);
}

function claimSlab(entry: usize, at: u32, units: u32): usize {
  store<u32>(entry, load<u32>(entry, 4) | (unitMask(units) << at), 4);
  const p = <usize> load<u32>(entry) + (<usize> at << UNIT_SHIFT);
  memory.fill(p, 0, <usize> units << UNIT_SHIFT);
  return p;
}

export function freeSlab(p: usize, units: u32): void {
  const page = p & ~(<usize> PAGE_BYTES - 1);
  for (let i: u32 = 0; i < slabPageCount; i++) {
    const entry = slabPages + (<usize> i << 3);
    if (<usize> load<u32>(entry) != page) continue;
    const used = load<u32>(entry, 4) & ~(unitMask(units) << (<u32> (p - page) >> <u32> UNIT_SHIFT));
    store<u32>(entry, used, 4);
    if (!used) {
      slabPageCount--;
      store<u64>(entry, load<u64>(slabPages + (<usize> slabPageCount << 3)));
      freeTablePage(page);
    }
    return;
  }
  unreachable();
}

// What release is to give back.
export const A_PAGE: u32 = 0;
/** Plus the exponent: a small block. 1 to 16: a slab of so many units. */
export const A_BLOCK: u32 = 32;

export function release(p: usize, what: u32): void {
  if (what == A_PAGE) freeTablePage(p);
  else if (what < A_BLOCK) freeSlab(p, what);
  else freeBlock(p, what - A_BLOCK);
}
