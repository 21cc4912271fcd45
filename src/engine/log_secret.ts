import type { Chance } from "../types/mod.ts";

const SECRET_BYTES = 16;

/**
 * By what transactions of a partition are remembered: what its commits carry, else a new one. It belongs to the log, so
 * that what is folded again is recognised in the same way. Callers do not know it, so none of them can make two items look
 * alike.
 */
export function secretOf(committed: string | null, chance: Chance): Uint8Array {
  if (committed !== null) return Uint8Array.fromHex(committed);
  const bytes = new Uint8Array(SECRET_BYTES);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < SECRET_BYTES; i += 4) view.setUint32(i, chance() * 2 ** 32, true);
  return bytes;
}
