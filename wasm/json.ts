// Transactions as JSON (RFC 8259): one object with transactionId, ts, itemId and quantity in any
// order; other members are checked for syntax and ignored. One pass, no recursion.

import { ITEM_ID_BYTES_MAX, JSON_DEPTH_MAX, Reason, TIMESTAMP_MAX } from "./contract";
import { intEnd, intFits, intMagnitude, intNegative, putAscii, scanInteger } from "./integers";
import { isUtf8, putUtf8 } from "./utf8";
import { hasControl } from "./text";
import { allocate } from "./memory";
import { putRareItem } from "./item";
import {
  JSON_ESCAPED,
  JSON_ID,
  JSON_QUANTITY,
  JSON_TS,
  putSpan,
  QUANTITY,
  TRANSACTION_ID,
  TS,
} from "./record";

const QUOTE: u8 = 34;
const COMMA: u8 = 44;
const COLON: u8 = 58;
const BACKSLASH: u8 = 92;
const OPEN_OBJECT: u8 = 123;
const CLOSE_OBJECT: u8 = 125;
const OPEN_ARRAY: u8 = 91;
const CLOSE_ARRAY: u8 = 93;

// Members seen.
const SEEN_ID: u32 = 1;
const SEEN_TS: u32 = 2;
const SEEN_ITEM: u32 = 4;
const SEEN_QUANTITY: u32 = 8;
const SEEN_ALL: u32 = 15;

/** Names of the members as u64: their first 8 bytes. */
let names: usize = 0;
const NAME_MAX: u32 = 16;
/** Bytes of an unescaped name or item id; longer ones are cut, which no known name and no valid id is. */
export const UNESCAPED_MAX: u32 = 272;
let nameBuffer: usize = 0;
/** One bit per open object or array: 1 = object. */
let nesting: usize = 0;

export function initJson(): void {
  names = allocate(4 * NAME_MAX, 16);
  putAscii(names, "transactionId");
  putAscii(names + NAME_MAX, "ts");
  putAscii(names + 2 * NAME_MAX, "itemId");
  putAscii(names + 3 * NAME_MAX, "quantity");
  nameBuffer = allocate(UNESCAPED_MAX, 16);
  nesting = allocate(JSON_DEPTH_MAX / 8 + 8, 8);
}

// Registers of scanString.
let hasEscape: bool = false;
/** Whether the string has a byte beyond ASCII or U+007F. */
let isOdd: bool = false;
/** Set by unescape: the string has half a surrogate pair. */
let loneSurrogate: bool = false;

/**
 * Reads the n bytes at v into the record r; an item id with escapes is decoded to `unescaped`
 * (UNESCAPED_MAX bytes).
 */
export function parseJson(v: usize, n: u32, r: usize, unescaped: usize): u32 {
  const end = v + n;
  let p = skipSpace(v, end);
  if (!is(p, end, OPEN_OBJECT)) return Reason.Malformed;
  p = skipSpace(p + 1, end);
  store<u32>(r, 0, JSON_ESCAPED);
  let seen: u32 = 0,
    itemId: usize = 0,
    itemEnd: usize = 0,
    itemEscaped = false,
    itemOdd = false,
    odd = false;
  let idFits = false, tsFits = false, quantityFits = false;
  while (true) {
    if (!is(p, end, QUOTE)) return Reason.Malformed;
    const name = p + 1, nameEnd = scanString(name, end);
    if (!nameEnd) return Reason.Malformed;
    odd = odd || isOdd;
    const member = memberOf(name, <u32> (nameEnd - name), hasEscape);
    if (seen & member) return Reason.Malformed;
    seen |= member;
    p = skipSpace(nameEnd + 1, end);
    if (!is(p, end, COLON)) return Reason.Malformed;
    p = skipSpace(p + 1, end);
    if (!member) {
      isOdd = false;
      p = skipValue(p, end);
      if (!p) return Reason.Malformed;
      odd = odd || isOdd;
    } else if (member == SEEN_ITEM) {
      if (!is(p, end, QUOTE)) return Reason.Malformed;
      itemId = p + 1;
      itemEnd = scanString(itemId, end);
      if (!itemEnd) return Reason.Malformed;
      itemEscaped = hasEscape;
      itemOdd = isOdd;
      odd = odd || isOdd;
      p = itemEnd + 1;
    } else {
      if (!scanInteger(p, end)) return Reason.Malformed;
      const length = <u32> (intEnd - p);
      if (member == SEEN_ID) {
        idFits = intFits(i64.MAX_VALUE);
        putSpan(r, JSON_ID, p, length);
        store<i64>(r, intNegative ? -<i64> intMagnitude : <i64> intMagnitude, TRANSACTION_ID);
      } else if (member == SEEN_TS) {
        tsFits = !intNegative && intMagnitude <= <u64> TIMESTAMP_MAX;
        store<u64>(r, intMagnitude, TS);
        putSpan(r, JSON_TS, p, length);
      } else {
        quantityFits = intFits(i32.MAX_VALUE);
        store<i64>(r, intNegative ? -<i64> intMagnitude : <i64> intMagnitude, QUANTITY);
        putSpan(r, JSON_QUANTITY, p, length);
      }
      p = intEnd;
    }
    p = skipSpace(p, end);
    if (is(p, end, COMMA)) p = skipSpace(p + 1, end);
    else break;
  }
  if (!is(p, end, CLOSE_OBJECT) || skipSpace(p + 1, end) != end || seen != SEEN_ALL) {
    return Reason.Malformed;
  }
  if (odd && !isUtf8(v, n)) return Reason.Malformed;
  if (!idFits) return Reason.IdRange;
  if (!tsFits) return Reason.TimestampRange;
  let idLength = <u32> (itemEnd - itemId);
  if (itemEscaped) {
    idLength = unescape(itemId, itemEnd, unescaped);
    itemId = unescaped;
    store<u32>(r, 1, JSON_ESCAPED);
  }
  if (!idLength) return Reason.ItemIdEmpty;
  if (idLength > ITEM_ID_BYTES_MAX) return Reason.ItemIdTooLong;
  if (itemEscaped && loneSurrogate) return Reason.ItemIdCharacter;
  if ((itemEscaped || itemOdd) && hasControl(itemId, idLength)) return Reason.ItemIdCharacter;
  if (!quantityFits) return Reason.QuantityRange;
  putRareItem(r, itemId, idLength);
  return Reason.None;
}

