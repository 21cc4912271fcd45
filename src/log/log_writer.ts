import { batchInfo, type Clock, type NewRecord, recordBytesMax } from "../types/mod.ts";
import { Draft, writeBatch } from "./draft.ts";
import { storedPosition } from "./embedded_topics.ts";
import { type Kv, KV_VALUE_BYTES_MAX, type KvLimits, limitsOf } from "../kv/kv.ts";
import type { Commit } from "./port.ts";
import type { TopicPartition } from "./topic_partition.ts";
import { NoRoomError, type SoleWrites, WriteFailedError } from "../kv/mod.ts";
import {
  type Append,
  type AppendOptions,
  type CommitRequest,
  type Request,
  type WriteOutcome,
  WriteQueue,
} from "./write_queue.ts";

/** Keys and small values of one mutation. */
const MUTATION_BYTES = 120;

/** Batches that one look into the KV brings; each has up to 65,000 bytes. */
export const LIST_BATCHES = 12;

/** What is old enough to be removed. */
export interface RetentionLimits {
  /** Batches whose records are all older, in ms since the epoch. */
  readonly before: number;
  /** The oldest batches, as long as so many bytes are left; Infinity = none for that. */
  readonly bytes: number;
  /** Whatever is removed by age or bytes, so many bytes are left. */
  readonly bytesKept?: number;
}

function writePositions(
  atomic: Deno.AtomicOperation,
  { input, commit, epochs }: CommitRequest,
): void {
  for (const epoch of epochs) atomic.check(epoch);
  for (const { partition, ...position } of commit.positions) {
    atomic.set(["committed", input, partition], storedPosition(position));
  }
}

/**
 * The one writer of an embedded log: requests wait in a queue, and as many as fit go into one atomic
 * commit (group commit).
 */
export class LogWriter {
  readonly #queue: WriteQueue;
  #running = false;
  #closed = false;
  /** Set when it is not known what the KV holds, or it holds too much: read it before the next write. */
  #unsure = false;
  #known: readonly TopicPartition[] = [];
  readonly #limits: KvLimits;

  constructor(
    readonly kv: Kv,
    readonly writes: SoleWrites,
    clock: Clock,
    readonly partition: (topic: string, partition: number) => TopicPartition,
  ) {
    this.#limits = limitsOf(kv);
    this.#queue = new WriteQueue(this.#limits, clock);
  }

  /** Bytes that wait to be written, or are being written. */
  get waitingBytes(): number {
    return this.#queue.bytes;
  }

  /** Appends that were refused because they waited too long. */
  get timeouts(): number {
    return this.#queue.timeouts;
  }

  /** See EmbeddedLog.append. */
  append(
    tp: TopicPartition,
    records: readonly NewRecord[],
    { onAssigned = () => {}, waitMsMax = Infinity }: AppendOptions,
  ): Promise<number> {
    let bytes = MUTATION_BYTES;
    for (const record of records) {
      if (recordBytesMax(record) > KV_VALUE_BYTES_MAX - 61) {
        throw new RangeError(
          `A record of the embedded log has at most 64,000 bytes: ${recordBytesMax(record)}`,
        );
      }
      bytes += recordBytesMax(record);
    }
    const request = { kind: "append", tp, records, bytes, onAssigned, waitMsMax } as const;
    return new Promise((resolve, reject) =>
      this.#add({ ...request, baseOffset: 0, resolve, reject })
    );
  }

  commit(
    input: string,
    commit: Commit,
    epochs: readonly Deno.AtomicCheck[],
  ): Promise<WriteOutcome> {
    const batches = commit.outputs.flatMap((output) => output.batches);
    const mutations = commit.positions.length + 2 * commit.outputs.length + batches.length;
    const bytes = batches.reduce((n, b) => n + b.length, 0) + mutations * MUTATION_BYTES;
    return new Promise((resolve) =>
      this.#add({ kind: "commit", input, commit, epochs, bytes, mutations, resolve })
    );
  }

  /** Resolves when everything asked for before is done. */
  settle(): Promise<void> {
    return this.#exclusively(() => Promise.resolve());
  }

