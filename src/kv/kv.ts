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
  /** Checks of one commit; KV_COMMIT_CHECKS_MAX by default. */
  readonly commitChecks?: number;
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
/** Keys of one read. */
export const KV_GET_MANY_MAX = 10;
export const KV_LIMITS: KvLimits = { commitBytes: 700_000, commitMutations: 900 };

/** What one atomic commit to a KV takes. */
export function limitsOf(kv: Kv): KvLimits {
  return kv.limits ?? KV_LIMITS;
}
