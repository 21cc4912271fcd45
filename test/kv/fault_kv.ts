// A KV that fails as asked, around a real one in memory that outlives it.

import type { Kv } from "../../src/kv/mod.ts";

export type Fault =
  /** The commit does not happen, and says so. */
  | "fails"
  /** The same, because the disk is full. */
  | "full"
  /** The commit does not happen, and the process is gone. */
  | "dies before"
  /** The commit happens, and the process is gone. */
  | "dies after"
  /** The commit happens, but ends in an error. */
  | "answer lost"
  /** The commit never happens, and never answers. */
  | "hangs"
  /** The commit never answers, but happens when the next commit was tried. */
  | "hangs, then happens";

export class CrashedError extends Error {}

export class FaultKv implements Kv {
  /** Operations of all KVs that are under way. */
  static inFlight = 0;
  static #quiet: PromiseWithResolvers<void> | null = null;

  /** Resolves when no operation of any KV is under way. */
  static whenQuiet(): Promise<void> {
    if (FaultKv.inFlight === 0) return Promise.resolve();
    FaultKv.#quiet ??= Promise.withResolvers();
    return FaultKv.#quiet.promise;
  }

  commits = 0;
  #late: (() => Promise<unknown>) | null = null;
  dead = false;
  /** Called when a fault ends the process. */
  onDeath: () => void = () => {};

  /** @param plan what happens at the n-th commit from now, counted from 1 */
  constructor(readonly kv: Deno.Kv, public plan: (commit: number) => Fault | null = () => null) {}

  get: Kv["get"] = (key, options) => this.#count(() => this.kv.get(key, options));

  getMany: Kv["getMany"] = (keys, options) => this.#count(() => this.kv.getMany(keys, options));

  list: Kv["list"] = (selector, options) => {
    this.#alive();
    const entries = this.kv.list(selector, options);
    const next = entries.next.bind(entries);
    // deno-lint-ignore no-explicit-any -- the iterator's own type
    entries.next = (() => this.#count(next)) as any;
    return entries as ReturnType<Kv["list"]> as never;
  };

  async *listKeys(selector: Deno.KvListSelector): AsyncGenerator<Deno.KvKey> {
    for await (const { key } of this.list(selector)) yield key;
  }

  async #count<T>(operation: () => Promise<T>): Promise<T> {
    this.#alive();
    FaultKv.inFlight++;
    try {
      return await operation();
    } finally {
      if (--FaultKv.inFlight === 0) {
        FaultKv.#quiet?.resolve();
        FaultKv.#quiet = null;
      }
    }
  }

  close(): void {}

  atomic(): Deno.AtomicOperation {
    const atomic = this.kv.atomic();
    const commit = atomic.commit.bind(atomic);
    atomic.commit = async () => {
      this.#alive();
      const fault = this.plan(++this.commits);
      if (fault === "dies before") this.#die();
      if (fault === "fails") throw new Error("database is locked");
      if (fault === "full") throw new Error("database or disk is full");
      if (fault === "hangs") return await new Promise(() => {});
      if (fault === "hangs, then happens") {
        this.#late = commit;
        return await new Promise(() => {});
      }
      const late = this.#late;
      this.#late = null;
      await late?.();
      const result = await this.#count(commit);
      if (fault === "dies after") this.#die();
      if (fault === "answer lost") throw new Error("disk I/O error");
      return result;
    };
    return atomic;
  }

  #alive(): void {
    if (this.dead) throw new CrashedError("The process is dead");
  }

  #die(): never {
    this.dead = true;
    this.onDeath();
    throw new CrashedError("The process died");
  }
}
