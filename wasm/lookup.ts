// Look-ups: the stock of items, for queries.

import { ITEM_ID_BYTES_MAX } from "./contract";
import { alignUp } from "./memory";
import { ABSENT, stockOf } from "./runs";
import { findId } from "./table";

/**
 * Answers `n` keys in the look-up area, in place: each is a u32 length and its bytes, padded to 8; the
 * i-th answer is the i64 at 8 * i, which never reaches a key that is still to be read.
 */
export function lookUp(area: usize, n: u32): void {
  let p = area;
  for (let i: u32 = 0; i < n; i++) {
    const length = load<u32>(p);
    const slot = length && length <= ITEM_ID_BYTES_MAX ? findId(p + 4, length) : 0;
    p = alignUp(p + 4 + <usize> min(length, ITEM_ID_BYTES_MAX), 8);
    store<i64>(area + (<usize> i << 3), slot ? stockOf(slot) : ABSENT);
  }
}
