import { isEmptySegment, sha256, stateHash } from "../../src/state/mod.ts";
import type { PieceEntry } from "../../src/state/piece_index.ts";
import { Code, type Core, SEGMENTS } from "../../src/wasm/mod.ts";

/** The state hash of a core that is at rest, as a checkpoint's manifest would have it. */
export function hashOfCore(core: Core): string {
  core.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  core.remembered.mark(0n);
  if (core.cut() !== Code.Done) throw new Error("The core is not at rest");
  const hashes = new Map<number, string>();
  for (let next = core.encodeNext(); next; next = core.encodeNext()) {
    if (!isEmptySegment(next.bytes)) hashes.set(next.segment, sha256(next.bytes));
  }
  const remembered = core.options.remember ? rememberedHashes(core) : null;
  core.endCut(false);
  return stateHash(core.state, hashes, remembered);
}

/** Of what a core remembers that is being cut. */
function rememberedHashes({ remembered }: Core) {
  const header = remembered.encode().header.toHex();
  const pieces = new Map<number, PieceEntry>();
  for (let next; (next = remembered.encodeNext());) {
    const { bytes, piece } = next;
    pieces.set(Number(piece), { length: bytes.length, stored: 0, hash: sha256(bytes), chunk: "" });
  }
  return { header, pieces };
}
