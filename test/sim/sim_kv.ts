// A KV file as one process sees it: every operation takes time and may fail.

import type { Kv, KvLimits } from "../../src/kv/mod.ts";
import { boundsOf, copyOf, encodeKey, type Entry, type KvFile, type Mutation } from "./kv_file.ts";
import type { SimProcess } from "./process.ts";
import { SIMULATED } from "./sim.ts";

/** Deno KV reads lists in pieces of so many entries, and answers so many keys at once. */
const LIST_BATCH = 100;
const KEYS_BATCH = 10;
const GET_MANY_MAX = 10;

/** What a recovery reads of its partition. */
const RECOVERED_KINDS = ["epoch", "head", "manifest", "chunk"];

/** Learns of commits that happened, before their answers are on their way. */
export type OnKvCommit = (
  file: KvFile,
  process: SimProcess,
  mutations: readonly Mutation[],
) => void;

export interface SimKvOptions {
  readonly onCommit: OnKvCommit;
  /** Whether it lies on another machine: its client sends writes again by itself. */
  readonly isRemote?: boolean;
  /** A planted bug: checks hold always. */
  readonly ignoresChecks?: boolean;
}

export class SimKv implements Kv {
  readonly limits: KvLimits;
  /** Keys of the reads that are under way. */
  readonly #reading: Deno.KvKey[] = [];

  constructor(
    readonly file: KvFile,
    readonly process: SimProcess,
    readonly options: SimKvOptions,
  ) {
    this.limits = process.sim.plan.kvLimits;
  }

