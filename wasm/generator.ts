// The generator: a log of transactions that is computed, not stored. Record o of partition p is a pure
// function of (seed, p, o) and of the time that the caller gives it, on every machine: integers, and
// the floating-point functions of AssemblyScript's own library, alone. A module of its own, so that the
// core does not know it.
//
// Items have the ids item_1 .. item_<n>, and a partition generates those that belong to it. The number
// is round(sample - n) + 1 of a Pareto distribution with scale n, redrawn beyond n; the quantity is
// round(gaussian / 2 * 10) * 10 + 5; transaction ids are uniform in 0 .. 2^63 - 1.

import {
  BATCH_HEADER_BYTES,
  Format,
  GENERATOR_BYTES,
  GENERATOR_FORMAT,
  GENERATOR_ITEMS,
  GENERATOR_ITEMS_MAX,
  GENERATOR_PARTITION,
  GENERATOR_PARTITIONER,
  GENERATOR_PARTITIONS,
  GENERATOR_RECORDS_MAX,
  GENERATOR_SEED,
  GENERATOR_SHAPE,
} from "./contract";
import { addAlias, allocateAliases, buildAliases, drawAlias } from "./alias";
import { initCrc } from "./crc32c";
import { copyFast, putAscii, putDecimal } from "./integers";
import { allocatePages, initMemory } from "./memory";
import {
  closeRecord,
  discard,
  initOutput,
  initStream,
  nextByte,
  openRecord,
  sealAt,
  STREAM_BYTES,
} from "./output";
import { belongsHere, initPartition } from "./partition";

const GOLDEN: u64 = 0x9e3779b97f4a7c15;

/** Quantities beyond 12.8 standard deviations are not drawn: they have a probability below 2^-120. */
const STEPS: i32 = 64;
/** Standard deviations per step of 10 pieces. */
const STEP_DEVIATIONS: f64 = 0.2;
/** Strips of Simpson's rule per step; its error is far below what 32 bits can hold. */
const STRIPS: i32 = 64;

/** Bytes of a generated record at the most: JSON with the longest numbers, key and framing. */
const RECORD_BYTES_MAX: usize = 192;

const config = memory.data(GENERATOR_BYTES, 16);
const stream = memory.data(STREAM_BYTES, 16);
const value = memory.data(256, 16);
const key = memory.data(64, 16);
const pairs = memory.data(256, 16);
const powers = memory.data(160, 16);
const lastDigits = memory.data(32, 16);
const id_ = memory.data(32, 16);
const ts_ = memory.data(16, 16);
const itemId_ = memory.data(16, 16);
const quantity_ = memory.data(16, 16);
let entries: usize = 0;
let drawn: usize = 0;
let items: usize = 0;
let itemCount: u32 = 0;
let quantities: usize = 0;
let randomKey: u64 = 0;
let json: bool = false;
let lastTimestamp: u64 = u64.MAX_VALUE;
let lastLength: u32 = 0;

/** Where the host writes the configuration. */
export function address(): usize {
  return config;
}

/** Builds the generator as configured; answers the number of items of its partition. */
export function init(): u32 {
  initMemory(65535);
  initCrc();
  const all = min(load<u32>(config, GENERATOR_ITEMS), GENERATOR_ITEMS_MAX);
  json = load<u32>(config, GENERATOR_FORMAT) == Format.Json;
  const partition = load<u32>(config, GENERATOR_PARTITION);
  initPartition(
    load<u32>(config, GENERATOR_PARTITIONER),
    partition,
    load<u32>(config, GENERATOR_PARTITIONS),
  );
  randomKey = mix(mix(load<u64>(config, GENERATOR_SEED)) + <u64> partition * GOLDEN);
  initTexts();
  const bytes = GENERATOR_RECORDS_MAX * RECORD_BYTES_MAX + BATCH_HEADER_BYTES;
  initOutput(bytes);
  entries = allocatePages(64);
  drawn = allocatePages(<usize> GENERATOR_RECORDS_MAX << 2);
  initStream(stream, allocatePages(bytes), bytes, entries);
  initQuantities();
  initItems(all, load<f64>(config, GENERATOR_SHAPE));
  return itemCount;
}

function initTexts(): void {
  for (let i: u32 = 0; i < 100; i++) {
    store<u8>(pairs + (i << 1), <u8> (48 + i / 10));
    store<u8>(pairs + (i << 1) + 1, <u8> (48 + i % 10));
  }
  store<u64>(powers, 0);
  for (let i: usize = 1, power: u64 = 10; i < 20; i++, power *= 10) {
    store<u64>(powers + (i << 3), power);
  }
  putAscii(id_, '{"transactionId":');
  putAscii(ts_, ',"ts":');
  putAscii(itemId_, ',"itemId":"');
  putAscii(quantity_, '","quantity":');
  putAscii(key, "item_");
}

/** The standard normal distribution's mass in steps of 0.2 deviations. */
function initQuantities(): void {
  const m = <u32> (2 * STEPS);
  quantities = allocateAliases(m);
  for (let k = -STEPS; k < STEPS; k++) {
    addAlias(quantities, <u32> (k + STEPS), <u32> (k + STEPS), normalMass(k));
  }
  buildAliases(quantities, m, allocatePages(<usize> m << 2));
}

/** Mass of the k-th step, up to a factor, by Simpson's rule. */
function normalMass(k: i32): f64 {
  const from = (<f64> k - 0.5) * STEP_DEVIATIONS, width = STEP_DEVIATIONS / <f64> STRIPS;
  let sum: f64 = 0;
  for (let i = 0; i <= STRIPS; i++) {
    const x = from + <f64> i * width;
    sum += Math.exp(-x * x / 2) * (i == 0 || i == STRIPS ? 1 : i & 1 ? 4 : 2);
  }
  return sum;
}

