// The core of stockflow: the fold of one partition, in one WebAssembly memory.
//
// What lives in this folder: the business rule (rule.ts), the item table, open windows, the readers
// and writers of records, checkpoints of the state. Integers and manual memory alone; nothing is
// imported from the host, and there is no clock, no chance and no thread, so that the state is a
// function of the log. What may not: topics, networks, files, or knowledge of who calls.
//
// Data enters as record batches in the input area and leaves as record batches in the result and
// summary areas. This file is the whole contract; contract.ts has its numbers. The host is src/wasm/.

import {
  Area,
  BATCH_HEADER_BYTES,
  Code,
  CONFIG_ALERT_RATE_MIN,
  CONFIG_ALERT_TOTAL_MIN,
  CONFIG_BATCH_BYTES_MAX,
  CONFIG_COPY_PAGES_MAX,
  CONFIG_EVENT_TIME,
  CONFIG_FOLD_VERSION,
  CONFIG_FORMAT,
  CONFIG_INPUT_BYTES,
  CONFIG_LOG_SECRET,
  CONFIG_MAX_AHEAD_MS,
  CONFIG_MEMORY_PAGES_MAX,
  CONFIG_OUT_OF_ORDER_MS,
  CONFIG_PARTITION,
  CONFIG_PARTITIONER,
  CONFIG_PARTITIONS,
  CONFIG_REMEMBER_MS,
  CONFIG_REMEMBERED_MAX,
  CONFIG_RESULT_BYTES,
  CONFIG_SECRET,
  CONFIG_SUMMARY_BYTES,
  CONFIG_WINDOW_MS,
  DEAD_BYTES,
  DEAD_MAX,
  FINISHED_BYTES,
  FINISHED_MAX,
  FOLD_VERSION,
  LOOKUP_BYTES,
  OUTCOMES_MAX,
  OUTPUT_RECORD_BYTES_MAX,
  PAGE_BYTES,
  SEGMENTS,
} from "./contract";
import { alignUp, allocatePages, ensure, initMemory, replaceArea } from "./memory";
import { crc32c, initCrc, removed } from "./crc32c";
import { initKeys } from "./keys";
import { BLOCK_RECORDS, initTable, markChanged, segments } from "./table";
import { cutActive, initCopies } from "./copies";
import { SEGMENT_DESCRIPTOR_BYTES } from "./layout";
import { initWindows } from "./windows";
import { config, initState, state } from "./state";
import { advanceIdle, advanceTo, firing, initTime, raiseFold } from "./time";
import { initPartition } from "./partition";
import { initJson } from "./json";
import {
  finishedCount,
  initOutput,
  initStream,
  release as releaseStream,
  seal as sealStream,
  setProducerOf,
  STREAM_BYTES,
} from "./output";
import { initResults } from "./results";
import { fireWindows, initSummaries } from "./summaries";
import { beginBatch, deadCount, dropSides, initFold, outcomeCount, runBatch } from "./fold";
import { initBatch, setInput } from "./batch";
import { coolSamples as cool, initSamples, sampleArea, sampleBytes, sampleCount } from "./sample";
import { beginCut, encodeNext as encodeNextSegment, endCut as endCheckpoint } from "./checkpoint";
import { encodedLength, encodedStock } from "./encode";
import { beginRestore, restoredStock, restoreSlice, restoring } from "./restore";
import { reserveSegment, segmentArea } from "./work";
import { lookUp } from "./lookup";
import { initRemembered } from "./remembered";
import { info } from "./info";

/** Before and behind every area whose bytes are read in steps of 16. */
const PADDING: usize = 512;
const OUT_OF_ORDER_WINDOWS_MAX: i64 = 16384;
/** About 30 years. */
const REMEMBER_MS_MAX: i64 = 1 << 40;
/** More would not fit into the memory. */
const REMEMBERED_MAX: u32 = 1 << 27;

const results = memory.data(STREAM_BYTES, 16);
const summaries = memory.data(STREAM_BYTES, 16);
let input: usize = 0;
let inputBytes: usize = 0;
let finishedResults: usize = 0;
let finishedSummaries: usize = 0;
let deadLetters: usize = 0;
let outcomes: usize = 0;
let lookup: usize = 0;

