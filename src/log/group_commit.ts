import { retry, type RetryOptions } from "../types/mod.ts";

/** The part of Deno.Kv that stockflow uses; tests and the simulator bring their own. */
export interface Kv extends Pick<Deno.Kv, "get" | "getMany" | "list" | "atomic" | "close"> {
  /** Keys alone: their values may be large, or far away. */
  listKeys(selector: Deno.KvListSelector): AsyncIterable<Deno.KvKey>;
  /** What one atomic commit takes, if it is less than Deno KV does. */
  readonly limits?: KvLimits;
}

/** What one atomic commit takes. */
export interface KvLimits {
  /** Bytes of all values. */
  readonly commitBytes: number;
  readonly commitMutations: number;
}

/** Adds to a Deno.Kv what it lacks. */
export function toKv(kv: Deno.Kv): Kv {
  return {
    get: kv.get.bind(kv),
    getMany: kv.getMany.bind(kv),
    list: kv.list.bind(kv),
    atomic: kv.atomic.bind(kv),
    close: kv.close.bind(kv),
    listKeys: (selector) => keysOf(kv.list(selector, { batchSize: KEYS_BATCH })),
  };
}

/** Values of up to 64 KiB come along with the keys. */
const KEYS_BATCH = 10;

async function* keysOf(entries: AsyncIterable<Deno.KvEntry<unknown>>): AsyncGenerator<Deno.KvKey> {
  for await (const { key } of entries) yield key;
}

/** Deno KV's limits (https://docs.deno.com/deploy/kv/), with room for keys. */
export const KV_VALUE_BYTES_MAX = 65_000;
export const KV_COMMIT_CHECKS_MAX = 100;
const KV_LIMITS: KvLimits = { commitBytes: 700_000, commitMutations: 900 };

/** What one atomic commit to a KV takes. */
export function limitsOf(kv: Kv): KvLimits {
  return kv.limits ?? KV_LIMITS;
}

/** A write of which it is known that it did not happen. */
export class WriteFailedError extends Error {
  override readonly name = "WriteFailedError";
}

const MARKER: Deno.KvKey = ["commit"];

/**
 * Atomic commits to a KV that this process alone writes to. Each carries a number of its own, so that
 * a commit that ended in an error can be told to have happened or not.
 */
export class MarkedCommits {
  #number = 0;

  private constructor(readonly kv: Kv, readonly waits: RetryOptions) {}

  static async open(kv: Kv, waits: RetryOptions): Promise<MarkedCommits> {
    const commits = new MarkedCommits(kv, waits);
    await commits.reload();
    return commits;
  }

  /** Reads the number of the last commit, when it is not known whether one happened. */
  async reload(): Promise<void> {
    this.#number = (await this.kv.get<number>(MARKER)).value ?? 0;
  }

  /**
   * Commits what `fill` adds to an atomic operation.
   *
   * @returns false when one of its checks failed; nothing was written then
   * @throws {WriteFailedError} when the KV refused repeatedly; nothing was written then
   * @throws any other error when it cannot be known whether the last attempt was written
   */
  async commit(fill: (atomic: Deno.AtomicOperation) => void): Promise<boolean> {
    const number = this.#number + 1;
    let known = true;
    try {
      return await retry(async () => {
        if (!known && await this.#happened(number)) return true;
        known = false;
        const atomic = this.kv.atomic().set(MARKER, number);
        fill(atomic);
        const { ok } = await atomic.commit();
        known = true;
        if (ok) this.#number = number;
        return ok;
      }, this.waits);
    } catch (error) {
      if (!known && await this.#happened(number)) return true;
      throw new WriteFailedError(`Cannot write to the log: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async #happened(number: number): Promise<boolean> {
    const { value } = await retry(() => this.kv.get<number>(MARKER), this.waits);
    if (value === number) this.#number = number;
    return value === number;
  }
}
