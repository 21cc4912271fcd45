import { assertThat } from "../types/mod.ts";
import { type KvLimits, limitsOf } from "../kv/mod.ts";
import { CORE_HASH, type StateScalars } from "../wasm/mod.ts";
import { CheckpointDraft, type ChunkTarget } from "./checkpoint_draft.ts";
import type { CheckpointStore, StoreEpoch } from "./checkpoint_store.ts";
import { warmUpCompression } from "./compression.ts";
import type { FoldParameters } from "./fold_parameters.ts";
import {
  type BatchMark,
  DamagedCheckpointError,
  encodeManifest,
  type Manifest,
  MANIFEST_FORMAT,
  stateHash,
} from "./manifest.ts";
import { MarkedWrites } from "./marked_writes.ts";
import { pinnedBy } from "./savepoints.ts";
import {
  type CheckpointParts,
  chunksOfParts,
  indexChunksOf,
  NO_PARTS,
} from "./checkpoint_parts.ts";

/** What a checkpoint says beside its segments. */
export interface CheckpointFacts {
  readonly logId: string;
  /** Id of the topic, where topics have one. */
  readonly topicId?: string | null;
  readonly strays?: readonly number[];
  readonly start: number | null;
  readonly scalars: StateScalars;
  readonly lastBatch: BatchMark | null;
  readonly parameters: FoldParameters;
  /** By which transactions are remembered, 32 hexadecimal digits; null = none is. */
  readonly secret: string | null;
  /** Offset from which on records were folded by the newest version of the fold; absent: all were. */
  readonly raisedAt?: number;
  /** Repetitions that came before what is remembered now began; absent: none. */
  readonly duplicatesBefore?: number;
  /** ms since the epoch */
  readonly cutAt: number;
}

/** Someone else owns the partition now. */
export class FencedError extends Error {
  override readonly name = "FencedError";
}

/**
 * The checkpoints of one partition, written one after the other by its owner: write chunks, publish,
 * remove what no retained checkpoint needs.
 */
export class CheckpointChain implements ChunkTarget {
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
    readonly writes: MarkedWrites,
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
    const writes = await MarkedWrites.open(kv, mark, waits, options.chance);
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
   * @throws {FencedError} when someone else owns the partition
   */
  async publish(facts: CheckpointFacts): Promise<Manifest> {
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
    await this.#retire();
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
    if (versionstamp === null) throw fenced(epoch);
    this.head = { key: this.head.key, versionstamp };
  }

  /**
   * Removes the oldest checkpoints beyond those retained, unless a savepoint pins them, and the chunks
   * that only they needed.
   */
  async #retire(): Promise<void> {
    const beyond = [...this.#needed.keys()].toSorted((a, b) => b - a).slice(this.retained);
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
      if (now.versionstamp === unchanged.versionstamp) throw fenced(this.epoch);
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
    if (await this.#tryCommit(fill) === null) throw fenced(this.epoch);
  }

  /** The same; null when one of its checks failed, else its versionstamp. */
  #tryCommit(fill: (atomic: Deno.AtomicOperation) => void): Promise<string | null> {
    return this.writes.commit((atomic) => {
      atomic.check(this.head, this.epoch.check);
      fill(atomic);
    });
  }
}

function neededBy(manifest: Manifest, parts: CheckpointParts): ReadonlySet<string> {
  return new Set([...chunksOfParts(parts), ...indexChunksOf(manifest)]);
}

function fenced(epoch: StoreEpoch): FencedError {
  return new FencedError(`Partition ${epoch.partition} has another owner`);
}