/** Builds an empty partition as the configuration area says. Called once. */
export function init(): i32 {
  const windowMs = load<i64>(config, CONFIG_WINDOW_MS),
    outOfOrderMs = load<i64>(config, CONFIG_OUT_OF_ORDER_MS);
  const resultBytes = <usize> load<u32>(config, CONFIG_RESULT_BYTES),
    summaryBytes = <usize> load<u32>(config, CONFIG_SUMMARY_BYTES);
  const batchBytesMax = <usize> load<u32>(config, CONFIG_BATCH_BYTES_MAX);
  const format = load<u32>(config, CONFIG_FORMAT),
    partitions = load<u32>(config, CONFIG_PARTITIONS);
  if (windowMs < 0 || outOfOrderMs < 0 || load<i64>(config, CONFIG_MAX_AHEAD_MS) < 0) {
    return Code.Config;
  }
  const rememberMs = load<i64>(config, CONFIG_REMEMBER_MS);
  if (rememberMs < 0 || rememberMs > REMEMBER_MS_MAX) return Code.Config;
  if (load<u32>(config, CONFIG_REMEMBERED_MAX) > REMEMBERED_MAX) return Code.Config;
  if (load<u32>(config, CONFIG_FOLD_VERSION) > <u32> FOLD_VERSION) return Code.Config;
  if (windowMs && outOfOrderMs / windowMs > OUT_OF_ORDER_WINDOWS_MAX) return Code.Config;
  if (format > 1 || !partitions || load<u32>(config, CONFIG_PARTITION) >= partitions) {
    return Code.Config;
  }
  if (batchBytesMax < OUTPUT_RECORD_BYTES_MAX + BATCH_HEADER_BYTES) return Code.Config;
  if (resultBytes < 2 * BLOCK_RECORDS * (OUTPUT_RECORD_BYTES_MAX + BATCH_HEADER_BYTES)) {
    return Code.Config;
  }
  if (summaryBytes < 4 * OUTPUT_RECORD_BYTES_MAX) return Code.Config;
  initMemory(min(load<u32>(config, CONFIG_MEMORY_PAGES_MAX), 65535));
  const areas = <usize> load<u32>(config, CONFIG_INPUT_BYTES) + resultBytes + summaryBytes;
  if (areas < resultBytes || !ensure(areas + INIT_BYTES)) return Code.OutOfMemory;
  initCrc();
  initKeys(load<u64>(config, CONFIG_SECRET), load<u64>(config, CONFIG_SECRET + 8));
  initCopies();
  initTable();
  if (
    !initRemembered(
      load<i64>(config, CONFIG_REMEMBER_MS),
      load<u32>(config, CONFIG_REMEMBERED_MAX),
      load<u64>(config, CONFIG_LOG_SECRET),
      load<u64>(config, CONFIG_LOG_SECRET + 8),
    )
  ) return Code.OutOfMemory;
  initState();
  // Open: those that end after the watermark and begin by the largest ts, and one that just became due.
  initWindows(windowMs, windowMs ? <u32> (outOfOrderMs / windowMs) + 4 : 0);
  initTime(
    load<u32>(config, CONFIG_EVENT_TIME) != 0,
    outOfOrderMs,
    load<i64>(config, CONFIG_MAX_AHEAD_MS),
    load<u32>(config, CONFIG_FOLD_VERSION),
  );
  initPartition(
    load<u32>(config, CONFIG_PARTITIONER),
    load<u32>(config, CONFIG_PARTITION),
    partitions,
  );
  initJson();
  initResults();
  initOutput(batchBytesMax);
  finishedResults = allocatePages(FINISHED_MAX * FINISHED_BYTES);
  finishedSummaries = allocatePages(FINISHED_MAX * FINISHED_BYTES);
  initStream(results, allocatePages(resultBytes + PADDING), resultBytes, finishedResults);
  initStream(summaries, allocatePages(summaryBytes + PADDING), summaryBytes, finishedSummaries);
  initSummaries(
    format,
    load<i64>(config, CONFIG_ALERT_TOTAL_MIN),
    load<f64>(config, CONFIG_ALERT_RATE_MIN),
    summaries,
  );
  deadLetters = allocatePages(DEAD_MAX * DEAD_BYTES);
  outcomes = allocatePages(OUTCOMES_MAX);
  lookup = allocatePages(LOOKUP_BYTES + PADDING);
  initSamples();
  takeInput(0, 0, <usize> load<u32>(config, CONFIG_INPUT_BYTES));
  initBatch(format, input, inputBytes);
  initFold(format, load<u32>(config, CONFIG_COPY_PAGES_MAX), results, deadLetters, outcomes);
  return reserveSegment(PAGE_BYTES) ? Code.Done : Code.OutOfMemory;
}

/** What init takes beside the areas of configured size, generously. */
const INIT_BYTES: usize = 2 << 20;

/** Where an area starts. Areas that can be reserved anew move. */
export function address(area: i32): usize {
  switch (area) {
    case Area.Config:
      return config;
    case Area.State:
      return state;
    case Area.Info:
      return info;
    case Area.Input:
      return input;
    case Area.FinishedResults:
      return finishedResults;
    case Area.FinishedSummaries:
      return finishedSummaries;
    case Area.DeadLetters:
      return deadLetters;
    case Area.Outcomes:
      return outcomes;
    case Area.Lookup:
      return lookup;
    case Area.Samples:
      return sampleArea;
    case Area.Checksum:
      return removed;
    default:
      return segmentArea;
  }
}

// ---- input ----

function takeInput(old: usize, oldBytes: usize, bytes: usize): bool {
  const area = replaceArea(old, oldBytes, bytes + 2 * PADDING);
  if (!area) return false;
  input = area + PADDING;
  inputBytes = bytes;
  return true;
}

