// The item of a record: where its id stands, its code and hash.

import { keyHash, unmixedCode } from "./keys";
import { CODE, HASH, ID, ID_LENGTH } from "./record";

/** Sets the item of the record r, the id of n bytes at `id`; its hash is not mixed yet. */
@inline
export function putItem(r: usize, id: usize, n: u32): void {
  store<u32>(r, <u32> id, ID);
  store<u32>(r, n, ID_LENGTH);
  store<u64>(r, unmixedCode(id, n), CODE);
  store<u64>(r, keyHash, HASH);
}

/** The same, where it is called rarely: its code stands once for all of them. */
export function putRareItem(r: usize, id: usize, n: u32): void {
  putItem(r, id, n);
}
