// What the leader says to a member with its assignment: the table, which is the same for all of them, or why the
// member is refused.

import { decodeUtf8, encodeUtf8 } from "../../types/mod.ts";
import { Reader, Writer } from "../protocol/wire.ts";
import { readTable, type SharingTable, writeTable } from "./sharing_table.ts";

export type SharingAssignment = { readonly table: SharingTable } | { readonly refused: string };

const TABLE = 1;
const REFUSED = 2;

export function encodeSharingAssignment(assignment: SharingAssignment): Uint8Array {
  if ("refused" in assignment) {
    const text = encodeUtf8(assignment.refused);
    return Uint8Array.from([REFUSED, ...text]);
  }
  const w = new Writer().int8(TABLE);
  writeTable(w, assignment.table);
  return Uint8Array.from(w.encoded().buf);
}

/** Null when the bytes are not of a leader that shares partitions in this version. */
export function decodeSharingAssignment(userData: Uint8Array): SharingAssignment | null {
  try {
    if (userData[0] === REFUSED) return { refused: decodeUtf8(userData.subarray(1)) ?? "" };
    const r = new Reader(userData);
    return r.int8() === TABLE ? { table: readTable(r) } : null;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
