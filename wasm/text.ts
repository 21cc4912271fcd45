// Transactions as text: `transactionId TAB ts TAB itemId TAB quantity`.

import { ITEM_ID_BYTES_MAX, Reason, TIMESTAMP_MAX } from "./contract";
import {
  digitMask,
  digitsAt,
  digitsBefore,
  intEnd,
  intFits,
  intMagnitude,
  intNegative,
  lastDigits,
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
 * Reads the n bytes at v into the record r. What is common is classified 16 bytes at a time, from both ends at once: no
 * field waits for the length of the one before. All else is left to parseAny, which alone decides what is wrong with a
 * value. The transaction id is read where it is asked for.
 */
@inline
export function parseText(v: usize, n: u32, r: usize, withId: bool): u32 {
  const end = v + n;
  // quantity, from its end
  const last = v128.load(end - 16), q = clz(~(digitMask(last) << 16));
  const negative = load<u8>(end - q - 1) == MINUS;
  const itemEnd = n - q - 1 - <u32> negative;
  if (q - 1 > 9 || itemEnd >= n || load<u8>(v + itemEnd) != TAB) return parseAny(v, end, r);
  // transactionId, ts and the item: what is unusual are the two tabs before the item
  const a = v128.load(v), b = v128.load(v, 16), c = v128.load(v, 32);
  let tabs = <u64> unusualMask(a) | (<u64> unusualMask(b) << 16) | (<u64> unusualMask(c) << 32) |
    (<u64> unusualMask(v128.load(v, 48)) << 48);
  if (itemEnd < 64) tabs &= ((<u64> 1) << itemEnd) - 1;
  else if (isUnusual(v + 64, v + itemEnd)) return parseAny(v, end, r);
  const second = tabs & (tabs - 1), t1 = <u32> ctz(tabs), t2 = <u32> ctz(second);
  const minus = <u32> (load<u8>(v) == MINUS);
  const digits = <u64> digitMask(a) | (<u64> digitMask(b) << 16) | (<u64> digitMask(c) << 32);
  const idDigits = t1 - minus, tsDigits = t2 - t1 - 1, idLength = itemEnd - t2 - 1;
  // Up to the second tab there are digits alone, but for the minus and the tabs, which are all that is unusual.
  if (
    (~digits & (second ^ (second - 1))) != (tabs | minus) ||
    load<u8>(v + t1) != TAB || load<u8>(v + t2) != TAB ||
    idDigits - 1 > 18 || tsDigits - 1 > 14 || idLength - 1 > ITEM_ID_BYTES_MAX - 1
  ) return parseAny(v, end, r);
  // No zeros lead. Of 19 digits, only those that begin with a 9 may be beyond int64.
  const idStart = v + minus;
  if (
    (load<u8>(idStart) == ZERO && (idDigits > 1 || minus)) ||
    (load<u8>(v + t1, 1) == ZERO && tsDigits > 1) ||
    (load<u8>(end - q) == ZERO && (q > 1 || negative)) ||
    (idDigits == 19 && load<u8>(idStart) == NINE && digitsAt(idStart, 19) > INT64_MAX)
  ) return parseAny(v, end, r);
  const magnitude = lastDigits(last, q);
  if (magnitude > INT32_MAX + <u64> negative) return parseAny(v, end, r);
  if (withId) {
    const id = <i64> digitsAt(idStart, idDigits);
    store<i64>(r, minus ? -id : id, TRANSACTION_ID);
  }
  store<u64>(r, digitsBefore(v + t2, tsDigits), TS);
  store<i64>(r, negative ? -<i64> magnitude : <i64> magnitude, QUANTITY);
  putItem(r, v + t2 + 1, idLength);
  return Reason.None;
}

/** Whether a byte from p to end (which may be p) is a control character or not ASCII. */
@inline
function isUnusual(p: usize, end: usize): bool {
  for (; end - p >= 16; p += 16) if (unusualMask(v128.load(p))) return true;
  return (unusualMask(v128.load(p)) & ((1 << <u32> (end - p)) - 1)) != 0;
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
