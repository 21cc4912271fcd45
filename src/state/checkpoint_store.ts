// Checkpoints in Deno KV.
//
//   ["head", job, partition]                 sequence of the newest checkpoint
//   ["manifest", job, partition, sequence]   see manifest.ts
//   ["chunk", job, partition, hash]          part of a segment or of an index, named by its SHA-256
//   ["epoch", job, partition]                counts the owners
//   ["mark", job, partition]                 which write of an owner was the last one: see kv/marked_writes.ts
//   ["history", job, n]                      see history.ts
//   ["pin", job, name], ["pins", job]        see savepoints.ts
//   ["topic", job, name]                     see read_topics.ts
//
// A checkpoint consists of a manifest, index chunks (which chunks make up each segment) and chunks. A
// segment that did not change is referenced, not written again. Nothing is visible before the manifest:
// it is set in one atomic commit that checks the manifest before it and the owner.

import { getLogger } from "@logtape/logtape";
import { getAll, isNoRoom, type Kv, KV_GET_MANY_MAX, KV_VALUE_BYTES_MAX } from "../kv/mod.ts";
import { LostError } from "../log/mod.ts";
import { type Chance, type Clock, retry, type RetryOptions } from "../types/mod.ts";
import { decompress } from "./compression.ts";
import type { CheckpointEvent } from "./checkpoint_event.ts";
import { CheckpointHistory } from "./history.ts";
import { DamagedCheckpointError, type Manifest, manifestAt, sha256 } from "./manifest.ts";
import { ReadTopics } from "./read_topics.ts";
import { Savepoints } from "./savepoints.ts";
import { type CheckpointParts, concat, decodeParts, indexChunksOf } from "./checkpoint_parts.ts";
import { chunksOf, type SegmentIndex } from "./segment_index.ts";

const log = getLogger(["stockflow", "state"]);

/** Segments of so many bytes together are read at once. */
const SMALL_BYTES_MAX = 512 * 1024;
/** So many reads are under way at a time: a store on another machine answers each after a while. */
const READS_AHEAD = 4;

export interface CheckpointStoreOptions {
  /** Name of the job: jobs share a store without seeing each other. */
  readonly job: string;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Where events go; into the store's own history by default. */
  readonly addEvent?: (event: CheckpointEvent) => Promise<void>;
}

/** The right to publish checkpoints of a partition, until another owner raises its epoch in the store. */
export interface StoreEpoch {
  readonly partition: number;
  /** Holds as long as nobody has. */
  readonly check: Deno.AtomicCheck;
}

/** Someone else owns the partition now. */
export class FencedError extends Error {
  override readonly name = "FencedError";

  constructor({ partition }: StoreEpoch) {
    super(`Partition ${partition} has another owner`);
  }
}

/** A checkpoint as it is listed: its manifest, or why it cannot be read. */
export interface ListedCheckpoint {
  readonly partition: number;
  readonly sequence: number;
  readonly manifest: Manifest | null;
  readonly damage: string | null;
}

export class CheckpointStore {
  readonly savepoints = new Savepoints(this);
  readonly readTopics = new ReadTopics(this);

  private constructor(
    readonly kv: Kv,
    readonly options: CheckpointStoreOptions,
    readonly history: CheckpointHistory,
  ) {}

  static async open(kv: Kv, options: CheckpointStoreOptions): Promise<CheckpointStore> {
    return new CheckpointStore(kv, options, await CheckpointHistory.open(kv, options.job));
  }

  /** How operations of the KV are tried again. */
  get waits(): RetryOptions {
    const { clock, chance, job } = this.options;
    const onRetry = ({ message }: Error) =>
      log.warn("The checkpoints' file of {job} is tried again: {reason}", { job, reason: message });
    return { clock, chance, isFinal: isNoRoom, onRetry };
  }

  /** Adds an event to the history. */
  addEvent(event: CheckpointEvent): Promise<void> {
    return this.options.addEvent?.(event) ?? this.history.add(event);
  }

  get job(): string {
    return this.options.job;
  }

