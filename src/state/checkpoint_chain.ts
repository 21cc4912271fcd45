// The checkpoints of one partition, and the one that is being written: its parts come in encoded, go to the store as
// chunks, and count once its manifest is there.

import { assertThat } from "../types/mod.ts";
import { type KvLimits, limitsOf, OwnedWrites } from "../kv/mod.ts";
import { CORE_HASH, type EncodedRemembered, SEGMENT_FORMAT } from "../wasm/mod.ts";
import {
  type CheckpointParts,
  chunksOfParts,
  decodeParts,
  indexChunksOf,
  neededBy,
  NO_PARTS,
} from "./checkpoint_parts.ts";
import { type CheckpointStore, FencedError, split, type StoreEpoch } from "./checkpoint_store.ts";
import { compress, warmUpCompression } from "./compression.ts";
import {
  DamagedCheckpointError,
  encodeManifest,
  type Manifest,
  MANIFEST_FORMAT,
  sha256,
  stateHash,
} from "./manifest.ts";
import { encodePieceIndex, type PieceEntry } from "./piece_index.ts";
import { pinnedBy } from "./savepoints.ts";
import { encodeIndex, isEmptySegment, type SegmentEntry } from "./segment_index.ts";

/** What a checkpoint says beside its parts. */
export interface CheckpointFacts extends
  Pick<
    Manifest,
    | "logId"
    | "topicId"
    | "strays"
    | "start"
    | "scalars"
    | "lastBatch"
    | "parameters"
    | "raisedAt"
    | "duplicatesBefore"
    | "cutAt"
  > {
  /** By which transactions are remembered, 32 hexadecimal digits; null = none is. */
  readonly secret: string | null;
}

/** Key and header of a chunk in a commit. */
const CHUNK_OVERHEAD_BYTES = 100;

/**
 * The checkpoints of one partition, written one after the other by its owner: write chunks, publish,
 * remove what no retained checkpoint needs.
 */
export class CheckpointChain {
  #sequence = 0;
  /** The checkpoint that is being written; null = none is. */
  #draft: CheckpointDraft | null = null;
  /** Chunks that each retained checkpoint needs, by its sequence. */
  readonly #needed = new Map<number, ReadonlySet<string>>();
  /** Parts of the checkpoint that the core's changes count from. */
  #base: CheckpointParts = NO_PARTS;
  /** Its chunks. */
  #baseChunks: ReadonlySet<string> = new Set();

  private constructor(
    readonly store: CheckpointStore,
    readonly epoch: StoreEpoch,
    readonly retained: number,
    /** Fails when another checkpoint was published. */
    private head: Deno.AtomicCheck,
    readonly writes: OwnedWrites,
  ) {}

  /**
   * Goes on behind the checkpoints that there are.
   *
   * @param base the checkpoint that the core was restored from; null = an empty core
   * @throws {Error} when a checkpoint cannot be read now, or the base is damaged or gone since
   */
  static async open(
    store: CheckpointStore,
    epoch: StoreEpoch,
    retained: number,
    base: Manifest | null,
  ): Promise<CheckpointChain> {
    warmUpCompression();
    const key = ["head", store.job, epoch.partition];
    const { value, versionstamp } = await store.kv.get<number>(key);
    const { job, kv, waits, options } = store;
    const mark = ["mark", job, epoch.partition];
    const writes = await OwnedWrites.open(kv, mark, waits, options.chance);
    const chain = new CheckpointChain(store, epoch, retained, { key, versionstamp }, writes);
    chain.#sequence = value ?? 0;
    const listed = await store.list(epoch.partition);
    if (base && !listed.some(({ sequence }) => sequence === base.sequence)) {
      throw new Error(`Checkpoint ${base.sequence} of partition ${epoch.partition} is gone`);
    }
    for (const { sequence, manifest } of listed) {
      chain.#sequence = Math.max(chain.#sequence, sequence);
      const isBase = sequence === base?.sequence;
      // A damaged one stays listed until newer ones push it out; a sweep may take its chunks. But what
      // is changed by the next one must be whole: without its index, that would lack segments.
      const parts = manifest &&
        await store.parts(manifest).catch((error) => {
          if (isBase || !(error instanceof DamagedCheckpointError)) throw error;
          return null;
        });
      chain.#needed.set(sequence, parts ? neededBy(manifest!, parts) : new Set());
      if (!isBase) continue;
      if (!parts) throw new DamagedCheckpointError(`Checkpoint ${sequence} was damaged just now`);
      chain.#base = parts;
      chain.#baseChunks = neededBy(manifest!, parts);
    }
    return chain;
  }

