import { Format } from "../../wasm/contract.ts";
import * as json from "./json_format.ts";
import * as text from "./text_format.ts";
import type {
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "./records.ts";

export { Format };

/** How the values of all record types are written and read in one format. */
export interface Codec {
  parseTransaction(text: string): ItemTransaction;
  parseTransactionBytes(value: Uint8Array): ItemTransaction;
  /** What a client posts: where the format has members, one without an id gets one. */
  parsePosted(text: string, newId: () => bigint): ItemTransaction;
  parseQuery(text: string): Query;
  parseQueryBytes(value: Uint8Array): Query;
  parseTransactionResult(text: string): TransactionResult;
  parseQueryResult(text: string): QueryResult;
  parseSummary(text: string): TransactionSummary;
  formatTransaction(transaction: ItemTransaction): string;
  formatQuery(query: Query): string;
  formatTransactionResult(result: TransactionResult): string;
  formatQueryResult(result: QueryResult): string;
  formatSummary(summary: TransactionSummary): string;
}

const TEXT: Codec = {
  parseTransaction: text.parseTransactionText,
  parseTransactionBytes: text.parseTransactionTextBytes,
  parsePosted: text.parseTransactionText,
  parseQuery: text.parseQueryText,
  parseQueryBytes: text.parseQueryTextBytes,
  parseTransactionResult: text.parseTransactionResultText,
  parseQueryResult: text.parseQueryResultText,
  parseSummary: text.parseSummaryText,
  formatTransaction: text.formatTransactionText,
  formatQuery: text.formatQueryText,
  formatTransactionResult: text.formatTransactionResultText,
  formatQueryResult: text.formatQueryResultText,
  formatSummary: text.formatSummaryText,
};

const JSON_CODEC: Codec = {
  parseTransaction: json.parseTransactionJson,
  parseTransactionBytes: json.parseTransactionJsonBytes,
  parsePosted: json.parsePostedTransactionJson,
  parseQuery: json.parseQueryJson,
  parseQueryBytes: json.parseQueryJsonBytes,
  parseTransactionResult: json.parseTransactionResultJson,
  parseQueryResult: json.parseQueryResultJson,
  parseSummary: json.parseSummaryJson,
  formatTransaction: json.formatTransactionJson,
  formatQuery: json.formatQueryJson,
  formatTransactionResult: json.formatTransactionResultJson,
  formatQueryResult: json.formatQueryResultJson,
  formatSummary: json.formatSummaryJson,
};

/**
 * The codec of a format.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const text = codecOf(Format.Text);
 * const transaction = text.parseTransaction("9223372036854775807\t1700000000000\titem_2\t-5");
 * assertEquals(transaction.transactionId, 2n ** 63n - 1n);
 * assertEquals(
 *   codecOf(Format.Json).formatTransactionResult({ transaction, success: false }),
 *   '{"transaction":{"transactionId":9223372036854775807,"ts":1700000000000,' +
 *     '"itemId":"item_2","quantity":-5},"success":false}',
 * );
 * ```
 */
export function codecOf(format: Format): Codec {
  return format === Format.Json ? JSON_CODEC : TEXT;
}
