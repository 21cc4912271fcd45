import {
  BatchBuilder,
  batchInfo,
  type NewRecord,
  recordBytesMax,
  setBaseOffset,
} from "../types/mod.ts";
import { KV_VALUE_BYTES_MAX } from "../kv/kv.ts";
import type { TopicPartition } from "./topic_partition.ts";

/** Room of a batch at first, beside the records that are known; others may join them. */
const BATCH_BYTES_MIN = 512;

/** New batches and ends of one atomic commit, before it happened. */
export class Draft {
  readonly batches = new Map<TopicPartition, Uint8Array[]>();
  readonly ends = new Map<TopicPartition, number>();
  readonly #open = new Map<TopicPartition, BatchBuilder>();

  endOf(tp: TopicPartition): number {
    return (this.ends.get(tp) ?? tp.end) + (this.#open.get(tp)?.records ?? 0);
  }

  /**
   * Adds records, in as many batches as they need; returns the first one's offset.
   *
   * @param bytesMax that they take, at the most
   */
  addRecords(tp: TopicPartition, records: readonly NewRecord[], bytesMax: number): number {
    const base = this.endOf(tp);
    let builder = this.#open.get(tp);
    const capacity = Math.min(BATCH_BYTES_MIN + bytesMax, KV_VALUE_BYTES_MAX);
    for (const record of records) {
      if (builder && builder.length + recordBytesMax(record) > KV_VALUE_BYTES_MAX) {
        this.finish(tp);
        builder = undefined;
      }
      if (!builder) this.#open.set(tp, builder = new BatchBuilder(capacity));
      builder.add(record);
    }
    return base;
  }

  finish(tp: TopicPartition): void {
    const builder = this.#open.get(tp);
    if (!builder) return;
    this.#open.delete(tp);
    this.addBatch(tp, builder.build());
  }

  finishAll(): void {
    for (const tp of [...this.#open.keys()]) this.finish(tp);
  }

  addBatch(tp: TopicPartition, batch: Uint8Array): void {
    this.finish(tp);
    const base = this.endOf(tp);
    setBaseOffset(batch, base);
    const list = this.batches.get(tp);
    if (list) list.push(batch);
    else this.batches.set(tp, [batch]);
    this.ends.set(tp, batchInfo(batch).lastOffset + 1);
  }

  writeBatches(atomic: Deno.AtomicOperation): void {
    for (const [tp, batches] of this.batches) {
      for (const batch of batches) writeBatch(atomic, tp, batch);
    }
  }

  writeEnds(atomic: Deno.AtomicOperation): void {
    for (const [tp, end] of this.ends) atomic.set(["end", tp.topic, tp.partition], end);
  }

  /** It happened. */
  publish(): void {
    for (const [tp, end] of this.ends) tp.append(this.batches.get(tp) ?? [], end);
  }
}

/** Adds a batch to an atomic commit. */
export function writeBatch(
  atomic: Deno.AtomicOperation,
  tp: TopicPartition,
  batch: Uint8Array,
): void {
  atomic.set(["batch", tp.topic, tp.partition, batchInfo(batch).baseOffset], batch);
}