  get partition(): number {
    return this.epoch.partition;
  }

  get limits(): KvLimits {
    return limitsOf(this.store.kv);
  }

  chunkKey(hash: string): Deno.KvKey {
    return this.store.chunkKey(this.partition, hash);
  }

  // ---- the checkpoint that is being written ----

  /** Begins the next checkpoint. Only one is written at a time. */
  begin(): CheckpointDraft {
    assertThat(this.#draft === null, `one checkpoint of partition ${this.partition} is written`);
    return this.#draft = new CheckpointDraft(
      this,
      this.#sequence + 1,
      this.#base,
      this.#baseChunks,
    );
  }

  get #begun(): CheckpointDraft {
    assertThat(this.#draft !== null, `a checkpoint of partition ${this.partition} was begun`);
    return this.#draft;
  }

  /** Gives it up: removes what was written, unless a checkpoint refers to it. */
  async abandon(): Promise<void> {
    const draft = this.#begun;
    this.#draft = null;
    await draft.abandon();
  }

  /**
   * Publishes it: writes what is left of it, and sets its manifest. When that fails it is to be abandoned.
   *
   * @param kept sequence of a checkpoint that stays, whatever is retained; null = none does
   * @throws {FencedError} when someone else owns the partition
   */
  async publish(facts: CheckpointFacts, kept: number | null = null): Promise<Manifest> {
    const { store, epoch } = this;
    const draft = this.#begun;
    const { parts, index, pieceIndex } = await draft.finish();
    const hashes = new Map([...parts.segments].map(([segment, { hash }]) => [segment, hash]));
    const { secret, ...own } = facts;
    const header = draft.header?.toHex() ?? null;
    assertThat((header !== null) === (secret !== null), "what is remembered has its secret");
    const manifest: Manifest = {
      format: MANIFEST_FORMAT,
      job: store.job,
      partition: epoch.partition,
      sequence: draft.sequence,
      ...own,
      ...(header !== null ? { remembered: { secret: secret!, header, index: pieceIndex } } : {}),
      stateHash: stateHash(
        facts.scalars,
        hashes,
        header !== null ? { header, pieces: parts.pieces } : null,
      ),
      coreHash: CORE_HASH,
      index,
      publishedAt: store.options.clock.now(),
      newBytes: draft.newBytes,
      totalBytes: draft.totalBytes,
    };
    await this.#setManifest(manifest);
    this.#sequence = draft.sequence;
    this.#base = parts;
    this.#baseChunks = neededBy(manifest, parts);
    this.#needed.set(draft.sequence, this.#baseChunks);
    await this.#retire(kept);
    this.#draft = null;
    return manifest;
  }

  /**
   * Publishes a checkpoint that was made elsewhere, with its chunks; it keeps its sequence, which must be
   * larger than those there are.
   */
  async adopt(manifest: Manifest, chunks: ReadonlyMap<string, Uint8Array>): Promise<void> {
    if (manifest.sequence <= this.#sequence) {
      throw new RangeError(`Checkpoint ${this.#sequence} is there already: ${manifest.sequence}`);
    }
    const draft = new CheckpointDraft(this, manifest.sequence, NO_PARTS, new Set());
    const parts = draft.adopt(manifest, chunks);
    await draft.flush(true);
    await this.#setManifest(manifest);
    this.#sequence = manifest.sequence;
    this.#needed.set(manifest.sequence, neededBy(manifest, parts));
  }

