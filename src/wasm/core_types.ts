// What goes into a core and comes out of it.

import type * as c from "../../wasm/contract.ts";
import type { BufferPool } from "./buffer_pool.ts";

/** What a partition's core is built with. */
export interface CoreOptions {
  readonly format: c.Format;
  readonly partitioner: c.Partitioner;
  /** This partition of the input topic. */
  readonly partition: number;
  /** Partitions of the input topic. */
  readonly partitions: number;
  /** Window length in ms; 0 = no summaries. */
  readonly windowMs: number;
  readonly eventTime: boolean;
  readonly outOfOrderMs: number;
  readonly maxAheadMs: number;
  /** A summary is written if it has more transactions than this ... */
  readonly alertTotalMin: number;
  /** ... and a larger share of failed ones than this. */
  readonly alertRateMin: number;
  /** As which version it folds; the newest by default. */
  readonly foldVersion?: number | undefined;
  /** Repetitions of a transaction are executed once; not at all by default. */
  readonly remember?: RememberOptions | undefined;
  /** First size of the input area in bytes; it grows with the batches. */
  readonly inputBytes?: number;
  /** Size of the result area in bytes. */
  readonly resultBytes?: number;
  /** Size of the summary area in bytes. */
  readonly summaryBytes?: number;
  /** Largest output batch in bytes. */
  readonly batchBytesMax?: number;
  /** Pages of 16 KiB that may be copied for a checkpoint being cut. */
  readonly copyPagesMax?: number;
  /** Limit of the memory in pages of 64 KiB. */
  readonly memoryPagesMax?: number;
  /** Where buffers for results come from; fresh ones by default. */
  readonly buffers?: BufferPool;
}

/** How long transactions are remembered, to find their repetitions. */
export interface RememberOptions {
  /** By the log's own clock, in ms. */
  readonly windowMs: number;
  /** At the most; the oldest ones are forgotten first. */
  readonly max: number;
  /** 16 bytes that belong to the log: cores that fold it have the same. Null: not known yet; no core is built then. */
  readonly secret: Uint8Array | null;
}

/** How a batch is folded. */
export interface FoldOptions {
  /** Records from this offset on are left. */
  readonly until?: bigint;
  /** Compare the batch's CRC32C first (default). */
  readonly checkCrc?: boolean;
  /** Write results and dead letters (default). */
  readonly emit?: boolean;
  /** Write no results, but dead letters and outcomes. */
  readonly discardResults?: boolean;
  /** Write one outcome byte per record. */
  readonly outcomes?: boolean;
  /** Stop before the first record that would add an item. */
  readonly knownItems?: boolean;
  /** Fold again what was committed: nothing is fired. */
  readonly replay?: boolean;
}

/** A record that was not valid. */
export interface DeadLetter {
  /** Copy of the record, from its length varint on (see decodeRecord). */
  readonly record: Uint8Array;
  readonly reason: c.Reason;
  readonly offset: bigint;
  /** The record's timestamp as it counts, in ms. */
  readonly timestamp: bigint;
}

/** A finished output batch. */
export interface OutputBatch {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly records: number;
}

/** What the core has finished since the last call. */
export interface Output {
  readonly results: readonly OutputBatch[];
  readonly summaries: readonly OutputBatch[];
  readonly deadLetters: readonly DeadLetter[];
  /** One byte per folded record if asked for, see OUTCOME_*. */
  readonly outcomes: Uint8Array;
}

/** A segment of the state as a checkpoint holds it. */
export interface EncodedSegment {
  readonly segment: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Figures of a core that are not state; in bytes unless they say otherwise. */
export interface CoreInfo {
  readonly tableBytes: number;
  readonly windowBytes: number;
  readonly keyBytes: number;
  readonly freeBytes: number;
  readonly copyBytes: number;
  readonly memoryBytes: number;
  /** Items seen, and unseen ones with an open window. */
  readonly slots: number;
  readonly openWindows: number;
  readonly accumulators: number;
  readonly growths: number;
  readonly windowsFired: number;
  /** Before the alert filter. */
  readonly summariesFired: number;
  readonly alerts: number;
  /** ms; 0 = no window is open */
  readonly newestWindowEnd: number;
  readonly prefixes: number;
  /** Transactions that are remembered. */
  readonly remembered: number;
  readonly rememberedBytes: number;
  /** Transactions that were repetitions. */
  readonly duplicates: number;
  /** Clock of the oldest piece of those that are remembered, ms; NO_TIME = none. */
  readonly rememberedSince: bigint;
  /** The log's clock, ms; NO_TIME = none. */
  readonly rememberedClock: bigint;
  /** Record timestamps that are not those of dates since the core was made, replays left out. */
  readonly impossibleTimestamps: number;
}

/** What the compiled core exports; wasm/core.ts documents it. */
export interface Exports {
  readonly memory: WebAssembly.Memory;
  init(): c.Code;
  address(area: c.Area): number;
  reserveInput(bytes: number): c.Code;
  crc(offset: number, length: number): number;
  begin(length: number, until: bigint, flags: number): c.Code;
  run(): c.Code;
  raise(): c.Code;
  setProducer(id: bigint, epoch: number, sequence: number): void;
  seal(): void;
  resultBatches(): number;
  summaryBatches(): number;
  deadLetterCount(): number;
  outcomeBytes(): number;
  release(): void;
  advance(target: bigint): void;
  idle(): void;
  fire(emit: number): c.Code;
  cut(): c.Code;
  encodeNext(): number;
  segmentLength(): number;
  encodedStockSum(): bigint;
  restoredStockSum(): bigint;
  samples(): number;
  samplesLength(): number;
  coolSamples(factor: number): void;
  endCut(published: number): void;
  markSegment(segment: number): void;
  reserveSegmentBytes(bytes: number): c.Code;
  restoreSegment(segment: number, length: number): c.Code;
  restoreSome(): c.Code;
  limitRemembered(most: number): void;
  firstRememberedPiece(): bigint;
  encodeRemembered(): number;
  encodeRememberedPiece(): c.Code;
  rememberedPiece(): bigint;
  rememberedPieceLength(): number;
  markRememberedPieces(from: bigint): void;
  restoreRemembered(length: number): c.Code;
  restoreRememberedPiece(length: number): c.Code;
  endRememberedRestore(): c.Code;
  rememberedInIndex(): number;
  linesPassed(): bigint;
  find(keys: number): void;
  refreshInfo(): void;
}
