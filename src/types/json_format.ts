// The JSON format (RFC 8259): the members of the types, any order, unknown members ignored. Integers
// are read from their source text, never through a double. docs/formats.md has the table.

import { visit } from "jsonc-parser";
import { JSON_DEPTH_MAX } from "../../wasm/contract.ts";
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

/** What most writers send; it needs no look at the structure. */
const CANONICAL_TRANSACTION =
  // deno-lint-ignore no-control-regex
  /^\{"transactionId":(0|-?[1-9][0-9]*),"ts":(0|-?[1-9][0-9]*),"itemId":"([^"\\\u0000-\u001f]*)","quantity":(0|-?[1-9][0-9]*)\}$/;

const TRANSACTION_MEMBERS = ["transactionId", "ts", "itemId", "quantity"] as const;
const QUERY_MEMBERS = ["queryId", "itemId"] as const;

/**
 * Reads `{"transactionId":1,"ts":2,"itemId":"item_1","quantity":5}`.
 *
 * @throws {InvalidRecordError} syntax of the whole first, then the fields in their order
 */
export function parseTransactionJson(text: string): ItemTransaction {
  return parsePostedTransactionJson(text, null);
}

/**
 * The same; a transaction that has no id gets one.
 *
 * @param newId null: it must have one
 * @throws {InvalidRecordError}
 */
export function parsePostedTransactionJson(
  text: string,
  newId: (() => bigint) | null,
): ItemTransaction {
  const canonical = CANONICAL_TRANSACTION.exec(text);
  if (canonical) {
    return transactionOf(canonical[1]!, canonical[2]!, canonical[3]!, canonical[4]!);
  }
  const members = readMembers(text, TRANSACTION_MEMBERS, newId ? "transactionId" : null);
  const [id, ts, itemId, quantity] = members;
  for (const [i, name] of [[0, "transactionId"], [1, "ts"], [3, "quantity"]] as const) {
    if (members[i]) checkNumber(name, members[i], text);
  }
  return transactionOf(
    id?.source ?? String(newId!()),
    ts!.source,
    itemIdOf(itemId!, text),
    quantity!.source,
  );
}

function transactionOf(id: string, ts: string, itemId: string, quantity: string): ItemTransaction {
  const transactionId = toId("transactionId", id);
  const time = toTs(ts);
  checkItemId(itemId);
  return { transactionId, ts: time, itemId, quantity: toQuantity(quantity) };
}

/** Reads `{"queryId":1,"itemId":"item_1"}`. */
export function parseQueryJson(text: string): Query {
  const [id, item] = readMembers(text, QUERY_MEMBERS);
  checkNumber("queryId", id!, text);
  const itemId = itemIdOf(item!, text);
  const queryId = toId("queryId", id!.source);
  checkItemId(itemId);
  return { queryId, itemId };
}

/** Reads a transaction from a record value. */
export function parseTransactionJsonBytes(value: Uint8Array): ItemTransaction {
  return parseTransactionJson(toText(value));
}

/** Reads a query from a record value. */
export function parseQueryJsonBytes(value: Uint8Array): Query {
  return parseQueryJson(toText(value));
}

function toText(value: Uint8Array): string {
  const text = decodeUtf8(value);
  if (text === null) throw malformed("Expected well-formed UTF-8", showUtf8(value));
  return text;
}

interface Member {
  /** What JSON.parse makes of the member, if it is neither object nor array. */
  readonly value: unknown;
  /** How it is written. */
  readonly source: string;
}

/**
 * The members with these names of the one object that the text must be. JSON.parse decides what is
 * JSON; the visitor sees what JSON.parse hides: members written twice, and how numbers are written.
 */
function readMembers(
  text: string,
  names: readonly string[],
  optional: string | null = null,
): (Member | undefined)[] {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    throw malformed(`Expected one JSON object (${(error as Error).message})`, text);
  }
  if (typeof root !== "object" || root === null || Array.isArray(root)) {
    throw malformed("Expected one JSON object", text);
  }
  const found = new Map<string, Member>();
  let depth = 0;
  let name: string | null = null;
  const open = () => {
    if (++depth > JSON_DEPTH_MAX) {
      throw malformed(`Expected JSON nested at most ${JSON_DEPTH_MAX} deep`, text);
    }
  };
  const close = () => void depth--;
  try {
    visit(text, {
      onObjectBegin: open,
      onArrayBegin: open,
      onObjectEnd: close,
      onArrayEnd: close,
      onObjectProperty: (property) => {
        if (depth !== 1) return;
        name = names.includes(property) ? property : null;
        if (name === null) return;
        if (found.has(name)) throw malformed(`Expected ${name} once`, text);
        found.set(name, { value: undefined, source: "" });
      },
      onLiteralValue: (value, offset, length) => {
        if (depth === 1 && name !== null) {
          found.set(name, { value, source: text.slice(offset, offset + length) });
        }
      },
    }, { disallowComments: true });
  } catch (error) {
    // The visitor recurses; the text is deeper than any stack, so deeper than allowed.
    if (error instanceof InvalidRecordError || !(error instanceof RangeError)) throw error;
    throw malformed(`Expected JSON nested at most ${JSON_DEPTH_MAX} deep`, text);
  }
  return names.map((member) => {
    const value = found.get(member);
    if (!value && member !== optional) throw malformed(`Expected the member ${member}`, text);
    return value;
  });
}

