import {
  BatchBuilder,
  batchInfo,
  type NewRecord,
  recordBytesMax,
  setBaseOffset,
} from "../types/mod.ts";
import {
  type Kv,
  KV_COMMIT_CHECKS_MAX,
  KV_VALUE_BYTES_MAX,
  type KvLimits,
  limitsOf,
} from "./kv.ts";
import { type MarkedCommits, WriteFailedError } from "./group_commit.ts";
import type { Commit, CommitOutcome } from "./port.ts";
import type { TopicPartition } from "./topic_partition.ts";

/** Keys and small values of one mutation. */
const MUTATION_BYTES = 120;

interface Append {
  readonly kind: "append";
  readonly tp: TopicPartition;
  readonly records: readonly NewRecord[];
  readonly bytes: number;
  readonly onAssigned: (baseOffset: number) => void;
  baseOffset: number;
  resolve(baseOffset: number): void;
  reject(error: unknown): void;
}

interface CommitRequest {
  readonly kind: "commit";
  readonly input: string;
  readonly commit: Commit;
  readonly epochs: readonly Deno.AtomicCheck[];
  readonly bytes: number;
  readonly mutations: number;
  resolve(outcome: CommitOutcome): void;
}

/** Something that must not overlap with writes, such as removing old batches. */
interface Task {
  readonly kind: "task";
  run(): Promise<void>;
}

type Request = Append | CommitRequest | Task;

/** New batches and ends of one atomic commit, before it happened. */
class Draft {
  readonly batches = new Map<TopicPartition, Uint8Array[]>();
  readonly ends = new Map<TopicPartition, number>();
  readonly #open = new Map<TopicPartition, BatchBuilder>();

  endOf(tp: TopicPartition): number {
    return (this.ends.get(tp) ?? tp.end) + (this.#open.get(tp)?.records ?? 0);
  }

  /** Adds records, in as many batches as they need; returns the first one's offset. */
  addRecords(tp: TopicPartition, records: readonly NewRecord[]): number {
    const base = this.endOf(tp);
    let builder = this.#open.get(tp);
    for (const record of records) {
      if (builder && builder.length + recordBytesMax(record) > KV_VALUE_BYTES_MAX) {
        this.finish(tp);
        builder = undefined;
      }
      if (!builder) this.#open.set(tp, builder = new BatchBuilder());
      builder.add(record);
    }
    return base;
  }

  finish(tp: TopicPartition): void {
    const builder = this.#open.get(tp);
    if (!builder) return;
    this.#open.delete(tp);
    this.addBatch(tp, builder.build());
  }

  finishAll(): void {
    for (const tp of [...this.#open.keys()]) this.finish(tp);
  }

  addBatch(tp: TopicPartition, batch: Uint8Array): void {
    this.finish(tp);
    const base = this.endOf(tp);
    setBaseOffset(batch, base);
    const list = this.batches.get(tp);
    if (list) list.push(batch);
    else this.batches.set(tp, [batch]);
    this.ends.set(tp, batchInfo(batch).lastOffset + 1);
  }

  writeBatches(atomic: Deno.AtomicOperation): void {
    for (const [tp, batches] of this.batches) {
      for (const batch of batches) writeBatch(atomic, tp, batch);
    }
  }

  writeEnds(atomic: Deno.AtomicOperation): void {
    for (const [tp, end] of this.ends) atomic.set(["end", tp.topic, tp.partition], end);
  }

  /** It happened. */
  publish(): void {
    for (const [tp, end] of this.ends) tp.append(this.batches.get(tp) ?? [], end);
  }
}

function writeBatch(atomic: Deno.AtomicOperation, tp: TopicPartition, batch: Uint8Array): void {
  atomic.set(["batch", tp.topic, tp.partition, batchInfo(batch).baseOffset], batch);
}

function writePositions(
  atomic: Deno.AtomicOperation,
  { input, commit, epochs }: CommitRequest,
): void {
  for (const epoch of epochs) atomic.check(epoch);
  for (const { partition, ...position } of commit.positions) {
    atomic.set(["committed", input, partition], position);
  }
}

/**
 * The one writer of an embedded log: requests wait in a queue, and as many as fit go into one atomic
 * commit (group commit).
 */
export class LogWriter {
  readonly #queue: Request[] = [];
  #running = false;
  #closed = false;
  /** Set when it is not known what the KV holds, or it holds too much: read it before the next write. */
  #unsure = false;
  #known: readonly TopicPartition[] = [];
  waitingBytes = 0;
  readonly #limits: KvLimits;

  constructor(
    readonly kv: Kv,
    readonly commits: MarkedCommits,
    readonly partition: (topic: string, partition: number) => TopicPartition,
  ) {
    this.#limits = limitsOf(kv);
  }

  append(
    tp: TopicPartition,
    records: readonly NewRecord[],
    onAssigned: (baseOffset: number) => void,
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
    return new Promise((resolve, reject) =>
      this.#add({ kind: "append", tp, records, bytes, onAssigned, baseOffset: 0, resolve, reject })
    );
  }

  commit(
    input: string,
    commit: Commit,
    epochs: readonly Deno.AtomicCheck[],
  ): Promise<CommitOutcome> {
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
      this.#add({
        kind: "task",
        run: async () => {
          try {
            resolve(await run());
          } catch (error) {
            reject(error);
            throw error;
          }
        },
      })
    );
  }

