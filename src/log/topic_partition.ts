import { batchInfo } from "../types/mod.ts";

/** A batch as it stands in the log. */
interface Kept {
  readonly base: number;
  readonly last: number;
  readonly bytes: Uint8Array;
}

const KEPT_BYTES_MAX = 4 * 1024 * 1024;

/** What the process knows of a partition of a topic: its bounds, who waits for more, and its newest batches. */
export class TopicPartition {
  /** First offset held. */
  start = 0;
  /** Next offset to be given. */
  end = 0;
  /** Bytes of all batches held; null = not counted. */
  heldBytes: number | null = null;
  readonly #kept: Kept[] = [];
  #keptBytes = 0;
  #waiting = new Set<() => void>();

  constructor(readonly topic: string, readonly partition: number) {}

  get name(): string {
    return `${this.topic}-${this.partition}`;
  }

  /** Takes batches that were committed, in their order; moves the end and wakes who waits. */
  append(batches: readonly Uint8Array[], end: number): void {
    for (const bytes of batches) {
      const { baseOffset, lastOffset } = batchInfo(bytes);
      this.#kept.push({ base: baseOffset, last: lastOffset, bytes });
      this.#keptBytes += bytes.length;
      if (this.heldBytes !== null) this.heldBytes += bytes.length;
    }
    while (this.#keptBytes > KEPT_BYTES_MAX) this.#keptBytes -= this.#kept.shift()!.bytes.length;
    this.end = end;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Forgets the newest batches: what the log holds is to be read anew. */
  forget(): void {
    this.#kept.length = 0;
    this.#keptBytes = 0;
    this.heldBytes = null;
  }

  /** Batches from `offset` on out of memory, or null if it does not hold them. */
  newest(offset: number, maxBytes: number): Uint8Array[] | null {
    const first = this.#kept[0];
    if (!first || offset < first.base || offset >= this.end) return null;
    let low = 0;
    for (let high = this.#kept.length; low < high;) {
      const middle = (low + high) >> 1;
      if (this.#kept[middle]!.last < offset) low = middle + 1;
      else high = middle;
    }
    const batches: Uint8Array[] = [];
    for (let i = low, bytes = 0; i < this.#kept.length && (bytes === 0 || bytes < maxBytes); i++) {
      batches.push(this.#kept[i]!.bytes);
      bytes += this.#kept[i]!.bytes.length;
    }
    return batches;
  }

  /**
   * Calls a function, once, when the end moves.
   *
   * @returns takes it back
   */
  onMore(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => void this.#waiting.delete(wake);
  }
}
