// Transactions that are encoded before they are due, so that whoever sends them at a high rate, and looks for their
// results, leaves the processor to what is measured: one record of each batch is watched, and only its number is written
// into the batch when it is sent.

import { crc32c, encodeBatch } from "../src/types/mod.ts";
import type { Loader } from "../tools/kit/load.ts";

/** How long a producer gathers the records of a batch, in ms. */
const LINGER_MS = 10;
const DIGITS = 10;
/** Ids of transactions that nobody watches; those of the others begin with another digit. */
const UNWATCHED = "1".padEnd(DIGITS, "0");
const WATCHED = "2".charCodeAt(0);
const ZERO = "0".charCodeAt(0);
const TAB = "\t".charCodeAt(0);

// Fields of a batch; see src/types/record_batch.ts.
const CRC = 17;
const BEHIND_CRC = 21;
const FIRST_TIMESTAMP = 27;
const MAX_TIMESTAMP = 35;
const RECORDS = 61;

interface Ready {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where the id of the watched record stands. */
  readonly id: number;
}

/** Where the value of each record of a batch stands; of those that have one. */
export function valuesIn(batch: Uint8Array, visit: (from: number, to: number) => void): void {
  let at = RECORDS;
  /** A zigzag varint of up to 32 bits. */
  const varint = () => {
    let n = 0;
    for (let shift = 0;; shift += 7) {
      const byte = batch[at++]!;
      n |= (byte & 127) << shift;
      if (byte < 128) return (n >>> 1) ^ -(n & 1);
    }
  };
  while (at < batch.length) {
    const length = varint();
    const next = at + length;
    at++; // attributes
    while (batch[at++]! >= 128); // timestamp delta
    while (batch[at++]! >= 128); // offset delta
    const key = varint();
    at += Math.max(0, key);
    const value = varint();
    if (value >= 0) visit(at, at + value);
    at = next;
  }
}

/** Calls with the numbers of watched transactions whose results a batch holds. */
export function watchedIn(batch: Uint8Array, visit: (n: number) => void): void {
  valuesIn(batch, (from, to) => {
    if (batch[from] !== WATCHED || to - from <= DIGITS || batch[from + DIGITS] !== TAB) return;
    let n = 0;
    for (let at = from + 1; at < from + DIGITS; at++) n = 10 * n + batch[at]! - ZERO;
    visit(n);
  });
}

/** Batches of transactions of all items, each item once before any comes again. */
export class ReadyBatches {
  readonly #ready: Ready[][];
  readonly #next: number[];

  private constructor(
    readonly loader: Loader,
    /** Records of a batch. */
    readonly size: number,
    ready: Ready[][],
  ) {
    this.#ready = ready;
    this.#next = ready.map(() => 0);
  }

  /**
   * @param items of which transactions are, `item_0` to `item_<items - 1>`
   * @param rate transactions a second that are to be sent
   */
  static of(loader: Loader, items: number, rate: number): ReadyBatches {
    const { partitions } = loader;
    const size = Math.max(1, Math.round(rate * LINGER_MS / 1000 / partitions));
    const timestamp = Date.now();
    const gathered = Array.from({ length: partitions }, () => [] as string[]);
    const ready = gathered.map(() => [] as Ready[]);
    for (const n of shuffled(items)) {
      const line = `${UNWATCHED}\t${timestamp}\titem_${n}\t5`;
      const partition = loader.partitionOf(loader.recordOf(line, timestamp));
      const lines = gathered[partition]!;
      lines.push(line);
      if (lines.length < size) continue;
      const bytes = encodeBatch(lines.map((line) => loader.recordOf(line, timestamp)));
      const ids: number[] = [];
      valuesIn(bytes, (from) => ids.push(from));
      ready[partition]!.push({ bytes, id: ids[Math.floor(Math.random() * size)]! });
      lines.length = 0;
    }
    const empty = ready.findIndex((batches) => batches.length === 0);
    if (empty >= 0) {
      throw new RangeError(
        `${items} items are too few for batches of ${size} transactions in partition ${empty}`,
      );
    }
    return new ReadyBatches(loader, size, ready);
  }

  /** Batches a second at a rate of transactions. */
  batchesAt(rate: number): number {
    return rate / this.size;
  }

  /** Sends batches `first` to `first + count - 1`, whose watched transactions have these numbers. */
  async send(first: number, count: number): Promise<void> {
    const { loader } = this;
    const sending: Promise<void>[] = [];
    // Batches that follow each other are of different partitions: so many fit into one request.
    for (let from = first; from < first + count; from += loader.partitions) {
      const some = Math.min(loader.partitions, first + count - from);
      sending.push(loader.sendEach(Array.from({ length: some }, (_, i) => this.#take(from + i))));
    }
    await Promise.all(sending);
  }

  #take(n: number): readonly [number, Uint8Array] {
    const partition = n % this.loader.partitions;
    const batches = this.#ready[partition]!;
    const { bytes, id } = batches[this.#next[partition]!++ % batches.length]!;
    bytes[id] = WATCHED;
    for (let at = id + DIGITS - 1, rest = n; at > id; at--, rest = Math.floor(rest / 10)) {
      bytes[at] = ZERO + rest % 10;
    }
    const view = new DataView(bytes.buffer);
    const now = BigInt(Date.now());
    view.setBigInt64(FIRST_TIMESTAMP, now);
    view.setBigInt64(MAX_TIMESTAMP, now);
    view.setUint32(CRC, crc32c(bytes, BEHIND_CRC));
    return [partition, bytes];
  }
}

/** Numbers from 0 to n - 1 in any order. */
function shuffled(n: number): Uint32Array {
  const numbers = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    const swapped = numbers[i]!;
    numbers[i] = numbers[j]!;
    numbers[j] = swapped;
  }
  return numbers;
}