  /** Whether something of a partition is being read that a recovery reads. */
  isReading(partition: number): boolean {
    return this.#reading.some(([kind, , of]) =>
      of === partition && RECOVERED_KINDS.includes(kind as string)
    );
  }

  get: Kv["get"] = (key) => this.#read(key, () => answer(key, this.file.get(key))) as never;

  getMany: Kv["getMany"] = (keys) => {
    if (keys.length > GET_MANY_MAX) throw new TypeError(`${keys.length} keys at once`);
    return this.#read(
      keys[0] ?? [],
      () => keys.map((key: Deno.KvKey) => answer(key, this.file.get(key))),
    ) as never;
  };

  list: Kv["list"] = (selector, { limit = Infinity, reverse = false, batchSize } = {}) => {
    const entries = this.#list(selector, limit, reverse, batchSize ?? Math.min(limit, LIST_BATCH));
    return Object.assign(entries, { cursor: "" }) as never;
  };

  async *#list(
    selector: Deno.KvListSelector,
    limit: number,
    reverse: boolean,
    batchSize: number,
  ): AsyncGenerator<Deno.KvEntry<unknown>> {
    let { from, to } = boundsOf(selector);
    const key = "prefix" in selector ? selector.prefix : selector.start;
    // Each piece is read by itself: what is written meanwhile shows in the next one.
    for (let left = limit; left > 0;) {
      const some = await this.#read(
        key,
        () =>
          this.file.range(from, to, Math.min(batchSize, left), reverse)
            .map((entry) => answer(entry.key, entry) as Deno.KvEntry<unknown>),
      );
      for (const entry of some) yield entry; // yield* would await each of them several times
      left -= some.length;
      if (some.length < batchSize) return;
      const last = encodeKey(some.at(-1)!.key);
      if (reverse) to = last;
      else from = last + "\0";
    }
  }

  async *listKeys(selector: Deno.KvListSelector): AsyncGenerator<Deno.KvKey> {
    for await (const { key } of this.list(selector, { batchSize: KEYS_BATCH })) yield key;
  }

  atomic(): Deno.AtomicOperation {
    return new SimAtomic(this) as unknown as Deno.AtomicOperation;
  }

  close(): void {}

  #read<T>(key: Deno.KvKey, effect: () => T): Promise<T> {
    const { sim } = this.process;
    const fails = sim.happens("kv read fails");
    this.#reading.push(key);
    return this.process.call(() => {
      this.#reading.splice(this.#reading.indexOf(key), 1);
      if (fails) throw new Error(`database is locked ${SIMULATED}`);
      return effect();
    }, { latencyMs: this.#latency() });
  }

  #latency(): number {
    const { sim } = this.process;
    return sim.happens("kv slow") ? sim.between(50, 3000) : sim.between(0.02, 0.5);
  }

  commit(
    checks: readonly Deno.AtomicCheck[],
    mutations: readonly Mutation[],
  ): Promise<Deno.KvCommitResult | Deno.KvCommitError> {
    const { file, process, options } = this;
    const { sim } = process;
    const locked = sim.happens("kv locked");
    const lostBefore = !locked && sim.happens("kv write lost");
    const lostAfter = !locked && !lostBefore && sim.happens("kv answer lost");
    const late = sim.happens("kv answer late");
    const { isRemote } = options;
    const refused = isRemote && !locked && sim.happens("kv write done, answered as refused");
    const hangs = isRemote && !locked && sim.happens("kv write hangs, happens later");
    if (hangs) return this.#commitLater(checks, mutations);
    // A process may die between the effect and the answer.
    const answerMs = late ? sim.between(100, 4000) : sim.chance(0.3) ? sim.between(0.01, 0.5) : 0;
    return process.call(() => {
      if (locked) throw new Error(`database is locked ${SIMULATED}`);
      if (file.fullUntil > sim.now && !sim.healed) {
        throw new Error(`database or disk is full ${SIMULATED}`);
      }
      if (lostBefore) throw new Error(`disk I/O error ${SIMULATED}`);
      const versionstamp = file.commit(options.ignoresChecks ? [] : checks, mutations);
      if (versionstamp !== null) options.onCommit(file, process, mutations);
      sim.trace(
        process.name,
        () =>
          `${file.name} ${versionstamp === null ? "check failed" : "commit"} ${
            describe(mutations)
          }`,
      );
      if (lostAfter) throw new Error(`disk I/O error ${SIMULATED}`);
      return versionstamp === null || refused ? { ok: false } : { ok: true, versionstamp };
    }, { latencyMs: this.#latency(), answerMs });
  }

  /** Ends in an error, and happens after it: whatever was written in its place is there by then. */
  #commitLater(
    checks: readonly Deno.AtomicCheck[],
    mutations: readonly Mutation[],
  ): Promise<never> {
    const { file, process, options } = this;
    const { sim } = process;
    sim.scheduler.after(sim.between(10, 5000), () => {
      if (file.fullUntil > sim.now && !sim.healed) return;
      const versionstamp = file.commit(options.ignoresChecks ? [] : checks, mutations);
      if (versionstamp !== null) options.onCommit(file, process, mutations);
      const what = versionstamp === null ? "late check failed" : "late commit";
      sim.trace(process.name, () => `${file.name} ${what} ${describe(mutations)}`);
    });
    return process.call(() => {
      throw new Error(`no answer ${SIMULATED}`);
    }, { latencyMs: sim.between(0.1, 50) });
  }
}

class SimAtomic {
  readonly #checks: Deno.AtomicCheck[] = [];
  readonly #mutations: Mutation[] = [];

  constructor(readonly kv: SimKv) {}

  check(...checks: Deno.AtomicCheck[]): this {
    this.#checks.push(...checks);
    return this;
  }

  set(key: Deno.KvKey, value: unknown): this {
    this.#mutations.push({ key, value: copyOf(value) });
    return this;
  }

  delete(key: Deno.KvKey): this {
    this.#mutations.push({ key, value: undefined });
    return this;
  }

  commit(): Promise<Deno.KvCommitResult | Deno.KvCommitError> {
    return this.kv.commit(this.#checks, this.#mutations);
  }
}

function answer(key: Deno.KvKey, entry: Entry | null): Deno.KvEntryMaybe<unknown> {
  if (!entry) return { key, value: null, versionstamp: null };
  return { key, value: copyOf(entry.value), versionstamp: entry.versionstamp };
}

function describe(mutations: readonly Mutation[]): string {
  const some = mutations.slice(0, 6).map(({ key, value }) => {
    const name = key.map((part) =>
      part instanceof Uint8Array ? `${part[0]!.toString(16)}..` : String(part)
    ).join("/");
    if (value === undefined) return `-${name}`;
    return typeof value === "number" ? `${name}=${value}` : name;
  });
  return some.join(" ") + (mutations.length > 6 ? ` and ${mutations.length - 6} more` : "");
}
