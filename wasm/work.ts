// Work areas of checkpoints and restores. They grow, and are never given back.

import { PAGE_BYTES } from "./contract";
import { alignUp, replaceArea } from "./memory";

/** The encoded segment, in or out. */
export let segmentArea: usize = 0;
export let segmentAreaBytes: usize = 0;

let work: usize = 0;
let workBytes: usize = 0;
let windowWork: usize = 0;
let windowWorkBytes: usize = 0;

const SEGMENT_PADDING: usize = 64;

/** Makes room for an encoded segment of so many bytes; its reader may load a few bytes more. */
export function reserveSegment(bytes: usize): bool {
  if (bytes + SEGMENT_PADDING <= segmentAreaBytes) return true;
  const size = alignUp(bytes + SEGMENT_PADDING, PAGE_BYTES),
    area = replaceArea(segmentArea, segmentAreaBytes, size);
  if (!area) return false;
  segmentArea = area;
  segmentAreaBytes = size;
  return true;
}

/** An area for one call or for the slices of one segment; 0 = no room. */
export function reserveWork(bytes: usize): usize {
  if (bytes > workBytes) {
    const size = alignUp(bytes, PAGE_BYTES), area = replaceArea(work, workBytes, size);
    if (!area) return 0;
    work = area;
    workBytes = size;
  }
  return work;
}

/** Another one, for the accumulators of a segment; 0 = no room. */
export function reserveWindowWork(bytes: usize): usize {
  if (bytes > windowWorkBytes) {
    const size = alignUp(bytes, PAGE_BYTES), area = replaceArea(windowWork, windowWorkBytes, size);
    if (!area) return 0;
    windowWork = area;
    windowWorkBytes = size;
  }
  return windowWork;
}
