// The reference model of the fold: what docs/behaviour.md says, in plain BigInt code, without regard
// to speed. It shares the record codecs of src/types with the service, and nothing else.

import {
  type Codec,
  codecOf,
  Format,
  InvalidRecordError,
  type ItemTransaction,
  Partitioner,
  partitionOf,
  Reason,
  type TransactionSummary,
} from "../../src/types/mod.ts";
import { encodeUtf8 } from "../../src/types/mod.ts";
import { RememberedModel, type RememberModelOptions } from "./remembered.ts";

const INT64_MAX = 2n ** 63n - 1n;
const UINT32_MAX = 2 ** 32 - 1;
/** The last millisecond that a date can be. */
const DATE_MAX = 8.64e15;

/** The parameters that the fold depends on. */
export interface ModelOptions {
  readonly format: Format;
  readonly partitioner: Partitioner;
  readonly partition: number;
  readonly partitions: number;
  readonly windowMs: number;
  readonly eventTime: boolean;
  readonly outOfOrderMs: number;
  readonly maxAheadMs: number;
  readonly alertTotalMin: number;
  readonly alertRateMin: number;
  /** As which version it folds; the newest by default. */
  readonly foldVersion?: number | undefined;
  /** Repetitions are executed once; not at all by default. */
  readonly remember?: (RememberModelOptions & { readonly secret: Uint8Array | null }) | undefined;
}

export interface ModelRecord {
  readonly offset: number;
  /** As in the log, -1 = none. */
  readonly timestamp: number;
  readonly value: Uint8Array | null;
}

export interface Counts {
  succeeded: number;
  failed: number;
  volume: bigint;
}

export type Outcome = boolean | Reason | Repeated;

/** A repetition, and the outcome of the transaction that it repeats. */
export interface Repeated {
  readonly repeats: boolean;
}

/** A summary that passed the alert filter, and the timestamp of its record. */
export interface FiredSummary {
  readonly summary: TransactionSummary;
  readonly timestamp: number;
}

export class Model {
  /** Stock of the items seen. */
  readonly stock = new Map<string, bigint>();
  /** Open windows by start; per item what was counted. */
  readonly windows = new Map<number, Map<string, Counts>>();
  readonly results: { key: string; value: string; timestamp: number; duplicate?: true }[] = [];
  /** What is remembered of transactions; null = nothing is. */
  readonly remembered: RememberedModel | null;
  readonly summaries: FiredSummary[] = [];
  readonly deadLetters: { offset: number; reason: Reason; timestamp: number }[] = [];
  readonly invalid = new Map<Reason, number>();
  position = 0;
  /** Fired watermark, null at first. */
  watermark: number | null = null;
  largestTs: number | null = null;
  largestTimestamp: number | null = null;
  accepted = 0;
  rejected = 0;
  late = 0;
  farAhead = 0;
  quantitySum = 0n;
  /** As which version it folds. */
  #version: number;
  /** Whether a transaction was ever late by an idle firing alone. */
  readonly #codec: Codec;

  constructor(readonly options: ModelOptions) {
    this.#codec = codecOf(options.format);
    this.#version = options.foldVersion ?? 2;
    this.remembered = options.remember ? new RememberedModel(options.remember) : null;
  }

