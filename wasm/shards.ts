// Shards: ids of one segment can be chosen; so a segment with more than SHARD_ITEMS items is cut into shards of
// their own runs, by the lowest bits of the place, one cut in two at a time (linear hashing, Litwin 1980): whatever
// the ids, a call moves twice as many items at the most.

import { codePlace } from "./keys";
import {
  LINE_BYTES,
  LINE_CODES_BYTES,
  partBytes,
  SEGMENT_DESCRIPTOR_BYTES,
  SEGMENT_PARTS,
  SEGMENT_SHARD_TABLE,
  SEGMENT_SHARDS,
  segmentPart,
  shard,
  shardCount,
} from "./layout";
import { A_BLOCK, blockShift, CHUNK_BYTES, ensure, release, takeBlock } from "./memory";
import { bytesFor, countGrowth, freeSlot, giveBackLines, layOut, linesFor, moveSlot } from "./runs";

/** Items of a shard on average, at which the segment gets another one. */
export const SHARD_ITEMS: u32 = 49152;

/** The descriptor of the run in which an item of the segment stands. */
@inline
export function runOf(d: usize, place: u64): usize {
  return load<u32>(d, SEGMENT_SHARDS) ? shardOf(d, <u32> place) : d;
}

function shardOf(d: usize, place: u32): usize {
  const shards = load<u32>(d, SEGMENT_SHARDS), mask = <u32> -1 >> clz(shards - 1);
  let i = place & mask;
  if (i >= shards) i &= mask >> 1; // not cut yet
  return shard(d, i);
}

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
export function addShard(d: usize): bool {
  const shards = shardCount(d), level = <u32> 1 << (31 - clz(shards));
  const old = shard(d, shards - level), items = load<u32>(old);
  const lines = linesFor((items >> 1) + (items >> 4));
  const tableBytes = 2 * (<usize> 1 << shardTableShift(shards + 1)) + CHUNK_BYTES;
  if (!ensure(2 * bytesFor(lines) + tableBytes)) return false;
  growShardTable(d, shards + 1);
  countGrowth();
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

/** The descriptor of the run that is being cut, as it was. */
const before = memory.data(32, 8);

/** Moves a line's items to the shard that the bit of their place names. */
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
