// Transactions as text: `transactionId TAB ts TAB itemId TAB quantity`.

import { ITEM_ID_BYTES_MAX, Reason, TIMESTAMP_MAX } from "./contract";
import {
  digitMask,
  digitRun,
  digitsAt,
  digitsBefore,
  intEnd,
  intFits,
  intMagnitude,
  intNegative,
  scanInteger,
} from "./integers";
import { isUtf8, unusualMask } from "./utf8";
import { putItem, putRareItem } from "./item";
import { QUANTITY, TRANSACTION_ID, TS } from "./record";

const TAB: u8 = 9;
const MINUS: u8 = 45;
const ZERO: u8 = 48;
const NINE: u8 = 57;
const INT64_MAX: u64 = i64.MAX_VALUE;
const INT32_MAX: u64 = i32.MAX_VALUE;

/**
 * Reads the n bytes at v into the record r. What is common is read in steps of 16 bytes; all else is
 * left to parseAny, which alone decides what is wrong with a value. The transaction id is read where it is asked for.
 */
@inline
export function parseText(v: usize, n: u32, r: usize, withId: bool): u32 {
  const end = v + n;
  // transactionId
  let p = v + <usize> (load<u8>(v) == MINUS);
  let k = digitRun(p);
  if (k == 16) k += digitRun(p + 16);
  if (!k || k > 19 || load<u8>(p + k) != TAB || (load<u8>(p) == ZERO && (k > 1 || p != v))) {
    return parseAny(v, end, r);
  }
  // Of 19 digits, only those that begin with a 9 may be beyond int64.
  if (k == 19 && load<u8>(p) == NINE && digitsAt(p, 19) > INT64_MAX) return parseAny(v, end, r);
  if (withId) {
    const magnitude = <i64> digitsAt(p, k);
    store<i64>(r, p != v ? -magnitude : magnitude, TRANSACTION_ID);
  }
  // ts
  p += k + 1;
  k = digitRun(p);
  if (!k || k == 16 || load<u8>(p + k) != TAB || (load<u8>(p) == ZERO && k > 1)) {
    return parseAny(v, end, r);
  }
  p += k;
  const ts = digitsBefore(p, k);
  // itemId
  const id = ++p;
  let unusual = unusualMask(v128.load(p));
  while (!unusual && p - id < ITEM_ID_BYTES_MAX) {
    p += 16;
    unusual = unusualMask(v128.load(p));
  }
  p += ctz(unusual | 0x10000);
  const idLength = <u32> (p - id);
  if (load<u8>(p) != TAB || !idLength || idLength > ITEM_ID_BYTES_MAX) return parseAny(v, end, r);
  // quantity
  const negative = load<u8>(++p) == MINUS;
  p += <usize> negative;
  k = digitRun(p);
  if (!k || k > 10 || p + k != end || (load<u8>(p) == ZERO && (k > 1 || negative))) {
    return parseAny(v, end, r);
  }
  const magnitude = digitsBefore(end, k);
  if (magnitude > INT32_MAX + <u64> negative) return parseAny(v, end, r);
  store<u64>(r, ts, TS);
  store<i64>(r, negative ? -<i64> magnitude : <i64> magnitude, QUANTITY);
  putItem(r, id, idLength);
  return Reason.None;
}

/** Reads any value: syntax of the whole first, then the fields in their order. */
function parseAny(v: usize, end: usize, r: usize): u32 {
  const id = fieldEnd(v, end), ts = fieldEnd(id + 1, end), item = fieldEnd(ts + 1, end);
  if (item >= end || fieldEnd(item + 1, end) != end) return Reason.Malformed;
  if (!scanInteger(item + 1, end) || intEnd != end) return Reason.Malformed;
  const quantityFits = intFits(INT32_MAX),
    quantity = intNegative ? -<i64> intMagnitude : <i64> intMagnitude;
  if (!scanInteger(v, id) || intEnd != id) return Reason.Malformed;
  const idFits = intFits(INT64_MAX);
  store<i64>(r, intNegative ? -<i64> intMagnitude : <i64> intMagnitude, TRANSACTION_ID);
  if (!scanInteger(id + 1, ts) || intEnd != ts) return Reason.Malformed;
  if (!idFits) return Reason.IdRange;
  if (intNegative || intMagnitude > <u64> TIMESTAMP_MAX) return Reason.TimestampRange;
  store<u64>(r, intMagnitude, TS);
  const p = ts + 1, n = <u32> (item - p);
  if (!n) return Reason.ItemIdEmpty;
  if (n > ITEM_ID_BYTES_MAX) return Reason.ItemIdTooLong;
  if (hasControl(p, n) || !isUtf8(p, n)) return Reason.ItemIdCharacter;
  if (!quantityFits) return Reason.QuantityRange;
  store<i64>(r, quantity, QUANTITY);
  putRareItem(r, p, n);
  return Reason.None;
}

/** The next TAB from p on, or `end`; beyond the end stays there. */
function fieldEnd(p: usize, end: usize): usize {
  while (p < end && load<u8>(p) != TAB) p++;
  return min(p, end);
}

/** Whether one of the n bytes at p is a control character (U+0000-001F, U+007F). */
export function hasControl(p: usize, n: u32): bool {
  for (let i: u32 = 0; i < n; i++) {
    const c = load<u8>(p + i);
    if (c < 32 || c == 127) return true;
  }
  return false;
}
