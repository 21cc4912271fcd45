import type { FaultKv } from "./fault_kv.ts";

/** Holds back reads of a KV of keys of one kind, until a test lets them happen. */
export class HeldReads {
  /** The key or prefix of each read that is held back now. */
  readonly held: Deno.KvKey[] = [];
  readonly #gate = Promise.withResolvers<void>();

  /** @param kind first part of the keys */
  constructor(kv: FaultKv, readonly kind: string) {
    const { get, getMany, list } = kv;
    kv.get = (key, options) => this.#behind(key, () => get(key, options));
    kv.getMany = (keys, options) => this.#behind(keys[0] ?? [], () => getMany(keys, options));
    kv.list = (selector, options) => {
      const entries = list(selector, options);
      const next = entries.next.bind(entries);
      const key = "prefix" in selector ? selector.prefix : selector.start;
      // deno-lint-ignore no-explicit-any -- the iterator's own type
      entries.next = (() => this.#behind(key, next)) as any;
      return entries as never;
    };
  }

  async #behind<T>(key: Deno.KvKey, read: () => Promise<T>): Promise<T> {
    if (key[0] === this.kind) {
      this.held.push(key);
      await this.#gate.promise;
      this.held.splice(this.held.indexOf(key), 1);
    }
    return await read();
  }

  /** Lets all happen, from now on. */
  release(): void {
    this.#gate.resolve();
  }
}
