// Transaction results, behind the input's bytes: what was canonical stays as it was.

import { OUTCOME_ACCEPTED, OUTCOME_DUPLICATE } from "./contract";
import { allocate } from "./memory";
import { copyFast, copyLong, putAscii } from "./integers";
import { closeRecord, openRecord } from "./output";
import {
  ID,
  ID_LENGTH,
  JSON_ESCAPED,
  JSON_ID,
  JSON_QUANTITY,
  JSON_TS,
  SUCCEEDED,
  TIMESTAMP,
  VALUE,
  VALUE_LENGTH,
} from "./record";

// Constant parts, each padded to 16 bytes.
let accepted: usize = 0;
let rejected: usize = 0;
let beforeId: usize = 0;
let beforeTs: usize = 0;
let beforeItem: usize = 0;
let beforeQuantity: usize = 0;
let jsonAccepted: usize = 0;
let jsonRejected: usize = 0;

/** Headers of the result of a repetition: one, `stockflow.duplicate`, without a value. */
let repeated: usize = 0;
const REPEATED: u32 = 22;

const TEXT_ACCEPTED: u32 = 5;
const TEXT_REJECTED: u32 = 6;
const BEFORE_ID: u32 = 32;
const BEFORE_TS: u32 = 6;
const BEFORE_ITEM: u32 = 11;
const BEFORE_QUANTITY: u32 = 13;
const JSON_ACCEPTED: u32 = 17;
const JSON_REJECTED: u32 = 18;
const JSON_PARTS: u32 = BEFORE_ID + BEFORE_TS + BEFORE_ITEM + BEFORE_QUANTITY;

export function initResults(): void {
  accepted = constant("\ttrue");
  rejected = constant("\tfalse");
  beforeId = constant('{"transaction":{"transactionId":');
  beforeTs = constant(',"ts":');
  beforeItem = constant(',"itemId":"');
  beforeQuantity = constant('","quantity":');
  jsonAccepted = constant('},"success":true}');
  jsonRejected = constant('},"success":false}');
  repeated = constant("..stockflow.duplicate.");
  store<u8>(repeated, 2); // one header (zigzag)
  store<u8>(repeated, 2 * 19, 1); // bytes of its key
  store<u8>(repeated, 1, 21); // no value
}

function constant(text: string): usize {
  const p = allocate(48, 16);
  putAscii(p, text);
  return p;
}

/** `value TAB true|false`: a valid text value is canonical. */
@inline
export function putTextResult(s: usize, o: usize, r: usize): usize {
  const outcome = load<u32>(r, SUCCEEDED),
    succeeded = outcome & OUTCOME_ACCEPTED,
    n = load<u32>(r, VALUE_LENGTH);
  const length = n + (succeeded ? TEXT_ACCEPTED : TEXT_REJECTED);
  o = openRecord(
    s,
    o,
    load<i64>(r, TIMESTAMP),
    <usize> load<u32>(r, ID),
    load<u32>(r, ID_LENGTH),
    length,
    headersLength(outcome),
  );
  o = copyLong(o, <usize> load<u32>(r, VALUE), n);
  store<u64>(o, load<u64>(succeeded ? accepted : rejected));
  return close(o + length - n, outcome);
}

/** Bytes of a result's headers, their number included. */
@inline
function headersLength(outcome: u32): u32 {
  return outcome & OUTCOME_DUPLICATE ? REPEATED : 1;
}

@inline
function close(o: usize, outcome: u32): usize {
  return outcome & OUTCOME_DUPLICATE ? copyFast(o, repeated, REPEATED) : closeRecord(o);
}

/** `{"transaction":{...},"success":true|false}`: the four fields in their order, canonical. */
@inline
export function putJsonResult(s: usize, o: usize, r: usize): usize {
  const outcome = load<u32>(r, SUCCEEDED),
    succeeded = outcome & OUTCOME_ACCEPTED,
    id = <usize> load<u32>(r, ID),
    n = load<u32>(r, ID_LENGTH);
  const escaped = load<u32>(r, JSON_ESCAPED) != 0;
  const length = JSON_PARTS + load<u32>(r, JSON_ID + 4) + load<u32>(r, JSON_TS + 4) +
    (escaped ? quotedLength(id, n) : n) +
    load<u32>(r, JSON_QUANTITY + 4) + (succeeded ? JSON_ACCEPTED : JSON_REJECTED);
  o = openRecord(s, o, load<i64>(r, TIMESTAMP), id, n, length, headersLength(outcome));
  o = copyFast(o, beforeId, BEFORE_ID);
  o = putSpanOf(o, r + JSON_ID);
  o = copyFast(o, beforeTs, BEFORE_TS);
  o = putSpanOf(o, r + JSON_TS);
  o = copyFast(o, beforeItem, BEFORE_ITEM);
  o = escaped ? putQuoted(o, id, n) : copyFast(o, id, n);
  o = copyFast(o, beforeQuantity, BEFORE_QUANTITY);
  o = putSpanOf(o, r + JSON_QUANTITY);
  o = succeeded
    ? copyFast(o, jsonAccepted, JSON_ACCEPTED)
    : copyFast(o, jsonRejected, JSON_REJECTED);
  return close(o, outcome);
}

@inline
function putSpanOf(o: usize, span: usize): usize {
  return copyFast(o, <usize> load<u32>(span), load<u32>(span, 4));
}

@inline
function isQuoted(c: u8): bool {
  return c == 34 || c == 92;
}

/** Bytes of an item id between quotes: a quote and a backslash take two. */
export function quotedLength(p: usize, n: u32): u32 {
  let length = n;
  for (let i: u32 = 0; i < n; i++) length += <u32> isQuoted(load<u8>(p + i));
  return length;
}

export function putQuoted(o: usize, p: usize, n: u32): usize {
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(p + i);
    if (isQuoted(c)) store<u8>(o++, 92);
    store<u8>(o++, c);
  }
  return o;
}