/** Makes room for an input batch of so many bytes. What was in the input area is lost. */
export function reserveInput(bytes: u32): i32 {
  if (bytes <= inputBytes) return Code.Done;
  if (deadCount) return Code.State;
  const old = alignUp(inputBytes + 2 * PADDING, PAGE_BYTES);
  if (!takeInput(input - PADDING, old, bytes)) return Code.OutOfMemory;
  setInput(input, inputBytes);
  return Code.Done;
}

/** CRC32C of so many bytes of the input area from an offset on. */
export function crc(offset: u32, length: u32): u32 {
  return crc32c(input + offset, length);
}

/**
 * Takes the record batch of `length` bytes in the input area: run folds its records from the position
 * on, up to offset `until`.
 */
export function begin(length: u32, until: i64, flags: u32): i32 {
  return restoring() ? Code.State : beginBatch(length, until, flags);
}

/** Folds on. Done: the batch is finished, and position is behind it. Else see Code. */
export function run(): i32 {
  return runBatch();
}

/** Folds as the newest version from the position on. Not while something is due, or a checkpoint is cut. */
export function raise(): i32 {
  if (restoring() || firing() || cutActive) return Code.State;
  raiseFold();
  return Code.Done;
}

// ---- output ----

/** Producer id, epoch and next sequence number of the results' batches; an id of -1 = none. */
export function setProducer(id: i64, epoch: i32, sequence: i32): void {
  setProducerOf(results, id, epoch, sequence);
}

/** Finishes the open output batches. */
export function seal(): void {
  sealStream(results);
  sealStream(summaries);
}

export function resultBatches(): u32 {
  return finishedCount(results);
}

export function summaryBatches(): u32 {
  return finishedCount(summaries);
}

export function deadLetterCount(): u32 {
  return deadCount;
}

export function outcomeBytes(): u32 {
  return outcomeCount;
}

/** The host has taken all finished batches, dead letters and outcomes. */
export function release(): void {
  releaseStream(results);
  releaseStream(summaries);
  dropSides();
}

// ---- samples ----

/** Samples of all items. */
export function samples(): f64 {
  return sampleCount;
}

/** Bytes in the sample area. */
export function samplesLength(): u32 {
  return <u32> sampleBytes;
}

/** Lets all samples so far count less, by a factor up to 1. */
export function coolSamples(factor: f64): void {
  cool(factor);
}

// ---- windows ----

/** Asks for a fired watermark of at least `target` ms; fire does the work. */
export function advance(target: i64): void {
  advanceTo(target);
}

/** Asks for all open windows to be fired: the partition is idle. */
export function idle(): void {
  advanceIdle();
}

/** Fires a piece of what is due; without `emit` its summaries are dropped. */
export function fire(emit: i32): i32 {
  return fireWindows(emit != 0);
}

// ---- checkpoints ----

/** Freezes the state for a checkpoint. */
export function cut(): i32 {
  return restoring() ? Code.State : beginCut();
}

/**
 * Encodes a slice of the next segment that changed since the last published checkpoint: its index when it
 * is done, SEGMENT_MORE before, or SEGMENTS when none is left.
 */
export function encodeNext(): i32 {
  return encodeNextSegment();
}

/** Length of the segment encoded last. */
export function segmentLength(): u32 {
  return encodedLength;
}

/** Sum of the stocks of the segment encoded last, modulo 2^64. */
export function encodedStockSum(): i64 {
  return encodedStock;
}

/** The same of the segment restored last. */
export function restoredStockSum(): i64 {
  return restoredStock;
}

/** Ends what cut began. */
export function endCut(published: i32): void {
  endCheckpoint(published != 0);
}

/** Puts a segment into the next checkpoint, because the one that had it was not published after all. */
export function markSegment(segment: u32): void {
  if (segment < SEGMENTS) markChanged(segments + <usize> segment * SEGMENT_DESCRIPTOR_BYTES);
}

// What is remembered (remembered_pieces.ts) goes into a checkpoint behind the segments, and is restored behind them.

export {
  encodeHeader as encodeRemembered,
  encodePiece as encodeRememberedPiece,
  firstPiece as firstRememberedPiece,
  lastPiece as rememberedPiece,
  lastPieceLength as rememberedPieceLength,
  markPieces as markRememberedPieces,
  restoreHeader as restoreRemembered,
  restoreIndex as endRememberedRestore,
  restorePiece as restoreRememberedPiece,
} from "./remembered_pieces";

export { forgetBeyond as limitRemembered } from "./remembered_ring";
export { rememberedInIndex } from "./remembered_index";

/** Makes room for an encoded segment to restore. */
export function reserveSegmentBytes(bytes: u32): i32 {
  return reserveSegment(bytes) ? Code.Done : Code.OutOfMemory;
}

/** Begins to restore one segment of a new instance; restoreSome does it. */
export function restoreSegment(segment: u32, length: u32): i32 {
  return beginRestore(segment, length);
}

/** Restores a slice of it: More when something is left. */
export function restoreSome(): i32 {
  return restoreSlice();
}

// ---- look-ups and figures ----

/** Answers n keys in the look-up area (see lookup.ts). */
export function find(n: u32): void {
  lookUp(lookup, n);
}

export { linesPassed, refreshInfo } from "./info";