@inline
function is(p: usize, end: usize, c: u8): bool {
  return p < end && load<u8>(p) == c;
}

@inline
function skipSpace(p: usize, end: usize): usize {
  while (p < end) {
    const c = load<u8>(p);
    if (c != 32 && c != 10 && c != 13 && c != 9) break;
    p++;
  }
  return p;
}

/** The end (closing quote) of the string whose first byte is at p, or 0; checks its escapes. */
@inline
function scanString(p: usize, end: usize): usize {
  hasEscape = false;
  isOdd = false;
  return scanOn(p, end);
}

function scanOn(p: usize, end: usize): usize {
  while (p < end) {
    const x = v128.load(p);
    const stop = i8x16.bitmask(
      v128.or(
        v128.or(i8x16.eq(x, i8x16.splat(QUOTE)), i8x16.eq(x, i8x16.splat(BACKSLASH))),
        i8x16.lt_u(x, i8x16.splat(32)),
      ),
    ) | 0x10000;
    const before = ctz(stop);
    const odd = i8x16.bitmask(
      v128.or(i8x16.lt_s(x, i8x16.splat(0)), i8x16.eq(x, i8x16.splat(127))),
    );
    if (odd & ((1 << before) - 1)) isOdd = true;
    p += before;
    if (before == 16) continue;
    if (p >= end) return 0;
    const c = load<u8>(p);
    if (c == QUOTE) return p;
    if (c != BACKSLASH) return 0;
    hasEscape = true;
    p = skipEscape(p, end);
    if (!p) return 0;
  }
  return 0;
}

/** Skips the escape at p; 0 when it is not one. */
function skipEscape(p: usize, end: usize): usize {
  if (end - p < 2) return 0;
  const c = load<u8>(p, 1);
  if (c != 117) return simpleEscape(c) ? p + 2 : 0;
  if (end - p < 6) return 0;
  for (let i: usize = 2; i < 6; i++) if (hexDigit(load<u8>(p + i)) > 15) return 0;
  return p + 6;
}

/** What a backslash and this character stand for, or 0. */
function simpleEscape(c: u8): u32 {
  switch (c) {
    case QUOTE:
    case BACKSLASH:
    case 47:
      return c;
    case 98:
      return 8;
    case 102:
      return 12;
    case 110:
      return 10;
    case 114:
      return 13;
    case 116:
      return 9;
    default:
      return 0;
  }
}

function hexDigit(c: u8): u32 {
  const digit = <u32> c - 48;
  if (digit < 10) return digit;
  const letter = (<u32> c | 32) - 97;
  return letter < 6 ? letter + 10 : u32.MAX_VALUE;
}

@inline
function hex4(p: usize): u32 {
  return (hexDigit(load<u8>(p)) << 12) | (hexDigit(load<u8>(p, 1)) << 8) |
    (hexDigit(load<u8>(p, 2)) << 4) | hexDigit(load<u8>(p, 3));
}

/**
 * Decodes a string that scanString accepted; returns its length in UTF-8 bytes, or a length beyond
 * ITEM_ID_BYTES_MAX as soon as it is known to be longer.
 */
