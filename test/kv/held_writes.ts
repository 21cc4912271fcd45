import type { FaultKv } from "./fault_kv.ts";

/** Holds back commits to a KV that write keys of one kind, until a test lets them happen. */
export class HeldWrites {
  /** The first such key of each commit that is held back now. */
  readonly held: Deno.KvKey[] = [];
  readonly #gate = Promise.withResolvers<void>();

  /** @param kind first part of the keys */
  constructor(kv: FaultKv, readonly kind: string) {
    const begin = kv.atomic.bind(kv);
    kv.atomic = () => this.#watched(begin());
  }

  #watched(atomic: Deno.AtomicOperation): Deno.AtomicOperation {
    let key: Deno.KvKey | null = null;
    const set = atomic.set.bind(atomic);
    atomic.set = (written, value, options) => {
      if (written[0] === this.kind) key ??= written;
      set(written, value, options);
      return atomic;
    };
    const commit = atomic.commit.bind(atomic);
    atomic.commit = async () => {
      if (key) await this.#hold(key);
      return await commit();
    };
    return atomic;
  }

  async #hold(key: Deno.KvKey): Promise<void> {
    this.held.push(key);
    await this.#gate.promise;
    this.held.splice(this.held.indexOf(key), 1);
  }

  /** Lets all happen, from now on. */
  release(): void {
    this.#gate.resolve();
  }
}
