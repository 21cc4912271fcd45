// Which items are hot: the ids of some folded records, for people. The state does not depend on it.

import { Reason, SAMPLE_BYTES, SAMPLE_EVERY, SAMPLES_MAX } from "./contract";
import { allocatePages } from "./memory";
import { ID, ID_LENGTH, REASON, RECORD_BYTES } from "./record";

export let sampleArea: usize = 0;
export let sampleCount: u32 = 0;
/** The next one to be sampled, counted from the first record of the next block. */
let next: u32 = 0;
/** Gaps differ, so that input with a period is not sampled at one item alone; a generator of its own decides them. */
let seed: u32 = 1;

export function initSamples(): void {
  sampleArea = allocatePages(SAMPLES_MAX * <u32> SAMPLE_BYTES);
}

export function forgetSamples(): void {
  sampleCount = 0;
}

/** Samples the records of a block that were folded. */
@inline
export function sample(block: usize, end: usize): void {
  const n = <u32> ((end - block) / RECORD_BYTES);
  for (; next < n; next += gap()) take(block + <usize> next * RECORD_BYTES);
  next -= n;
}

/** 1 to 2 * SAMPLE_EVERY - 1, by a linear congruence. */
function gap(): u32 {
  seed = seed * 1664525 + 1013904223;
  return 1 + (seed >> 16) % (2 * SAMPLE_EVERY - 1);
}

function take(r: usize): void {
  if (sampleCount == SAMPLES_MAX || load<u32>(r, REASON) != Reason.None) return;
  const at = sampleArea + <usize> sampleCount * SAMPLE_BYTES, length = load<u32>(r, ID_LENGTH);
  store<u32>(at, length);
  memory.copy(at + 4, <usize> load<u32>(r, ID), <usize> length);
  sampleCount++;
}