function unescape(p: usize, end: usize, o: usize): u32 {
  const start = o;
  loneSurrogate = false;
  while (p < end && o - start <= ITEM_ID_BYTES_MAX) {
    const c = load<u8>(p);
    if (c != BACKSLASH) {
      store<u8>(o++, c);
      p++;
    } else if (load<u8>(p, 1) != 117) {
      store<u8>(o++, <u8> simpleEscape(load<u8>(p, 1)));
      p += 2;
    } else {
      let code = hex4(p + 2);
      p += 6;
      if (code >= 0xd800 && code < 0xe000) {
        const low = code < 0xdc00 && end - p >= 6 && load<u16>(p) == 0x755c ? hex4(p + 2) : 0; // 5c 75 = \u
        if (low >= 0xdc00 && low < 0xe000) {
          code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          p += 6;
        } else loneSurrogate = true;
      }
      o += putUtf8(o, code);
    }
  }
  return <u32> (o - start);
}

/** Which member a name is: one of SEEN_*, 0 when unknown. */
@inline
function memberOf(name: usize, n: u32, escaped: bool): u32 {
  if (escaped) {
    n = unescape(name, name + n, nameBuffer);
    name = nameBuffer;
  }
  switch (n) {
    case 13:
      return sameEight(name, names) && sameEight(name + 5, names + 5) ? SEEN_ID : 0;
    case 2:
      return load<u16>(name) == load<u16>(names + NAME_MAX) ? SEEN_TS : 0;
    case 6:
      return load<u32>(name) == load<u32>(names + 2 * NAME_MAX) &&
          load<u16>(name, 4) == load<u16>(names + 2 * NAME_MAX, 4)
        ? SEEN_ITEM
        : 0;
    case 8:
      return sameEight(name, names + 3 * NAME_MAX) ? SEEN_QUANTITY : 0;
    default:
      return 0;
  }
}

@inline
function sameEight(p: usize, q: usize): bool {
  return load<u64>(p) == load<u64>(q);
}

/** Skips any JSON value; returns its end, or 0. */
function skipValue(p: usize, end: usize): usize {
  let depth: u32 = 1; // the outermost object
  while (p < end) {
    const c = load<u8>(p);
    if (c == OPEN_OBJECT || c == OPEN_ARRAY) {
      if (depth == JSON_DEPTH_MAX) return 0;
      p = skipSpace(p + 1, end);
      if (!is(p, end, c + 2)) { // the closing bracket of either kind is its opening one + 2
        setNesting(depth++, c == OPEN_OBJECT);
        if (c == OPEN_OBJECT) p = skipName(p, end);
        if (!p) return 0;
        continue;
      }
      p++;
    } else p = skipScalar(p, end, c);
    if (!p) return 0;
    // After a value: what is open goes on or ends.
    while (true) {
      if (depth == 1) return p;
      p = skipSpace(p, end);
      const inObject = isObject(depth - 1);
      if (is(p, end, COMMA)) {
        p = skipSpace(p + 1, end);
        if (inObject) p = skipName(p, end);
        if (!p) return 0;
        break;
      }
      if (!is(p, end, inObject ? CLOSE_OBJECT : CLOSE_ARRAY)) return 0;
      depth--;
      p++;
    }
  }
  return 0;
}

function setNesting(level: u32, object: bool): void {
  const at = nesting + (level >> 3), bit = <u8> 1 << <u8> (level & 7);
  store<u8>(at, object ? load<u8>(at) | bit : load<u8>(at) & ~bit);
}

function isObject(level: u32): bool {
  return (load<u8>(nesting + (level >> 3)) & (<u8> 1 << <u8> (level & 7))) != 0;
}

/** Skips a member's name and colon; 0 when there is none. */
function skipName(p: usize, end: usize): usize {
  if (!is(p, end, QUOTE)) return 0;
  p = scanOn(p + 1, end);
  if (!p) return 0;
  p = skipSpace(p + 1, end);
  return is(p, end, COLON) ? skipSpace(p + 1, end) : 0;
}

function skipScalar(p: usize, end: usize, c: u8): usize {
  if (c == QUOTE) {
    p = scanOn(p + 1, end);
    return p ? p + 1 : 0;
  }
  if (c == 116) return skipWord(p, end, 0x65757274, 4); // true
  if (c == 110) return skipWord(p, end, 0x6c6c756e, 4); // null
  if (c == 102) return skipWord(p + 1, end, 0x65736c61, 4); // (f)alse
  return skipNumber(p, end);
}

@inline
function skipWord(p: usize, end: usize, word: u32, n: usize): usize {
  return end - p >= n && load<u32>(p) == word ? p + n : 0;
}

function skipNumber(p: usize, end: usize): usize {
  if (is(p, end, 45)) p++;
  const whole = skipDigits(p, end);
  if (whole == p || (load<u8>(p) == 48 && whole != p + 1)) return 0;
  p = whole;
  if (is(p, end, 46)) {
    const fraction = skipDigits(p + 1, end);
    if (fraction == p + 1) return 0;
    p = fraction;
  }
  if (is(p, end, 101) || is(p, end, 69)) {
    p++;
    if (is(p, end, 43) || is(p, end, 45)) p++;
    const exponent = skipDigits(p, end);
    if (exponent == p) return 0;
    p = exponent;
  }
  return p;
}

function skipDigits(p: usize, end: usize): usize {
  while (p < end && <u32> load<u8>(p) - 48 < 10) p++;
  return p;
}
