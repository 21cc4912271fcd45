/** A request to add stock (positive quantity) or to purchase (negative quantity) of one item. */
export interface ItemTransaction {
  /** -2^63 .. 2^63-1 */
  readonly transactionId: bigint;
  /** Event time in ms since the epoch, 0 .. 2^53-1 */
  readonly ts: number;
  /** 1 to 249 bytes of UTF-8 without control characters */
  readonly itemId: string;
  /** -2^31 .. 2^31-1 */
  readonly quantity: number;
}

/** A question for the stock of one item. */
export interface Query {
  /** -2^63 .. 2^63-1 */
  readonly queryId: bigint;
  /** 1 to 249 bytes of UTF-8 without control characters */
  readonly itemId: string;
}

/** The stock of an item. */
export interface ItemInfo {
  readonly itemId: string;
  /** 0 .. 2^63-1 */
  readonly quantity: bigint;
}

/** What became of a transaction. */
export interface TransactionResult {
  readonly transaction: ItemTransaction;
  /** False when the stock would have become negative (or larger than 2^63-1). */
  readonly success: boolean;
  /** It repeats one that was executed before, whose outcome this is. Absent: it is the first. */
  readonly duplicate?: boolean;
}

/** The answer to a query. */
export interface QueryResult {
  readonly queryId: bigint;
  /** Null when the item was never seen. */
  readonly itemInfo: ItemInfo | null;
}

/** What one item's transactions in one tumbling window add up to. */
export interface TransactionSummary {
  readonly itemId: string;
  /** ms since the epoch, inclusive */
  readonly windowStart: number;
  /** ms since the epoch, exclusive */
  readonly windowEnd: number;
  /** At most 2^32-1: then it counts no further. */
  readonly numSuccessfulTransactions: number;
  /** At most 2^32-1: then it counts no further. */
  readonly numFailedTransactions: number;
  /** Sum of the absolute quantities, at most 2^63-1. */
  readonly totalVolume: bigint;
}
