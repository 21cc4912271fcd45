import type { KvLimits } from "../kv/mod.ts";
import {
  type CheckpointParts,
  chunksOfParts,
  decodeParts,
  indexChunksOf,
} from "./checkpoint_parts.ts";
import { split } from "./checkpoint_store.ts";
import { type EncodedRemembered, SEGMENT_FORMAT } from "../wasm/mod.ts";
import { compress } from "./compression.ts";
import { type Manifest, sha256 } from "./manifest.ts";
import { encodePieceIndex, type PieceEntry } from "./piece_index.ts";
import { encodeIndex, type SegmentEntry } from "./segment_index.ts";

/** No items, no numbered ones, no windows: see the format in wasm/checkpoint.ts. */
export function isEmptySegment(bytes: Uint8Array): boolean {
  return bytes.length === 3 && bytes.every((byte) => byte === 0);
}

/** Key and header of a chunk in a commit. */
const CHUNK_OVERHEAD_BYTES = 100;

/** Where the chunks of a draft go. */
export interface ChunkTarget {
  readonly partition: number;
  readonly limits: KvLimits;
  chunkKey(hash: string): Deno.KvKey;
  /** One atomic commit, as long as the partition is owned. */
  commit(fill: (atomic: Deno.AtomicOperation) => void): Promise<void>;
  /** Removes those of the chunks that no retained checkpoint needs. */
  deleteChunks(hashes: ReadonlySet<string>): Promise<number>;
}

/** A checkpoint being written; nothing refers to it before it is published. */
export class CheckpointDraft {
  readonly #index: Map<number, SegmentEntry>;
  #pieces = new Map<number, PieceEntry>();
  /** Of what is remembered; null = nothing is. */
  header: Uint8Array | null = null;
  /** Chunks that wait to be written, by hash. */
  readonly #queue = new Map<string, Uint8Array>();
  #queuedBytes = 0;
  /** Chunks that are in the store already, or wait to be written. */
  readonly #known: Set<string>;
  /** Chunks that this draft brought into the store. */
  readonly #written = new Set<string>();
  /** Compressed bytes that are new with this draft. */
  newBytes = 0;
  #indexBytes = 0;

  constructor(
    readonly target: ChunkTarget,
    readonly sequence: number,
    readonly base: CheckpointParts,
    /** Chunks that the base needs. */
    baseChunks: ReadonlySet<string>,
  ) {
    this.#index = new Map(base.segments);
    this.#known = new Set(baseChunks);
  }

  /** Compressed bytes that wait to be written. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Compressed bytes of all segments and pieces, and of what says which there are once it is written. */
  get totalBytes(): number {
    const entries = [...this.#index.values(), ...this.#pieces.values()];
    return entries.reduce((n, entry) => n + entry.stored, this.#indexBytes);
  }

  /** Takes an encoded segment; compresses it unless it is the same as in the checkpoint before. */
  add(segment: number, bytes: Uint8Array): void {
    // A segment that became empty is as if it had never been written: equal states have equal hashes.
    if (isEmptySegment(bytes)) return void this.#index.delete(segment);
    const hash = sha256(bytes);
    const before = this.base.segments.get(segment);
    if (before?.hash === hash && before.format === SEGMENT_FORMAT) return;
    const compressed = compress(bytes);
    const chunks = split(compressed).map((chunk) => this.#addChunk(chunk));
    this.#index.set(segment, {
      format: SEGMENT_FORMAT,
      length: bytes.length,
      stored: compressed.length,
      hash,
      chunks,
    });
  }

  /** Takes what is remembered; those of its pieces that the base has stay, and the others follow. */
  remember({ header, firstPiece }: EncodedRemembered): void {
    this.header = header;
    this.#pieces = new Map(
      [...this.base.pieces].filter(([piece]) => piece >= Number(firstPiece)),
    );
  }

  /** Takes a piece of it, behind those that are there, or in place of the last one. */
  addPiece(piece: number, bytes: Uint8Array): void {
    const compressed = compress(bytes);
    this.#pieces.set(piece, {
      length: bytes.length,
      stored: compressed.length,
      hash: sha256(bytes),
      chunk: this.#addChunk(compressed),
    });
  }

  /** Takes the chunks of a whole checkpoint that was made elsewhere; returns its parts. */
  adopt(manifest: Manifest, chunks: ReadonlyMap<string, Uint8Array>): CheckpointParts {
    const index = indexChunksOf(manifest).map((hash) => chunks.get(hash)!);
    const parts = decodeParts(manifest, index);
    for (const hash of chunksOfParts(parts)) this.#addChunk(chunks.get(hash)!);
    for (const chunk of index) this.#addChunk(chunk);
    return parts;
  }

  #addChunk(chunk: Uint8Array): string {
    const hash = sha256(chunk);
    if (!this.#known.has(hash)) {
      this.#known.add(hash);
      this.#queue.set(hash, chunk.slice());
      this.#queuedBytes += chunk.length;
      this.newBytes += chunk.length;
    }
    return hash;
  }

  /**
   * Writes what waits, as far as it fills whole commits; all of it if `all` is set.
   *
   * @throws {FencedError} when someone else owns the partition
   */
  async flush(all = false): Promise<void> {
    while (this.#queuedBytes >= this.target.limits.commitBytes || (all && this.#queue.size > 0)) {
      const group = this.#nextGroup();
      await this.target.commit((atomic) => {
        for (const [hash, chunk] of group) atomic.set(this.target.chunkKey(hash), chunk);
      });
      for (const [hash, chunk] of group) {
        this.#queue.delete(hash);
        this.#written.add(hash);
        this.#queuedBytes -= chunk.length;
      }
    }
  }

  #nextGroup(): [string, Uint8Array][] {
    const group: [string, Uint8Array][] = [];
    let bytes = 0;
    for (const [hash, chunk] of this.#queue) {
      if (group.length > 0 && bytes + chunk.length > this.target.limits.commitBytes) break;
      if (group.length === this.target.limits.commitMutations) break;
      group.push([hash, chunk]);
      bytes += chunk.length + CHUNK_OVERHEAD_BYTES;
    }
    return group;
  }

  /** Writes everything that is left, and what says which parts there are. */
  async finish(): Promise<{ parts: CheckpointParts; index: string[]; pieceIndex: string[] }> {
    const parts = { segments: this.#index, pieces: this.#pieces };
    const chunks = [split(encodeIndex(parts.segments)), encodePieceIndex(parts.pieces)] as const;
    this.#indexBytes = chunks.flat().reduce((n, { length }) => n + length, 0);
    const [index, pieceIndex] = chunks.map((some) => some.map((chunk) => this.#addChunk(chunk)));
    await this.flush(true);
    return { parts, index: index!, pieceIndex: pieceIndex! };
  }

  /** Removes what was written, unless a checkpoint refers to it. */
  async abandon(): Promise<void> {
    await this.target.deleteChunks(this.#written);
  }
}
