// A record on its way through the passes of the fold, 128 B = two cache lines.

export const RECORD_BYTES: usize = 128;
export const CODE: usize = 0; // u64: key code, or what a stored id is sought by; 0 = not in the table when it was read
export const HASH: usize = 8; // u64
export const TS: usize = 16; // i64: event time
export const QUANTITY: usize = 24; // i64
export const TIMESTAMP: usize = 32; // i64: the record's own timestamp
export const ID: usize = 40; // u32: address of the item id's bytes
export const ID_LENGTH: usize = 44; // u32
export const VALUE: usize = 48; // u32: address
export const VALUE_LENGTH: usize = 52; // u32
export const SLOT: usize = 56; // u32: slot of the item, 0 = not in the table, or not found yet
export const REASON: usize = 64; // u32: Reason
export const SUCCEEDED: usize = 68; // u32: 0 or 1, and OUTCOME_DUPLICATE
export const AHEAD: usize = 68; // u32, before that: address that the next pass needs; of a home line plus ENDS_PART
export const START: usize = 72; // u32: address of the record's length varint
export const LENGTH: usize = 76; // u32: bytes from there
export const OFFSET_DELTA: usize = 80; // u32
// Where the integers stand in a JSON value: address u32, length u32.
export const JSON_ID: usize = 84;
export const JSON_TS: usize = 92;
export const JSON_QUANTITY: usize = 100;
export const JSON_ESCAPED: usize = 108; // u32: 1 when the item id was written with escapes
export const TRANSACTION_ID: usize = 112; // i64: where transactions are remembered
export const ITEM_HASH: usize = 120; // u64: the same

/** Reason or outcome of reading one value. */
@inline
export function putSpan(r: usize, field: usize, p: usize, n: u32): void {
  store<u32>(r + field, <u32> p);
  store<u32>(r + field, n, 4);
}
