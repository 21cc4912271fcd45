// The descriptor of a segment of the item table (see table.ts), which a checkpoint copies.
//
//   32 B: 0 items u32, 4 lines u32, 8 grow at u32, 12 page table u32, 16 parts u32,
//  20 changed since the last checkpoint u8, 21 in the list of segments to grow u8,
//  22 changed, kept for a checkpoint that fails u8,
//  24 shards u32, 28 descriptors of the shards u32
//
// A large segment is cut into shards, so that none of its parts takes long to grow. Their descriptors
// stand in one block; of each, bytes 0 to 19 count. A segment without shards has lines of its own.

export const SEGMENT_DESCRIPTOR_BYTES: usize = 32;
export const SEGMENT_ITEMS: usize = 0;
export const SEGMENT_LINES: usize = 4;
export const SEGMENT_GROW_AT: usize = 8;
/** Block of u32: the pages of 256 lines, or one slab. */
export const SEGMENT_PAGE_TABLE: usize = 12;
export const SEGMENT_PARTS: usize = 16;
export const SEGMENT_CHANGED: usize = 20;
export const SEGMENT_WAITS: usize = 21;
export const SEGMENT_WAS_CHANGED: usize = 22;
/** 0 = the segment has lines of its own. */
export const SEGMENT_SHARDS: usize = 24;
/** Block of descriptors. */
export const SEGMENT_SHARD_TABLE: usize = 28;

/** A part of a segment has at most so many lines. */
export const LINES_PER_PAGE: u32 = 256;
export const LINE_BYTES: usize = 64;
/** A byte of a line that is 0, and stays so, like the one behind it. */
export const LINE_UNUSED: usize = 60;
/** Bytes of a line's key codes. */
export const LINE_CODES_BYTES: usize = 24;

@inline
export function segmentPart(d: usize, i: u32): usize {
  return <usize> load<u32>(<usize> load<u32>(d, SEGMENT_PAGE_TABLE) + (<usize> i << 2));
}

/** Runs of lines that the segment consists of: its shards, or itself. */
@inline
export function shardCount(d: usize): u32 {
  return max(1, load<u32>(d, SEGMENT_SHARDS));
}

@inline
export function shard(d: usize, i: u32): usize {
  return load<u32>(d, SEGMENT_SHARDS)
    ? <usize> load<u32>(d, SEGMENT_SHARD_TABLE) + <usize> i * SEGMENT_DESCRIPTOR_BYTES
    : d;
}

/** Bytes of the lines in each part. */
@inline
export function partBytes(d: usize): usize {
  return <usize> min(load<u32>(d, SEGMENT_LINES), LINES_PER_PAGE) * LINE_BYTES;
}