  /** Folds one record; returns what became of it. */
  fold(record: ModelRecord): Outcome {
    this.remembered?.move(record.timestamp);
    const isNone = record.timestamp < 0 || (this.#version > 1 && record.timestamp > DATE_MAX);
    const timestamp = isNone
      ? this.largestTimestamp ?? 0
      : Math.min(record.timestamp, Number.MAX_SAFE_INTEGER);
    this.largestTimestamp = Math.max(this.largestTimestamp ?? 0, timestamp);
    this.position = record.offset + 1;
    const outcome = this.#execute(record, timestamp);
    if (typeof outcome === "number") {
      this.invalid.set(outcome, (this.invalid.get(outcome) ?? 0) + 1);
      this.deadLetters.push({ offset: record.offset, reason: outcome, timestamp });
    }
    if (this.options.windowMs > 0) this.fireUpTo(this.#logWatermark());
    return outcome;
  }

  /** From here on it is folded as the newest version does. */
  raise(): void {
    this.#version = 2;
    if (this.largestTimestamp !== null) {
      this.largestTimestamp = Math.min(this.largestTimestamp, DATE_MAX);
    }
  }

  #execute(record: ModelRecord, timestamp: number): Outcome {
    let t: ItemTransaction;
    try {
      if (record.value === null) return Reason.NullValue;
      t = this.#codec.parseTransactionBytes(record.value);
    } catch (error) {
      if (error instanceof InvalidRecordError) return error.reason;
      throw error;
    }
    if (!this.#isHere(t.itemId)) return Reason.WrongPartition;
    const seen = this.remembered?.recall(t) ?? null;
    if (seen === "conflict") return Reason.IdConflict;
    const success = seen ?? this.#apply(t);
    const value = this.#codec.formatTransactionResult({ transaction: t, success });
    const result = { key: t.itemId, value, timestamp };
    this.results.push(seen === null ? result : { ...result, duplicate: true });
    if (seen !== null) return { repeats: seen };
    this.#count(t, success, timestamp);
    this.remembered?.remember(t, success);
    return success;
  }

  #isHere(itemId: string): boolean {
    const { partitioner, partition, partitions } = this.options;
    if (partitioner === Partitioner.None) return true;
    return partitionOf(partitioner, encodeUtf8(itemId), partitions) === partition;
  }

  /** The rule: the stock never falls below zero, nor rises above what can be kept. */
  #apply(t: ItemTransaction): boolean {
    const stock = (this.stock.get(t.itemId) ?? 0n) + BigInt(t.quantity);
    const success = stock >= 0n && stock <= INT64_MAX;
    if (success) {
      this.stock.set(t.itemId, stock);
      this.quantitySum += BigInt(t.quantity);
      this.accepted++;
    } else this.rejected++;
    return success;
  }

  #logWatermark(): number | null {
    if (!this.options.eventTime) return this.largestTimestamp;
    return this.largestTs === null ? null : this.largestTs - this.options.outOfOrderMs;
  }

  #count(t: ItemTransaction, success: boolean, timestamp: number): void {
    const { windowMs, eventTime, maxAheadMs } = this.options;
    if (windowMs === 0) return;
    let time = this.largestTimestamp!;
    let before: number | null = null;
    if (eventTime) {
      if (t.ts > timestamp + maxAheadMs) {
        this.farAhead++;
        return;
      }
      before = this.#logWatermark();
      this.largestTs = Math.max(this.largestTs ?? 0, t.ts);
      time = t.ts;
    }
    const start = time - time % windowMs;
    const end = start + windowMs;
    if ((before !== null && end <= before) || (this.watermark !== null && end <= this.watermark)) {
      this.late++;
      return;
    }
    let window = this.windows.get(start);
    if (!window) this.windows.set(start, window = new Map());
    let counts = window.get(t.itemId);
    if (!counts) window.set(t.itemId, counts = { succeeded: 0, failed: 0, volume: 0n });
    if (success) counts.succeeded = Math.min(counts.succeeded + 1, UINT32_MAX);
    else counts.failed = Math.min(counts.failed + 1, UINT32_MAX);
    counts.volume += BigInt(Math.abs(t.quantity));
    if (counts.volume > INT64_MAX) counts.volume = INT64_MAX;
  }

  /** Fires all windows that end at or before the watermark. */
  fireUpTo(watermark: number | null): void {
    if (watermark === null) return;
    for (const start of [...this.windows.keys()].sort((a, b) => a - b)) {
      const end = start + this.options.windowMs;
      if (end > watermark) break;
      for (const [itemId, counts] of this.windows.get(start)!) {
        this.#fire(itemId, start, end, counts);
      }
      this.windows.delete(start);
    }
    if (this.watermark === null || watermark > this.watermark) this.watermark = watermark;
  }

  /** Fires all open windows, because the partition is idle. */
  idle(): void {
    if (this.windows.size === 0) return;
    this.fireUpTo(Math.max(...this.windows.keys()) + this.options.windowMs);
  }

  #fire(itemId: string, windowStart: number, windowEnd: number, counts: Counts): void {
    const total = counts.succeeded + counts.failed;
    const { alertTotalMin, alertRateMin } = this.options;
    if (!(total > alertTotalMin && counts.failed / total > alertRateMin)) return;
    this.summaries.push({
      summary: {
        itemId,
        windowStart,
        windowEnd,
        numSuccessfulTransactions: counts.succeeded,
        numFailedTransactions: counts.failed,
        totalVolume: counts.volume,
      },
      timestamp: this.largestTimestamp!,
    });
  }
}
