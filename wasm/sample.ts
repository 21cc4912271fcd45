// Which items are hot: one folded record in 64 or so is counted, by its item, for people. The state does not depend on it.
//
// The counts are lossy: when there are too many items, those that were sampled least are forgotten. An entry is
//   0 samples f32, 4 hash u32, 8 length u8, 9 the item id; a multiple of 16 bytes
// and they stand one behind the other. The directory has places for 4,096 numbers u16, probed linearly: 0 = none, else
// where an entry stands, in 16 bytes, and 1.

import {
  ITEM_ID_BYTES_MAX,
  Reason,
  SAMPLE_EVERY,
  SAMPLE_ID,
  SAMPLE_LENGTH,
  SAMPLES_BYTES,
  SAMPLES_MAX,
} from "./contract";
import { alignUp, allocatePages } from "./memory";
import { placeOfBytes } from "./secret";
import { ID, ID_LENGTH, REASON, RECORD_BYTES } from "./record";

const HASH: usize = 4;
const PLACES: u32 = 4096;
/** Items that stay when some are forgotten, at most. */
const KEPT: u32 = 512;
/** An item that has cooled down below it is forgotten. */
const COLD: f32 = 0.25;

export let sampleArea: usize = 0;
/** Bytes of the entries. */
export let sampleBytes: usize = 0;
/** Of all items, also of those that were forgotten. */
export let sampleCount: f64 = 0;
let directory: usize = 0;
let items: u32 = 0;
/** The next one to be sampled, counted from the first record of the next block. */
let next: u32 = 0;
/** Gaps differ, so that input with a period is not sampled at one item alone; a generator of its own decides them. */
let seed: u32 = 1;

export function initSamples(): void {
  sampleArea = allocatePages(SAMPLES_BYTES);
  directory = allocatePages(PLACES << 1);
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
  if (load<u32>(r, REASON) != Reason.None) return;
  const id = <usize> load<u32>(r, ID), n = load<u32>(r, ID_LENGTH);
  const hash = <u32> placeOfBytes(id, n);
  sampleCount++;
  let place = placeOfHash(hash);
  for (let e = load<u16>(place); e; e = load<u16>(place)) {
    const entry = entryAt(e);
    if (
      load<u32>(entry, HASH) == hash && <u32> load<u8>(entry, SAMPLE_LENGTH) == n &&
      memory.compare(entry + SAMPLE_ID, id, n) == 0
    ) {
      store<f32>(entry, load<f32>(entry) + 1);
      return;
    }
    place = following(place);
  }
  if (items == SAMPLES_MAX || sampleBytes + entryBytes(ITEM_ID_BYTES_MAX) > SAMPLES_BYTES) {
    forget();
    place = freePlace(hash);
  }
  const entry = sampleArea + sampleBytes;
  store<f32>(entry, 1);
  store<u32>(entry, hash, HASH);
  store<u8>(entry, <u8> n, SAMPLE_LENGTH);
  memory.copy(entry + SAMPLE_ID, id, n);
  store<u16>(place, numberOf(entry));
  sampleBytes += entryBytes(n);
  items++;
}

@inline
function entryBytes(n: u32): usize {
  return alignUp(SAMPLE_ID + n, 16);
}

@inline
function numberOf(entry: usize): u16 {
  return <u16> (((entry - sampleArea) >> 4) + 1);
}

@inline
function entryAt(number: u16): usize {
  return sampleArea + (<usize> (number - 1) << 4);
}

@inline
function placeOfHash(hash: u32): usize {
  return directory + (<usize> (hash & (PLACES - 1)) << 1);
}

@inline
function following(place: usize): usize {
  return directory + ((place + 2 - directory) & ((PLACES << 1) - 1));
}

function freePlace(hash: u32): usize {
  let place = placeOfHash(hash);
  while (load<u16>(place)) place = following(place);
  return place;
}

/** Forgets those that were sampled least. */
function forget(): void {
  for (let least: f32 = 1; items > KEPT || sampleBytes > SAMPLES_BYTES / 2; least *= 2) {
    keepAbove(least, 1);
  }
}

/** Lets all samples count less, by a factor up to 1. */
export function coolSamples(factor: f64): void {
  sampleCount *= factor;
  keepAbove(COLD, <f32> factor);
}

/** Multiplies the samples of all items, and keeps those that have more than so many then. */
function keepAbove(least: f32, factor: f32): void {
  const end = sampleArea + sampleBytes;
  let to = sampleArea;
  memory.fill(directory, 0, PLACES << 1);
  items = 0;
  for (let entry = sampleArea; entry < end;) {
    const bytes = entryBytes(<u32> load<u8>(entry, SAMPLE_LENGTH));
    const samples = load<f32>(entry) * factor;
    if (samples > least) {
      memory.copy(to, entry, bytes);
      store<f32>(to, samples);
      store<u16>(freePlace(load<u32>(to, HASH)), numberOf(to));
      to += bytes;
      items++;
    }
    entry += bytes;
  }
  sampleBytes = to - sampleArea;
}
