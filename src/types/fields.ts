// The fields of a record and their limits (docs/formats.md), shared by the text and the JSON codec.

import { ITEM_ID_BYTES_MAX } from "../../wasm/contract.ts";
import { InvalidRecordError, Reason, shorten } from "./invalid_record.ts";

const CANONICAL = /^(?:0|-?[1-9][0-9]*)$/;
const encoder = new TextEncoder();

const INT64_MIN = -(2n ** 63n);
export const INT64_MAX = 2n ** 63n - 1n;
const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;

/** Whether the text is a decimal integer without plus sign, leading zero, fraction or exponent. */
function isCanonicalInteger(text: string): boolean {
  return CANONICAL.test(text);
}

/** Throws unless the text of a field is a canonical integer. */
export function checkInteger(name: string, text: string): void {
  if (isCanonicalInteger(text)) return;
  throw new InvalidRecordError(
    Reason.Malformed,
    `${name} must be a decimal integer without plus sign, leading zero, fraction or exponent: ${
      JSON.stringify(shorten(text))
    }`,
  );
}

/** Value of a canonical integer as a 64-bit id. */
export function toId(name: string, text: string): bigint {
  // 20 characters hold every 64-bit integer; a longer text is not worth converting.
  const id = text.length <= 20 ? BigInt(text) : INT64_MAX + 1n;
  if (id >= INT64_MIN && id <= INT64_MAX) return id;
  throw new InvalidRecordError(
    Reason.IdRange,
    `${name} must lie in -2^63..2^63-1: ${shorten(text)}`,
  );
}

/** Value of a canonical integer as event time in ms. */
export function toTs(text: string): number {
  const ts = text.length <= 16 ? Number(text) : Infinity;
  if (ts >= 0 && ts <= Number.MAX_SAFE_INTEGER) return ts;
  throw new InvalidRecordError(Reason.TimestampRange, `ts must lie in 0..2^53-1: ${shorten(text)}`);
}

/** Value of a canonical integer as quantity. */
export function toQuantity(text: string): number {
  const quantity = text.length <= 11 ? Number(text) : Infinity;
  if (quantity >= INT32_MIN && quantity <= INT32_MAX) return quantity;
  throw new InvalidRecordError(
    Reason.QuantityRange,
    `quantity must lie in -2147483648..2147483647: ${shorten(text)}`,
  );
}

// deno-lint-ignore no-control-regex -- control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/;
const ASCII = /^[\u0020-\u007e]*$/;

/** Throws unless the item id has 1 to 249 bytes of well-formed UTF-8 without control characters. */
export function checkItemId(itemId: string): void {
  const bytes = ASCII.test(itemId) ? itemId.length : encoder.encode(itemId).length;
  if (bytes === 0) {
    throw new InvalidRecordError(Reason.ItemIdEmpty, "itemId must not be empty");
  }
  if (bytes > ITEM_ID_BYTES_MAX) {
    throw new InvalidRecordError(
      Reason.ItemIdTooLong,
      `itemId must have at most ${ITEM_ID_BYTES_MAX} bytes of UTF-8, not ${bytes}: ${
        JSON.stringify(shorten(itemId))
      }`,
    );
  }
  if (!itemId.isWellFormed() || CONTROL.test(itemId)) {
    throw new InvalidRecordError(
      Reason.ItemIdCharacter,
      `itemId must be well-formed UTF-8 without control characters: ${
        JSON.stringify(shorten(itemId))
      }`,
    );
  }
}