  async #setManifest(manifest: Manifest): Promise<void> {
    const { store, epoch } = this;
    const key = store.manifestKey(epoch.partition, manifest.sequence);
    const bytes = encodeManifest(manifest);
    const versionstamp = await this.#tryCommit((atomic) => {
      atomic.set(key, bytes).set(this.head.key, manifest.sequence);
    });
    if (versionstamp === null) throw new FencedError(epoch);
    this.head = { key: this.head.key, versionstamp };
  }

  /**
   * Removes the oldest checkpoints beyond those retained, unless a savepoint pins them, and the chunks
   * that only they needed.
   */
  async #retire(kept: number | null): Promise<void> {
    const beyond = [...this.#needed.keys()].toSorted((a, b) => b - a).slice(this.retained)
      .filter((sequence) => sequence !== kept);
    if (beyond.length === 0) return;
    const old = await this.#deleteManifests(beyond);
    const candidates = new Set(old.flatMap((sequence) => [...this.#needed.get(sequence)!]));
    for (const sequence of old) this.#needed.delete(sequence);
    await this.deleteChunks(candidates);
  }

  /** Removes those of the manifests that no savepoint pins; returns which. */
  async #deleteManifests(sequences: readonly number[]): Promise<number[]> {
    const { store, partition } = this;
    while (true) {
      const { unchanged, savepoints } = await store.savepoints.read();
      const pinned = pinnedBy(savepoints, partition);
      const old = sequences.filter((sequence) => !pinned.has(sequence))
        .slice(0, limitsOf(store.kv).commitMutations);
      if (old.length === 0) return old;
      const removed = await this.#tryCommit((atomic) => {
        atomic.check(unchanged);
        for (const sequence of old) atomic.delete(store.manifestKey(partition, sequence));
      });
      if (removed !== null) return old;
      // One of them may have been pinned meanwhile: look again.
      const now = await store.kv.get(unchanged.key);
      if (now.versionstamp === unchanged.versionstamp) throw new FencedError(this.epoch);
    }
  }

  /**
   * Removes chunks that no retained checkpoint needs: what checkpoints left that a crash cut short.
   *
   * @returns how many
   */
  async sweep(): Promise<number> {
    const { store, epoch } = this;
    const prefix = store.chunkPrefix(epoch.partition);
    const all = new Set<string>();
    for await (const key of store.kv.listKeys({ prefix })) all.add((key[3] as Uint8Array).toHex());
    return await this.deleteChunks(all);
  }

  /** Removes those of the chunks that no retained checkpoint needs; returns how many. */
  async deleteChunks(hashes: ReadonlySet<string>): Promise<number> {
    const kept = [...this.#needed.values()];
    const orphans = [...hashes].filter((hash) => !kept.some((needed) => needed.has(hash)));
    await this.#deleteAll(orphans.map((hash) => this.chunkKey(hash)));
    return orphans.length;
  }

  async #deleteAll(keys: readonly Deno.KvKey[]): Promise<void> {
    const { commitMutations } = this.limits;
    for (let at = 0; at < keys.length; at += commitMutations) {
      await this.commit((atomic) => {
        for (const key of keys.slice(at, at + commitMutations)) atomic.delete(key);
      });
    }
  }

  /**
   * One atomic commit, as long as the partition is owned and no other checkpoint was published.
   *
   * @throws {FencedError}
   */
  async commit(fill: (atomic: Deno.AtomicOperation) => void): Promise<void> {
    if (await this.#tryCommit(fill) === null) throw new FencedError(this.epoch);
  }

  /** The same; null when one of its checks failed, else its versionstamp. */
  #tryCommit(fill: (atomic: Deno.AtomicOperation) => void): Promise<string | null> {
    return this.writes.commit((atomic) => {
      atomic.check(this.head, this.epoch.check);
      fill(atomic);
    });
  }
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
    readonly chain: CheckpointChain,
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
    const { chain } = this;
    while (this.#queuedBytes >= chain.limits.commitBytes || (all && this.#queue.size > 0)) {
      const group = this.#nextGroup();
      await chain.commit((atomic) => {
        for (const [hash, chunk] of group) atomic.set(chain.chunkKey(hash), chunk);
      });
      for (const [hash, chunk] of group) {
        this.#queue.delete(hash);
        this.#written.add(hash);
        this.#queuedBytes -= chunk.length;
      }
    }
  }

  #nextGroup(): [string, Uint8Array][] {
    const { commitBytes, commitMutations } = this.chain.limits;
    const group: [string, Uint8Array][] = [];
    let bytes = 0;
    for (const [hash, chunk] of this.#queue) {
      if (group.length > 0 && bytes + chunk.length > commitBytes) break;
      if (group.length === commitMutations) break;
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
    await this.chain.deleteChunks(this.#written);
  }
}
