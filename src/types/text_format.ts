// The text format: fields between TABs, integers in canonical decimal. docs/formats.md has the table.

import { checkInteger, checkItemId, toId, toQuantity, toTs } from "./fields.ts";
import { InvalidRecordError, Reason, shorten } from "./invalid_record.ts";
import type {
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "./records.ts";
import { decodeUtf8, showUtf8 } from "./utf8.ts";

/** What a query result says of an item that was never seen. */
const MISSING = "MISSING";

/**
 * Reads `transactionId TAB ts TAB itemId TAB quantity`.
 *
 * @throws {InvalidRecordError} syntax of the whole first, then the fields in their order
 */
export function parseTransactionText(line: string): ItemTransaction {
  const fields = line.split("\t", 5);
  const [id, ts, itemId, quantity] = fields;
  if (fields.length !== 4) throw notFields("4 fields between TABs", line);
  checkInteger("transactionId", id!);
  checkInteger("ts", ts!);
  checkInteger("quantity", quantity!);
  const transactionId = toId("transactionId", id!);
  const time = toTs(ts!);
  checkItemId(itemId!);
  return { transactionId, ts: time, itemId: itemId!, quantity: toQuantity(quantity!) };
}

/** Reads `queryId itemId`: one blank or TAB; everything behind the first one is the item id. */
export function parseQueryText(line: string): Query {
  const at = line.search(/[ \t]/);
  if (at < 0) throw notFields("queryId, a blank or TAB, and itemId", line);
  const id = line.slice(0, at);
  checkInteger("queryId", id);
  const queryId = toId("queryId", id);
  const itemId = line.slice(at + 1);
  checkItemId(itemId);
  return { queryId, itemId };
}

function notFields(what: string, line: string): InvalidRecordError {
  return new InvalidRecordError(
    Reason.Malformed,
    `Expected ${what}: ${JSON.stringify(shorten(line))}`,
  );
}

/** Applies one of the parsers to a record value, which need not be well-formed UTF-8. */
function fromBytes<T>(parse: (line: string) => T, value: Uint8Array): T {
  const line = decodeUtf8(value);
  if (line !== null) return parse(line);
  // With a letter for each byte beyond ASCII, all that comes before the characters is judged as usual.
  try {
    parse(Array.from(value, (byte) => byte < 128 ? String.fromCharCode(byte) : "?").join(""));
  } catch (error) {
    if (!(error instanceof InvalidRecordError)) throw error;
    // Reasons are numbered in the order in which they are looked for.
    if (error.reason < Reason.ItemIdCharacter) throw error;
  }
  throw new InvalidRecordError(
    Reason.ItemIdCharacter,
    `itemId must be well-formed UTF-8: ${JSON.stringify(shorten(showUtf8(value)))}`,
  );
}

/** Reads a transaction from a record value. */
export function parseTransactionTextBytes(value: Uint8Array): ItemTransaction {
  return fromBytes(parseTransactionText, value);
}

/** Reads a query from a record value. */
export function parseQueryTextBytes(value: Uint8Array): Query {
  return fromBytes(parseQueryText, value);
}

/** `transactionId TAB ts TAB itemId TAB quantity` */
export function formatTransactionText(t: ItemTransaction): string {
  return `${t.transactionId}\t${t.ts}\t${t.itemId}\t${t.quantity}`;
}

/** `queryId BLANK itemId` */
export function formatQueryText(q: Query): string {
  return `${q.queryId} ${q.itemId}`;
}

/** The transaction's fields, then `TAB true` or `TAB false`. */
export function formatTransactionResultText(r: TransactionResult): string {
  return `${formatTransactionText(r.transaction)}\t${r.success}`;
}

/** `queryId TAB itemId TAB quantity`, or `queryId TAB MISSING`. */
export function formatQueryResultText(r: QueryResult): string {
  return r.itemInfo
    ? `${r.queryId}\t${r.itemInfo.itemId}\t${r.itemInfo.quantity}`
    : `${r.queryId}\t${MISSING}`;
}

/** `itemId TAB windowStart TAB windowEnd TAB successful TAB failed TAB volume` */
export function formatSummaryText(s: TransactionSummary): string {
  return [
    s.itemId,
    s.windowStart,
    s.windowEnd,
    s.numSuccessfulTransactions,
    s.numFailedTransactions,
    s.totalVolume,
  ].join("\t");
}

/** Reads what formatTransactionResultText wrote. */
export function parseTransactionResultText(line: string): TransactionResult {
  const at = line.lastIndexOf("\t");
  const success = line.slice(at + 1);
  if (success !== "true" && success !== "false") throw notFields("true or false at the end", line);
  return { transaction: parseTransactionText(line.slice(0, at)), success: success === "true" };
}

/** Reads what formatQueryResultText wrote. */
export function parseQueryResultText(line: string): QueryResult {
  const fields = line.split("\t");
  const [id, itemId, quantity] = fields;
  checkInteger("queryId", id!);
  const queryId = toId("queryId", id!);
  if (fields.length === 2 && itemId === MISSING) return { queryId, itemInfo: null };
  if (fields.length !== 3) throw notFields("3 fields between TABs", line);
  return { queryId, itemInfo: { itemId: itemId!, quantity: toId("quantity", quantity!) } };
}

/** Reads what formatSummaryText wrote. */
export function parseSummaryText(line: string): TransactionSummary {
  const [itemId, start, end, successful, failed, volume, ...rest] = line.split("\t");
  if (volume === undefined || rest.length > 0) throw notFields("6 fields between TABs", line);
  return {
    itemId: itemId!,
    windowStart: Number(start),
    windowEnd: Number(end),
    numSuccessfulTransactions: Number(successful),
    numFailedTransactions: Number(failed),
    totalVolume: BigInt(volume),
  };
}
