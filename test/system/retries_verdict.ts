// What became of transactions that clients sent several times: by the results that readers see, and by what was answered.

import type { ItemTransaction, TransactionResult } from "../../src/types/mod.ts";

export interface RetryVerdict {
  /** Transactions that had to be executed. */
  readonly transactions: number;
  readonly appliedTwice: number;
  readonly lost: number;
  /** Results and answers that were those of repetitions. */
  readonly repeats: number;
  /** Those of them that are not as the first. */
  readonly different: number;
  /** Items whose stock is not what their executed transactions make. */
  readonly wrongStocks: number;
}

export function retryVerdictLine(v: RetryVerdict): string {
  const repeats = v.different === 0
    ? "every repeat answered as the first"
    : `${v.different} of ${v.repeats} repeats DIFFERENT`;
  const stocks = v.wrongStocks === 0 ? "" : `, ${v.wrongStocks} stocks WRONG`;
  return `${v.transactions} transactions, ${v.appliedTwice} applied twice, ${v.lost} lost, ${repeats}${stocks}`;
}

export function isGoodRetry(v: RetryVerdict): boolean {
  return v.transactions > 0 && v.repeats > 0 &&
    v.appliedTwice + v.lost + v.different + v.wrongStocks === 0;
}

export interface Seen {
  readonly result: TransactionResult;
  readonly isRepetition: boolean;
}

const keyOf = ({ itemId, transactionId }: ItemTransaction) => `${transactionId} ${itemId}`;

/** Outcomes of transactions as they were answered, the first one and the others. */
export class Answers {
  readonly first = new Map<string, boolean>();
  repeats = 0;
  different = 0;

  add({ transaction, success }: TransactionResult): void {
    const key = keyOf(transaction);
    const first = this.first.get(key);
    if (first === undefined) return void this.first.set(key, success);
    this.repeats++;
    if (first !== success) this.different++;
  }
}

/**
 * @param wanted those that had to be executed
 * @param seen all results, each partition in its order
 * @param stocks what look-ups say in the end, by item
 */
export function judge(
  wanted: Iterable<ItemTransaction>,
  seen: Iterable<Seen>,
  answers: Answers,
  stocks: ReadonlyMap<string, number>,
): RetryVerdict {
  const executed = new Map<string, boolean>();
  const made = new Map<string, number>();
  const v = { transactions: 0, appliedTwice: 0, lost: 0, repeats: 0, different: 0, wrongStocks: 0 };
  v.repeats += answers.repeats;
  v.different += answers.different;
  for (const { result: { transaction, success }, isRepetition } of seen) {
    const key = keyOf(transaction);
    const first = executed.get(key);
    if (isRepetition) {
      v.repeats++;
      if (first !== success) v.different++;
      continue;
    }
    if (first !== undefined) v.appliedTwice++;
    executed.set(key, success);
    const { itemId, quantity } = transaction;
    if (success) made.set(itemId, (made.get(itemId) ?? 0) + quantity);
  }
  for (const transaction of wanted) {
    v.transactions++;
    const key = keyOf(transaction);
    const success = executed.get(key);
    if (success === undefined) v.lost++;
    else if (answers.first.has(key) && answers.first.get(key) !== success) v.different++;
  }
  for (const [itemId, stock] of stocks) if ((made.get(itemId) ?? 0) !== stock) v.wrongStocks++;
  return v;
}
