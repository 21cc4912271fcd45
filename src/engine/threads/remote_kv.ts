// The store's KV as a worker thread sees it: the control plane alone writes to the file.

import { type Kv, readBelow } from "../../kv/mod.ts";
import type { Caller, Methods } from "../../log/mod.ts";

/** Entries that one call brings. */
const PAGE = 16;

interface Operation {
  readonly kind: "set" | "delete";
  readonly key: Deno.KvKey;
  readonly value?: unknown;
}

export interface KvCalls {
  kvGet(key: Deno.KvKey): Deno.KvEntryMaybe<unknown>;
  kvGetMany(keys: readonly Deno.KvKey[]): Deno.KvEntryMaybe<unknown>[];
  kvReadBelow(prefix: Deno.KvKey, keys: readonly Uint8Array[]): unknown[];
  kvList(selector: Deno.KvListSelector, options: Deno.KvListOptions): Page;
  kvListKeys(selector: Deno.KvListSelector): Deno.KvKey[];
  kvCommit(
    checks: readonly Deno.AtomicCheck[],
    operations: readonly Operation[],
  ): Deno.KvCommitResult | Deno.KvCommitError;
}

/** A KV on the other side of a channel. */
export class RemoteKv implements Kv {
  constructor(readonly rpc: Caller<KvCalls>) {}

  // Whoever reads a key knows what is under it.
  get: Kv["get"] = (key) => this.rpc.call("kvGet", [key]) as never;

  getMany: Kv["getMany"] = (keys: readonly Deno.KvKey[]) =>
    this.rpc.call("kvGetMany", [keys]) as never;

  readBelow(prefix: Deno.KvKey, keys: readonly Uint8Array[]): Promise<unknown[]> {
    return this.rpc.call("kvReadBelow", [prefix, keys]);
  }

  list: Kv["list"] =
    ((selector: Deno.KvListSelector, options: Deno.KvListOptions = {}) =>
      this.#pages(selector, options)) as unknown as Kv["list"];

  async *#pages(
    selector: Deno.KvListSelector,
    { reverse = false, limit = Infinity }: Deno.KvListOptions,
  ): AsyncGenerator<Deno.KvEntry<unknown>> {
    let cursor = "";
    for (let left = limit; left > 0;) {
      const options = { reverse, limit: Math.min(PAGE, left), ...(cursor ? { cursor } : {}) };
      const page = await this.rpc.call("kvList", [selector, options]);
      yield* page.entries;
      left -= page.entries.length;
      cursor = page.cursor;
      if (page.entries.length < options.limit) return;
    }
  }

  async *listKeys(selector: Deno.KvListSelector): AsyncGenerator<Deno.KvKey> {
    yield* await this.rpc.call("kvListKeys", [selector]);
  }

  atomic(): Deno.AtomicOperation {
    const checks: Deno.AtomicCheck[] = [];
    const operations: Operation[] = [];
    const atomic = {
      check: (...more: Deno.AtomicCheck[]) => (checks.push(...more), atomic),
      set: (
        key: Deno.KvKey,
        value: unknown,
      ) => (operations.push({ kind: "set", key, value }), atomic),
      delete: (key: Deno.KvKey) => (operations.push({ kind: "delete", key }), atomic),
      commit: () => this.rpc.call("kvCommit", [checks, operations]),
    };
    return atomic as unknown as Deno.AtomicOperation;
  }

  close(): void {}
}

interface Page {
  readonly entries: readonly Deno.KvEntry<unknown>[];
  readonly cursor: string;
}

/** The methods by which a thread reaches a KV. */
export function kvMethods(kv: Kv): Methods<KvCalls> {
  return {
    kvGet: ([key]) => kv.get(key),
    kvGetMany: ([keys]) => kv.getMany([...keys]),
    kvReadBelow: ([prefix, keys]) => readBelow(kv, prefix, keys),
    kvList: async ([selector, options]): Promise<Page> => {
      const iterator = kv.list(selector, options);
      const entries: Deno.KvEntry<unknown>[] = [];
      for await (const entry of iterator) entries.push(entry);
      return { entries, cursor: iterator.cursor };
    },
    kvListKeys: async ([selector]) => {
      const keys: Deno.KvKey[] = [];
      for await (const key of kv.listKeys(selector)) keys.push(key);
      return keys;
    },
    kvCommit: ([checks, operations]) => {
      const atomic = kv.atomic().check(...checks);
      for (const { kind, key, value } of operations) {
        if (kind === "set") atomic.set(key, value);
        else atomic.delete(key);
      }
      return atomic.commit();
    },
  };
}