  async close(): Promise<void> {
    await this.settle();
    this.#closed = true;
  }

  #add(request: Request): void {
    if (this.#closed) {
      const error = new WriteFailedError("The log is closed");
      if (request.kind === "append") request.reject(error);
      else if (request.kind === "commit") request.resolve("lost");
      return;
    }
    if (request.kind !== "task") this.waitingBytes += request.bytes;
    this.#queue.push(request);
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    // Requests of the same turn of the event loop share the first commit.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#writeGroup(this.#takeGroup());
    this.#running = false;
  }

  /** The requests that go into the next commit: the first, and as many behind it as fit. */
  #takeGroup(): Request[] {
    const group: Request[] = [];
    let bytes = 0;
    let mutations = 0;
    let checks = 0;
    while (this.#queue.length > 0) {
      const next = this.#queue[0]!;
      if (next.kind === "task" && group.length > 0) break;
      const more = next.kind === "append" ? 3 : next.kind === "commit" ? next.mutations : 0;
      const moreChecks = next.kind === "commit" ? next.epochs.length : 0;
      const moreBytes = next.kind === "task" ? 0 : next.bytes;
      const full = bytes + moreBytes > this.#limits.commitBytes ||
        mutations + more > this.#limits.commitMutations ||
        checks + moreChecks > KV_COMMIT_CHECKS_MAX;
      if (group.length > 0 && full) break;
      group.push(this.#queue.shift()!);
      bytes += moreBytes;
      mutations += more;
      checks += moreChecks;
      if (next.kind === "task") break;
    }
    return group;
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
      for (const request of group) if (request.kind !== "task") this.waitingBytes -= request.bytes;
    }
  }

  #fail(request: Request, error: unknown): void {
    if (request.kind === "append") request.reject(error);
    else if (request.kind === "commit") request.resolve("lost");
  }

  async #write(group: (Append | CommitRequest)[]): Promise<void> {
    const draft = new Draft();
    for (const request of group) {
      if (request.kind === "append") {
        request.baseOffset = draft.addRecords(request.tp, request.records);
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
    const ok = await this.commits.commit((atomic) => {
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
      const ok = await this.commits.commit((atomic) => {
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
      await this.commits.commit((atomic) =>
        atomic.check({ key, versionstamp }).set(key, (value ?? 0) + 1)
      );
      return { key, versionstamp: (await this.kv.get(key)).versionstamp };
    });
  }

  /** Adds a value behind those that were added under the name before. */
  addNote(name: string, value: unknown): Promise<void> {
    return this.#exclusively(async () => {
      let n = 0;
      const last = this.kv.list({ prefix: ["note", name] }, { reverse: true, limit: 1 });
      for await (const { key } of last) n = (key[2] as number) + 1;
      await this.commits.commit((atomic) => atomic.set(["note", name, n], value));
    });
  }

  /** Reads the bounds of partitions from the KV, and removes what unfinished commits left above the ends. */
  async reload(partitions: readonly TopicPartition[]): Promise<void> {
    this.#known = partitions;
    await this.commits.reload();
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
      await this.commits.commit((atomic) => {
        for (const key of some) atomic.delete(key);
      });
    };
    for await (const key of all) {
      keys.push(key);
      if (keys.length === this.#limits.commitMutations) await flush();
    }
    if (keys.length > 0) await flush();
  }

  /** Removes whole batches older than `before` that end at or below `bound`; returns the new start. */
  retain(tp: TopicPartition, before: number, bound: number): Promise<number> {
    return this.#exclusively(async () => {
      const prefix = ["batch", tp.topic, tp.partition];
      const end = Math.min(bound, tp.end);
      let start = tp.start;
      for await (const { value } of this.kv.list<Uint8Array>({ prefix, end: [...prefix, end] })) {
        const { lastOffset, maxTimestamp } = batchInfo(value);
        if (maxTimestamp >= before || lastOffset >= end) break;
        start = lastOffset + 1;
      }
      if (start === tp.start) return start;
      // The start moves first: what lies below it is not there for any reader.
      await this.commits.commit((atomic) => atomic.set(["start", tp.topic, tp.partition], start));
      tp.start = start;
      await this.#remove(this.kv.listKeys({ prefix, end: [...prefix, start] }));
      return start;
    });
  }
}