  #exclusively<T>(run: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) =>
      this.#add({ kind: "task", bytes: 0, run: async () => resolve(await run()), reject })
    );
  }

  async close(): Promise<void> {
    try {
      await this.settle();
    } finally {
      this.#closed = true;
      this.#queue.close();
    }
  }

  #add(request: Request): void {
    if (this.#closed) {
      const error = new WriteFailedError("The log is closed");
      return request.kind === "commit" ? request.resolve("lost") : request.reject(error);
    }
    this.#queue.add(request);
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    // Requests of the same turn of the event loop share the first commit.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#writeGroup(this.#queue.takeGroup());
    this.#running = false;
  }

  async #writeGroup(group: Request[]): Promise<void> {
    try {
      if (this.#unsure) await this.reload(this.#known);
      const [first] = group;
      if (first!.kind === "task") await first!.run();
      else await this.#write(group as (Append | CommitRequest)[]);
    } catch (error) {
      // A write that failed for certain changed nothing; of any other it is not known.
      if (!(error instanceof WriteFailedError)) this.#unsure = true;
      for (const request of group) this.#fail(request, error);
    } finally {
      for (const request of group) this.#queue.done(request);
    }
  }

  #fail(request: Request, error: unknown): void {
    if (request.kind !== "commit") request.reject(error);
    else request.resolve(error instanceof NoRoomError ? "no room" : "lost");
  }

  async #write(group: (Append | CommitRequest)[]): Promise<void> {
    const draft = new Draft();
    for (const request of group) {
      if (request.kind === "append") {
        request.baseOffset = draft.addRecords(request.tp, request.records, request.bytes);
        request.onAssigned(request.baseOffset);
      } else {
        for (const { topic, partition, batches } of request.commit.outputs) {
          const tp = this.partition(topic, partition);
          for (const batch of batches) draft.addBatch(tp, batch);
        }
      }
    }
    draft.finishAll();
    const bytes = group.reduce((n, r) => n + r.bytes, 0);
    const mutations = group.reduce((n, r) => n + (r.kind === "commit" ? r.mutations : 2), 0);
    // Only a request that is alone in its group can be too large.
    const tooLarge = bytes > this.#limits.commitBytes || mutations > this.#limits.commitMutations;
    // Should this end in an error, what is staged goes before the next write, which might not cover it.
    if (tooLarge) this.#unsure = true;
    if (tooLarge && !await this.#stage(draft, group)) return this.#lose(group as CommitRequest[]);
    const ok = await this.writes.commit((atomic) => {
      for (const request of group) if (request.kind === "commit") writePositions(atomic, request);
      if (!tooLarge) draft.writeBatches(atomic);
      draft.writeEnds(atomic);
    });
    if (ok) {
      draft.publish();
      this.#unsure = false;
      for (const request of group) {
        if (request.kind === "append") request.resolve(request.baseOffset);
        else request.resolve("committed");
      }
    } else await this.#withoutFenced(group);
  }

  /** Writes the draft's batches above the ends, where no reader looks; false when the commit is fenced. */
  async #stage(draft: Draft, group: readonly Request[]): Promise<boolean> {
    const checks = group.flatMap((r) => r.kind === "commit" ? r.epochs : []);
    const all = [...draft.batches].flatMap(([tp, batches]) =>
      batches.map((batch) => ({ tp, batch }))
    );
    for (let at = 0; at < all.length;) {
      let bytes = 0;
      const from = at;
      while (
        at < all.length && at - from < this.#limits.commitMutations - 1 &&
        (at === from || bytes + all[at]!.batch.length <= this.#limits.commitBytes)
      ) {
        bytes += all[at++]!.batch.length + MUTATION_BYTES;
      }
      const part = all.slice(from, at);
      const ok = await this.writes.commit((atomic) => {
        for (const check of checks) atomic.check(check);
        for (const { tp, batch } of part) writeBatch(atomic, tp, batch);
      });
      if (!ok) {
        await this.#removeLeftovers([...draft.batches.keys()]);
        return false;
      }
    }
    return true;
  }

  #lose(group: readonly CommitRequest[]): void {
    for (const request of group) request.resolve("lost");
  }

  /** After a failed check: finds who was fenced off, and writes the others again. */
  async #withoutFenced(group: (Append | CommitRequest)[]): Promise<void> {
    const rest: (Append | CommitRequest)[] = [];
    for (const request of group) {
      if (request.kind === "commit" && await this.#isFenced(request)) request.resolve("lost");
      else rest.push(request);
    }
    if (rest.length === group.length) {
      throw new WriteFailedError("The log was written by another process");
    }
    const staged = rest.length === 0 && group.length === 1;
    if (staged) await this.#removeLeftovers(this.#outputsOf(group[0]! as CommitRequest));
    if (rest.length > 0) await this.#write(rest);
  }

  #outputsOf({ commit }: CommitRequest): TopicPartition[] {
    return commit.outputs.map(({ topic, partition }) => this.partition(topic, partition));
  }

  async #isFenced({ epochs }: CommitRequest): Promise<boolean> {
    for (const { key, versionstamp } of epochs) {
      if ((await this.kv.get(key)).versionstamp !== versionstamp) return true;
    }
    return false;
  }

  /** Counts up the epoch at `key`; commits that check the answer fail once it is raised again. */
  raiseEpoch(key: Deno.KvKey): Promise<Deno.AtomicCheck> {
    return this.#exclusively(async () => {
      const { value, versionstamp } = await this.kv.get<number>(key);
      await this.writes.commit((atomic) =>
        atomic.check({ key, versionstamp }).set(key, (value ?? 0) + 1)
      );
      return { key, versionstamp: (await this.kv.get(key)).versionstamp };
    });
  }

  /** Writes nothing but the marker of the commits, to see whether there is room again. */
  probe(): Promise<void> {
    return this.#exclusively(async () => void await this.writes.commit(() => {}));
  }

  /** Sets values that belong to no commit of a session, all or none of them. */
  set(entries: readonly (readonly [key: Deno.KvKey, value: unknown])[]): Promise<void> {
    return this.#exclusively(async () => {
      const ok = await this.writes.commit((atomic) => {
        for (const [key, value] of entries) atomic.set(key, value);
      });
      if (!ok) throw new WriteFailedError("The log was written by another process");
    });
  }

  /** Adds a value behind those that were added under the name before. */
  addNote(name: string, value: unknown): Promise<void> {
    return this.#exclusively(async () => {
      let n = 0;
      const last = this.kv.list({ prefix: ["note", name] }, { reverse: true, limit: 1 });
      for await (const { key } of last) n = (key[2] as number) + 1;
      await this.writes.commit((atomic) => atomic.set(["note", name, n], value));
    });
  }

  /** Reads the bounds of partitions from the KV, and removes what unfinished commits left above the ends. */
  async reload(partitions: readonly TopicPartition[]): Promise<void> {
    this.#known = partitions;
    await this.writes.reload();
    for (const tp of partitions) {
      const [start, end] = await this.kv.getMany<[number, number]>([
        ["start", tp.topic, tp.partition],
        ["end", tp.topic, tp.partition],
      ]);
      tp.forget();
      tp.start = start.value ?? 0;
      tp.append([], end.value ?? 0);
    }
    await this.#removeLeftovers(partitions);
    this.#unsure = false;
  }

  async #removeLeftovers(partitions: readonly TopicPartition[]): Promise<void> {
    for (const tp of partitions) {
      const prefix = ["batch", tp.topic, tp.partition];
      await this.#remove(this.kv.listKeys({ prefix, start: [...prefix, tp.end] }));
    }
  }

  async #remove(all: AsyncIterable<Deno.KvKey>): Promise<void> {
    let keys: Deno.KvKey[] = [];
    const flush = async () => {
      const some = keys;
      keys = [];
      await this.writes.commit((atomic) => {
        for (const key of some) atomic.delete(key);
      });
    };
    for await (const key of all) {
      keys.push(key);
      if (keys.length === this.#limits.commitMutations) await flush();
    }
    if (keys.length > 0) await flush();
  }

  /** See EmbeddedLog.retain. */
  async retain(
    tp: TopicPartition,
    { before, bytes: bytesMin, bytesKept = 0 }: RetentionLimits,
    bound: number,
  ): Promise<number> {
    if (bytesMin !== Infinity || bytesKept > 0) await this.#countBytes(tp);
    return await this.#exclusively(async () => {
      const prefix = ["batch", tp.topic, tp.partition];
      const end = Math.min(bound, tp.end);
      let start = tp.start;
      // Not counted, if the log was read anew meanwhile: the next look counts.
      let left = tp.heldBytes ?? 0;
      /** An earlier removal was cut short. */
      let hasRest = false;
      const entries = this.kv.list<Uint8Array>(
        { prefix, end: [...prefix, end] },
        { batchSize: LIST_BATCHES },
      );
      for await (const { value } of entries) {
        const { lastOffset, maxTimestamp } = batchInfo(value);
        if (lastOffset < tp.start) {
          hasRest = true; // which is not counted any more
          continue;
        }
        const isOld = maxTimestamp < before || left - value.length >= bytesMin;
        if (!isOld || lastOffset >= end) break;
        if (bytesKept > 0 && left - value.length < bytesKept) break;
        start = lastOffset + 1;
        left -= value.length;
      }
      if (start === tp.start && !hasRest) return start;
      // The start moves first: what lies below it is not there for any reader.
      if (start > tp.start) {
        await this.writes.commit((atomic) => atomic.set(["start", tp.topic, tp.partition], start));
        tp.start = start;
        if (tp.heldBytes !== null) tp.heldBytes = left;
      }
      await this.#remove(this.kv.listKeys({ prefix, end: [...prefix, start] }));
      return start;
    });
  }

  /** Counts the bytes that are held, once; from then on they are known. Writes go on meanwhile. */
  async #countBytes(tp: TopicPartition): Promise<void> {
    if (tp.heldBytes !== null) return;
    const prefix = ["batch", tp.topic, tp.partition];
    const { start, end } = tp;
    tp.heldBytes = 0; // what is appended from now on adds itself
    let bytes = 0;
    const entries = this.kv.list<Uint8Array>(
      { start: [...prefix, start], end: [...prefix, end] },
      { batchSize: LIST_BATCHES },
    );
    try {
      for await (const { value } of entries) bytes += value.length;
    } catch (error) {
      tp.heldBytes = null;
      throw error;
    }
    if (tp.heldBytes !== null) (tp.heldBytes as number) += bytes;
  }
}