  /**
   * Takes the partition over: whoever owned it before publishes no more.
   *
   * @param signal gives it up: what is under way then happens before the next owner takes it over, or not at all
   * @throws {LostError} when it was given up
   */
  takeOver(partition: number, signal?: AbortSignal): Promise<StoreEpoch> {
    const key = ["epoch", this.job, partition];
    const isFinal = (error: unknown) => signal?.aborted === true || isNoRoom(error);
    return retry(async () => {
      const { value, versionstamp } = await this.kv.get<number>(key);
      if (signal?.aborted) throw new LostError(`Partition ${partition} is not taken over any more`);
      const raised = await this.kv.atomic()
        .check({ key, versionstamp })
        .set(key, (value ?? 0) + 1)
        .commit();
      if (!raised.ok) throw new Error(`Partition ${partition} is being taken over by another`);
      return { partition, check: { key, versionstamp: raised.versionstamp } };
    }, { ...this.waits, isFinal });
  }

  /** Whether nobody took the partition over since. */
  async isCurrent({ check }: StoreEpoch): Promise<boolean> {
    return (await this.kv.get(check.key)).versionstamp === check.versionstamp;
  }

  /**
   * A step of who has taken the partition over. What looks damaged or missing to one who is fenced off was removed by the
   * next owner.
   *
   * @throws {LostError} when it failed and someone else owns the partition now
   */
  async whileOwned<T>(epoch: StoreEpoch, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      if (error instanceof LostError) throw error; // the step was given up, or knows it
      if (await this.isCurrent(epoch)) throw error;
      throw new LostError(`Partition ${epoch.partition} has another owner`, { cause: error });
    }
  }

  /** The checkpoints of a partition, newest first. */
  async list(partition: number): Promise<ListedCheckpoint[]> {
    const prefix = ["manifest", this.job, partition];
    const listed: ListedCheckpoint[] = [];
    for await (const { key, value } of this.kv.list<Uint8Array>({ prefix }, { reverse: true })) {
      const sequence = key[3] as number;
      try {
        listed.push({ partition, sequence, manifest: manifestAt(key, value), damage: null });
      } catch (error) {
        if (!(error instanceof DamagedCheckpointError)) throw error;
        listed.push({ partition, sequence, manifest: null, damage: error.message });
      }
    }
    return listed;
  }

  /** Partitions that have a checkpoint. */
  async partitions(): Promise<number[]> {
    const heads = await Array.fromAsync(this.kv.list({ prefix: ["head", this.job] }));
    return heads.map(({ key }) => key[2] as number);
  }

  /**
   * Reads which parts a checkpoint consists of.
   *
   * @throws {DamagedCheckpointError} when a chunk that says so is missing or altered
   */
  async parts(manifest: Manifest): Promise<CheckpointParts> {
    const chunks = await this.chunks(manifest.partition, indexChunksOf(manifest));
    return decodeParts(manifest, chunks);
  }

  /**
   * Reads chunks by their hashes, in order.
   *
   * @throws {DamagedCheckpointError} when one is missing or altered
   */
  async chunks(partition: number, hashes: readonly string[]): Promise<Uint8Array[]> {
    const keys = hashes.map((hash) => this.chunkKey(partition, hash));
    const entries = await getAll<Uint8Array>(this.kv, keys);
    return entries.map(({ value }, i) => intactChunk(hashes[i]!, value));
  }

  /** All chunks of segments by one call, where they are many and small; null where it gains nothing. */
  #readSmall(partition: number, segments: SegmentIndex): Promise<Uint8Array[]> | null {
    const { kv } = this;
    const hashes = chunksOf(segments);
    const bytes = segments.values().reduce((n, { stored }) => n + stored, 0);
    if (!kv.readBelow || hashes.length <= KV_GET_MANY_MAX || bytes > SMALL_BYTES_MAX) return null;
    const keys = hashes.map((hash) => Uint8Array.fromHex(hash));
    return kv.readBelow(this.chunkPrefix(partition), keys)
      .then((values) => values.map((value, i) => intactChunk(hashes[i]!, value)));
  }

  manifestKey(partition: number, sequence: number): Deno.KvKey {
    return ["manifest", this.job, partition, sequence];
  }

  /** What stands before the hash of each chunk. */
  chunkPrefix(partition: number): Deno.KvKeyPart[] {
    return ["chunk", this.job, partition];
  }

  chunkKey(partition: number, hash: string): Deno.KvKey {
    return [...this.chunkPrefix(partition), Uint8Array.fromHex(hash)];
  }

  /**
   * The encoded segments of a checkpoint, one after the other.
   *
   * @throws {DamagedCheckpointError} when a part is missing or altered
   */
  async *segments(manifest: Manifest): AsyncGenerator<{ segment: number; bytes: Uint8Array }> {
    const { segments } = await this.parts(manifest);
    const small = this.#readSmall(manifest.partition, segments);
    const groups = grouped([...segments], ([, { chunks }]) => chunks.length);
    const reads = small
      ? [async () => ({ group: [...segments], chunks: await small })]
      : groups.map((group) => async () => ({
        group,
        chunks: await this.chunks(manifest.partition, group.flatMap(([, { chunks }]) => chunks)),
      }));
    for await (const { group, chunks } of readAhead(reads)) {
      for (const [segment, entry] of group) {
        const bytes = decompress(whole(chunks.splice(0, entry.chunks.length)), entry.length);
        if (sha256(bytes) !== entry.hash) {
          throw new DamagedCheckpointError(`Segment ${segment} is altered`);
        }
        yield { segment, bytes };
      }
    }
  }

  /**
   * The encoded pieces of what a checkpoint remembers, in their order, some at a time.
   *
   * @throws {DamagedCheckpointError} when one is missing or altered
   */
  async *pieces(manifest: Manifest): AsyncGenerator<Uint8Array[]> {
    const groups = grouped([...(await this.parts(manifest)).pieces], () => 1);
    const reads = groups.map((group) => async () => ({
      group,
      chunks: await this.chunks(manifest.partition, group.map(([, { chunk }]) => chunk)),
    }));
    for await (const { group, chunks } of readAhead(reads)) {
      yield group.map(([piece, { length, hash }], i) => {
        const bytes = decompress(chunks[i]!, length);
        if (sha256(bytes) === hash) return bytes;
        throw new DamagedCheckpointError(`Piece ${piece} of remembered transactions is altered`);
      });
    }
  }

  close(): void {
    this.kv.close();
  }
}

