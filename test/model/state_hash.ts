import { isEmptySegment, sha256, stateHash } from "../../src/state/mod.ts";
import { Code, type Core, SEGMENTS } from "../../src/wasm/mod.ts";

/** The state hash of a core that is at rest, as a checkpoint's manifest would have it. */
export function hashOfCore(core: Core): string {
  core.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  if (core.cut() !== Code.Done) throw new Error("The core is not at rest");
  const hashes = new Map<number, string>();
  for (let next = core.encodeNext(); next; next = core.encodeNext()) {
    if (!isEmptySegment(next.bytes)) hashes.set(next.segment, sha256(next.bytes));
  }
  core.endCut(false);
  return stateHash(core.state, hashes);
}