function checkNumber(name: string, member: Member, text: string): void {
  if (typeof member.value !== "number") throw malformed(`Expected a number as ${name}`, text);
  checkInteger(name, member.source);
}

function itemIdOf(member: Member, text: string): string {
  if (typeof member.value !== "string") throw malformed("Expected a string as itemId", text);
  return member.value;
}

function malformed(message: string, text: string): InvalidRecordError {
  return new InvalidRecordError(Reason.Malformed, `${message}: ${shorten(text)}`);
}

/** `{"transactionId":1,"ts":2,"itemId":"item_1","quantity":5}` */
export function formatTransactionJson(t: ItemTransaction): string {
  return `{"transactionId":${t.transactionId},"ts":${t.ts},"itemId":${
    JSON.stringify(t.itemId)
  },"quantity":${t.quantity}}`;
}

/** `{"queryId":1,"itemId":"item_1"}` */
export function formatQueryJson(q: Query): string {
  return `{"queryId":${q.queryId},"itemId":${JSON.stringify(q.itemId)}}`;
}

/** `{"transaction":{...},"success":true}`, and `"duplicate":true` for a repetition. */
export function formatTransactionResultJson(r: TransactionResult): string {
  const duplicate = r.duplicate ? ',"duplicate":true' : "";
  return `{"transaction":${
    formatTransactionJson(r.transaction)
  },"success":${r.success}${duplicate}}`;
}

/** `{"queryId":1,"itemInfo":{"itemId":"item_1","quantity":5}}`, or `"itemInfo":null`. */
export function formatQueryResultJson(r: QueryResult): string {
  const info = r.itemInfo
    ? `{"itemId":${JSON.stringify(r.itemInfo.itemId)},"quantity":${r.itemInfo.quantity}}`
    : "null";
  return `{"queryId":${r.queryId},"itemInfo":${info}}`;
}

/** The members of TransactionSummary. */
export function formatSummaryJson(s: TransactionSummary): string {
  return `{"itemId":${
    JSON.stringify(s.itemId)
  },"windowStart":${s.windowStart},"windowEnd":${s.windowEnd},` +
    `"numSuccessfulTransactions":${s.numSuccessfulTransactions},"numFailedTransactions":${s.numFailedTransactions},` +
    `"totalVolume":${s.totalVolume}}`;
}

/** JSON.parse with every integer kept exactly: numbers become bigint. */
function parseExact(text: string): unknown {
  const reviver = (_key: string, value: unknown, context: { source?: string }) =>
    typeof value === "number" ? BigInt(context.source!) : value;
  return JSON.parse(text, reviver as (key: string, value: unknown) => unknown);
}

/** Reads what formatTransactionResultJson wrote. */
export function parseTransactionResultJson(text: string): TransactionResult {
  const { transaction: t, success, duplicate } = parseExact(text) as {
    transaction: { transactionId: bigint; ts: bigint; itemId: string; quantity: bigint };
    success: boolean;
    duplicate?: boolean;
  };
  return {
    transaction: { ...t, ts: Number(t.ts), quantity: Number(t.quantity) },
    success,
    ...(duplicate === undefined ? {} : { duplicate }),
  };
}

/** Reads what formatQueryResultJson wrote. */
export function parseQueryResultJson(text: string): QueryResult {
  return parseExact(text) as QueryResult;
}

/** Reads what formatSummaryJson wrote. */
export function parseSummaryJson(text: string): TransactionSummary {
  const s = parseExact(text) as Record<string, bigint> & { itemId: string };
  return {
    itemId: s.itemId,
    windowStart: Number(s.windowStart),
    windowEnd: Number(s.windowEnd),
    numSuccessfulTransactions: Number(s.numSuccessfulTransactions),
    numFailedTransactions: Number(s.numFailedTransactions),
    totalVolume: s.totalVolume!,
  };
}
