// The reference model of safe retries: which transactions are remembered, in plain code without regard to speed.

import type { ItemTransaction } from "../../src/types/mod.ts";

export interface RememberModelOptions {
  readonly windowMs: number;
  readonly max: number;
}

interface Remembered {
  readonly transaction: ItemTransaction;
  readonly success: boolean;
  /** The clock when it came; null = there was none yet. */
  readonly clock: number | null;
}

/** Numbers are forgotten in pieces of so many. */
const PIECE = 1024;
const DATE_MAX = 8.64e15;

export class RememberedModel {
  /** By number, from 1 on. */
  readonly entries: (Remembered | null)[] = [null];
  readonly #numbers = new Map<string, number>();
  clock: number | null = null;
  /** The first number that is remembered. */
  tail = 1;
  duplicates = 0;

  constructor(readonly options: RememberModelOptions) {}

  /** The number of the next one. */
  get head(): number {
    return this.entries.length;
  }

  /** A record with this timestamp came, whatever becomes of it. */
  move(timestamp: number): void {
    const { windowMs } = this.options;
    if (timestamp < 0 || timestamp > DATE_MAX) return;
    const step = Math.max(1, Math.floor(windowMs / 64));
    if (this.clock === null) this.clock = timestamp;
    else this.clock = Math.max(this.clock, Math.min(timestamp, this.clock + step));
    while (this.tail < this.head) {
      // Pieces of before the clock go with the first one that has it.
      const clocks: number[] = [];
      for (let piece = Math.floor(this.tail / PIECE); piece * PIECE < this.head; piece++) {
        const last = this.entries[Math.min((piece + 1) * PIECE, this.head) - 1]!.clock;
        if (last !== null) clocks.push(last);
      }
      if (clocks.length === 0 || this.clock < clocks[0]! + windowMs) return;
      this.tail = Math.min((Math.floor(this.tail / PIECE) + 1) * PIECE, this.head);
    }
  }

  /** The outcome of the transaction that this one repeats, "conflict", or null when it is new. */
  recall(t: ItemTransaction): boolean | "conflict" | null {
    const number = this.#numbers.get(`${t.transactionId} ${t.itemId}`);
    if (number === undefined || number < this.tail) return null;
    const { transaction, success } = this.entries[number]!;
    if (transaction.ts !== t.ts || transaction.quantity !== t.quantity) return "conflict";
    this.duplicates++;
    return success;
  }

  remember(transaction: ItemTransaction, success: boolean): void {
    this.#numbers.set(`${transaction.transactionId} ${transaction.itemId}`, this.head);
    this.entries.push({ transaction, success, clock: this.clock });
    this.tail = Math.max(this.tail, this.head - this.options.max);
  }
}