/** Parts in their order, as many together as one look into the KV may bring, so that its latency is shared. */
function grouped<T>(parts: readonly T[], chunksOf: (part: T) => number): T[][] {
  const groups: T[][] = [];
  let room = 0;
  for (const part of parts) {
    const chunks = chunksOf(part);
    if (groups.length === 0 || chunks > room) {
      groups.push([]);
      room = KV_GET_MANY_MAX;
    }
    groups.at(-1)!.push(part);
    room -= chunks;
  }
  return groups;
}

/** What reads give, in their order; some are under way while the one before is worked on. */
async function* readAhead<T>(reads: Iterable<() => Promise<T>>): AsyncGenerator<T> {
  const underWay: Promise<T>[] = [];
  for (const read of reads) {
    const begun = read();
    begun.catch(() => {}); // it may not be waited for any more
    underWay.push(begun);
    if (underWay.length >= READS_AHEAD) yield await underWay.shift()!;
  }
  while (underWay.length > 0) yield await underWay.shift()!;
}

function whole(chunks: readonly Uint8Array[]): Uint8Array {
  return chunks.length === 1 ? chunks[0]! : concat(chunks);
}

/**
 * A chunk as it was stored under its hash.
 *
 * @throws {DamagedCheckpointError} when it is missing or altered
 */
export function intactChunk(hash: string, value: unknown): Uint8Array {
  if (!value) throw new DamagedCheckpointError(`Chunk ${hash} is missing`);
  if (!(value instanceof Uint8Array) || sha256(value) !== hash) {
    throw new DamagedCheckpointError(`Chunk ${hash} is altered`);
  }
  return value;
}

/** Cuts bytes into parts that fit into a value. */
export function split(bytes: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += KV_VALUE_BYTES_MAX) {
    parts.push(bytes.subarray(at, at + KV_VALUE_BYTES_MAX));
  }
  return parts;
}

/** Names of the jobs that have checkpoints in a KV. */
export async function jobsIn(kv: Kv): Promise<string[]> {
  const names = new Set<string>();
  for await (const [, name] of kv.listKeys({ prefix: ["manifest"] })) names.add(name as string);
  return [...names].toSorted();
}
