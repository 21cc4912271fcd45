// A log with Kafka's semantics, as the port in src/log shows it: transactions, read_committed, markers
// that take offsets, claims that fence the ones before.

import { stamp } from "../../src/kafka/batches.ts";
import { type CommittedPosition, firstPosition, OffsetOutOfRangeError } from "../../src/log/mod.ts";
import { batchInfo, encodeBatch, type NewRecord, setBaseOffset } from "../../src/types/mod.ts";
import type { Sim } from "./sim.ts";

/** A transaction of a client that writes to the input, or of the job. */
export interface Transaction {
  state: "open" | "committed" | "aborted";
  /** Partitions that it wrote to, with its first offset there. */
  readonly partitions: Map<BrokerPartition, number>;
  /** Who writes it, as its batches say. */
  readonly producerId: bigint;
}

/** What stands in a partition: record batches, and markers without records. */
export interface LogEntry {
  readonly base: number;
  readonly last: number;
  /** Null = a marker. */
  readonly bytes: Uint8Array | null;
  /** Null = written without a transaction. Of a marker: the transaction that it ends. */
  readonly transaction: Transaction | null;
  /** Of a marker: when it was written, by which it differs from one that another log has at its place. */
  readonly writtenAt: number | null;
}

export function isVisible({ bytes, transaction }: LogEntry): boolean {
  return bytes !== null && (transaction === null || transaction.state === "committed");
}

export class BrokerPartition {
  readonly entries: LogEntry[] = [];
  start = 0;
  /** The high watermark. */
  end = 0;
  /** Entries that no open transaction precedes any more. */
  #stable = 0;
  /** Who waits for more; each is called once. */
  #waiting = new Set<() => void>();

  constructor(readonly topic: string, readonly partition: number) {}

  /** The last stable offset: nothing of an open transaction lies below it. */
  get stableEnd(): number {
    const { entries } = this;
    while (this.#stable < entries.length) {
      const { transaction } = entries[this.#stable]!;
      if (transaction?.state === "open") return entries[this.#stable]!.base;
      this.#stable++;
    }
    return this.end;
  }

  /** Number of entries below the last stable offset. */
  get stable(): number {
    void this.stableEnd;
    return this.#stable;
  }

  append(batch: Uint8Array, transaction: Transaction | null = null): number {
    const base = this.end;
    setBaseOffset(batch, base);
    const last = batchInfo(batch).lastOffset;
    if (transaction && !transaction.partitions.has(this)) transaction.partitions.set(this, base);
    this.#add({ base, last, bytes: batch, transaction, writtenAt: null });
    return base;
  }

  /** The marker that ends a transaction takes an offset. */
  mark(transaction: Transaction, writtenAt: number): void {
    this.#add({ base: this.end, last: this.end, bytes: null, transaction, writtenAt });
  }

  #add(entry: LogEntry): void {
    this.entries.push(entry);
    this.end = entry.last + 1;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  waitForMore(wake: () => void): void {
    this.#waiting.add(wake);
  }

  /** Visible batches that reach behind `offset`, below the last stable offset; those of aborted transactions if asked so. */
  visibleFrom(offset: number, aborted = false): Uint8Array[] {
    const { stableEnd } = this;
    const batches: Uint8Array[] = [];
    for (let i = this.entries.length - 1; i >= 0 && this.entries[i]!.last >= offset; i--) {
      const entry = this.entries[i]!;
      const seen = isVisible(entry) || aborted && entry.bytes !== null;
      if (entry.base < stableEnd && seen) batches.push(entry.bytes!);
    }
    return batches.reverse();
  }

  assertHeld(offset: number): void {
    if (offset >= this.start && offset <= this.end) return;
    throw new OffsetOutOfRangeError(this.topic, this.partition, offset, this.start, this.end);
  }
}

/** The right to commit, as the broker knows it. */
export interface Claim {
  readonly id: number;
  readonly holder: string;
}

export class Broker {
  readonly id: string;
  readonly #topics = new Map<string, BrokerPartition[]>();
  /** Positions and newest claims of the input's partitions. */
  readonly committed: CommittedPosition[] = [];
  readonly claims: (Claim | null)[] = [];
  #claimCount = 0;

  constructor(readonly sim: Sim, readonly input: string, topics: Readonly<Record<string, number>>) {
    this.id = `log-${sim.seed}`;
    for (const [topic, partitions] of Object.entries(topics)) {
      this.#topics.set(
        topic,
        Array.from({ length: partitions }, (_, p) => new BrokerPartition(topic, p)),
      );
    }
    for (let p = 0; p < topics[input]!; p++) {
      this.committed.push(firstPosition(0));
      this.claims.push(null);
    }
  }

  /** Puts empty partitions in the place of a topic's. */
  createAnew(topic: string): BrokerPartition[] {
    const partitions = this.topic(topic).map(({ partition }) =>
      new BrokerPartition(topic, partition)
    );
    this.#topics.set(topic, partitions);
    return partitions;
  }

  /** Adds a partition to a topic. */
  grow(topic: string): BrokerPartition {
    const partitions = this.topic(topic);
    const added = new BrokerPartition(topic, partitions.length);
    partitions.push(added);
    return added;
  }

  topic(topic: string): BrokerPartition[] {
    return this.#topics.get(topic)!;
  }

  #producers = 0n;

  /** A producer's id that nobody else has. */
  newProducerId(): bigint {
    return ++this.#producers;
  }

  /** Appends records; the batch's offsets follow those before. */
  append(partition: number, records: readonly NewRecord[], transaction: Transaction | null): void {
    const batch = encodeBatch(records);
    if (transaction) stamp(batch, { id: transaction.producerId, epoch: 0 }, 0);
    this.topic(this.input)[partition]!.append(batch, transaction);
  }

  /** Ends a client's transaction by markers. */
  end(transaction: Transaction, state: "committed" | "aborted"): void {
    transaction.state = state;
    for (const partition of transaction.partitions.keys()) {
      partition.mark(transaction, this.sim.wall);
    }
  }

  claim(holder: string, partitions: readonly number[]): Claim {
    const claim = { id: ++this.#claimCount, holder };
    this.extend(claim, partitions);
    return claim;
  }

  /** Partitions are of a claim from now on. */
  extend(claim: Claim, partitions: readonly number[]): void {
    for (const p of partitions) this.claims[p] = claim;
  }
}
