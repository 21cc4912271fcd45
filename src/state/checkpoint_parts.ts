// What a checkpoint consists of beside its manifest: segments, and pieces of remembered transactions.

import type { Manifest } from "./manifest.ts";
import { decodePieceIndex, type PieceIndex } from "./piece_index.ts";
import { chunksOf, decodeIndex, type SegmentIndex } from "./segment_index.ts";

export interface CheckpointParts {
  readonly segments: SegmentIndex;
  /** None where nothing is remembered. */
  readonly pieces: PieceIndex;
}

export const NO_PARTS: CheckpointParts = { segments: new Map(), pieces: new Map() };

/** The chunks that say which parts there are. */
export function indexChunksOf({ index, remembered }: Manifest): string[] {
  return [...index, ...remembered?.index ?? []];
}

/**
 * @param chunks those that indexChunksOf names, in its order
 * @throws {DamagedCheckpointError} when they do not follow the format
 */
export function decodeParts({ index }: Manifest, chunks: readonly Uint8Array[]): CheckpointParts {
  return {
    segments: decodeIndex(concat(chunks.slice(0, index.length))),
    pieces: decodePieceIndex(chunks.slice(index.length)),
  };
}

/** All chunks of the parts themselves. */
export function chunksOfParts({ segments, pieces }: CheckpointParts): string[] {
  return [...chunksOf(segments), ...Array.from(pieces.values(), ({ chunk }) => chunk)];
}

/** All chunks that a checkpoint needs. */
export function neededBy(manifest: Manifest, parts: CheckpointParts): ReadonlySet<string> {
  return new Set([...chunksOfParts(parts), ...indexChunksOf(manifest)]);
}

/** The bytes put together. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