/** The items of this partition, each with the mass that the Pareto distribution gives it. */
function initItems(all: u32, shape: f64): void {
  itemCount = 0;
  for (let n: u32 = 1; n <= all; n++) if (belongsHere(key, putItemId(n))) itemCount++;
  items = allocateAliases(itemCount);
  let i: u32 = 0;
  const scale = <f64> all;
  for (let n: u32 = 1; n <= all; n++) {
    if (!belongsHere(key, putItemId(n))) continue;
    const from = n == 1 ? 0 : <f64> n - 1.5;
    addAlias(items, i++, n, beyond(from, scale, shape) - beyond(<f64> n - 0.5, scale, shape));
  }
  buildAliases(items, itemCount, allocatePages(<usize> itemCount << 2));
}

/** Probability that a sample is larger than scale + y. */
@inline
function beyond(y: f64, scale: f64, shape: f64): f64 {
  return Math.pow(scale / (scale + y), shape);
}

/** Writes the id of item n; returns its length. */
@inline
function putItemId(n: u32): u32 {
  return 5 + putDecimal(key + 5, n);
}

/** The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). */
@inline
function mix(x: u64): u64 {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/** The n-th of four random numbers of an offset. */
@inline
function random(offset: u64, n: u64): u64 {
  return mix(randomKey + (offset * 4 + n) * GOLDEN);
}

/**
 * Generates the records from an offset on as one batch.
 *
 * @param origin timestamp of the record at offset `since`, ms
 * @param msPerRecord time from one record to the next
 * @returns where the batch is; batchLength is its length
 */
export function generate(
  first: i64,
  count: u32,
  origin: i64,
  since: i64,
  msPerRecord: f64,
): usize {
  discard(stream);
  let o = nextByte(stream);
  const n = min(count, GENERATOR_RECORDS_MAX);
  drawItems(<u64> first, n);
  for (let i: u32 = 0; i < n; i++) {
    const offset = first + i;
    const timestamp = origin + <i64> (<f64> (offset - since) * msPerRecord);
    o = put(o, <u64> offset, timestamp, load<u32>(drawn + (<usize> i << 2)));
  }
  sealAt(stream, o);
  const batch = <usize> load<u32>(entries);
  store<u64>(batch, bswap(<u64> first));
  return batch;
}

/** Draws the items of a batch first: a loop so short that many entries are fetched at the same time. */
function drawItems(first: u64, n: u32): void {
  for (let i: u32 = 0; i < n; i++) {
    store<u32>(drawn + (<usize> i << 2), drawAlias(items, itemCount, random(first + i, 1)));
  }
}

/** Length of the batch generated last. */
export function batchLength(): u32 {
  return load<u32>(entries, 4);
}

function put(o: usize, offset: u64, timestamp: i64, item: u32): usize {
  const id = random(offset, 0) >> 1;
  const keyLength = putItemId(item);
  const step = <i32> drawAlias(quantities, <u32> (2 * STEPS), random(offset, 2)) - STEPS;
  const length = json
    ? putJson(id, timestamp, keyLength, step * 10 + 5)
    : putText(id, timestamp, keyLength, step * 10 + 5);
  o = openRecord(stream, o, timestamp, key, keyLength, length, 1);
  return closeRecord(copyFast(o, value, length));
}

function putText(id: u64, timestamp: i64, keyLength: u32, quantity: i32): u32 {
  let v = putNumber(value, id);
  store<u8>(v++, 9);
  v = putTimestamp(v, <u64> timestamp);
  store<u8>(v++, 9);
  v = copyFast(v, key, keyLength);
  store<u8>(v++, 9);
  return <u32> (putSigned(v, quantity) - value);
}

function putJson(id: u64, timestamp: i64, keyLength: u32, quantity: i32): u32 {
  let v = copyFast(value, id_, 17);
  v = copyFast(putNumber(v, id), ts_, 6);
  v = copyFast(putTimestamp(v, <u64> timestamp), itemId_, 11);
  v = copyFast(copyFast(v, key, keyLength), quantity_, 13);
  v = putSigned(v, quantity);
  store<u8>(v++, 125);
  return <u32> (v - value);
}

@inline
function putSigned(v: usize, n: i32): usize {
  if (n < 0) store<u8>(v++, 45);
  return v + putDecimal(v, <u64> abs(n));
}

/** Writes a timestamp; those of neighbours are often equal. */
@inline
function putTimestamp(v: usize, timestamp: u64): usize {
  if (timestamp != lastTimestamp) {
    lastTimestamp = timestamp;
    lastLength = <u32> (putNumber(lastDigits, timestamp) - lastDigits);
  }
  return copyFast(v, lastDigits, lastLength);
}

/** Writes a number of many digits, two at a time; returns its end. */
function putNumber(v: usize, n: u64): usize {
  const length = digits(n);
  let q = v + length;
  while (n >= 100) {
    const rest = n / 100;
    q -= 2;
    store<u16>(q, load<u16>(pairs + (<usize> (n - rest * 100) << 1)));
    n = rest;
  }
  if (n >= 10) store<u16>(q - 2, load<u16>(pairs + (<usize> n << 1)));
  else store<u8>(q - 1, <u8> (48 + n));
  return v + length;
}

/** Number of decimal digits, at most 19. */
@inline
function digits(n: u64): u32 {
  // 1233 / 4096 is log10(2), nearly.
  const less = <u32> (64 - clz(n | 1)) * 1233 >> 12;
  return less + <u32> (n >= load<u64>(powers + (<usize> less << 3)));
}
