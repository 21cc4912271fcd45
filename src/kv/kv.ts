/** The part of Deno.Kv that stockflow uses; tests and the simulator bring their own. */
export interface Kv extends Pick<Deno.Kv, "get" | "getMany" | "list" | "atomic" | "close"> {
  /** Keys alone: their values may be large, or far away. */
  listKeys(selector: Deno.KvListSelector): AsyncIterable<Deno.KvKey>;
  /**
   * Values of small entries of one prefix by their keys, in one call; null: there is no such entry. A KV whose
   * calls cost no more than their reads does not need it: getMany brings some at a time.
   *
   * @param keys each is the prefix and bytes behind it
   */
  readBelow?(prefix: Deno.KvKey, keys: readonly Uint8Array[]): Promise<unknown[]>;
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

/** The entries under keys, in their order: by as many at a time as one read takes. */
export async function getAll<T>(
  kv: Pick<Kv, "getMany">,
  keys: readonly Deno.KvKey[],
): Promise<Deno.KvEntryMaybe<T>[]> {
  const entries: Deno.KvEntryMaybe<T>[] = [];
  for (let at = 0; at < keys.length; at += KV_GET_MANY_MAX) {
    entries.push(...await kv.getMany<T[]>(keys.slice(at, at + KV_GET_MANY_MAX)));
  }
  return entries;
}

/** Entries that one read of a list brings. */
const BELOW_BATCH = 100;
/** So many times as many entries as are looked for are read at the most: others may be below the prefix, too. */
const BELOW_FACTOR = 4;

/**
 * Values of small entries of one prefix, in few reads: what is below it is read from its start on, and what is not among
 * the first entries is looked for by its key.
 */
export async function readBelow(
  kv: Pick<Kv, "list" | "getMany">,
  prefix: Deno.KvKey,
  keys: readonly Uint8Array[],
): Promise<unknown[]> {
  const names = keys.map((key) => key.toHex());
  const wanted = new Set(names);
  const found = new Map<string, unknown>();
  let left = BELOW_FACTOR * keys.length;
  for await (const { key, value } of kv.list({ prefix }, { batchSize: BELOW_BATCH })) {
    const name = (key.at(-1) as Uint8Array).toHex();
    if (wanted.has(name)) found.set(name, value);
    if (found.size === wanted.size || --left <= 0) break;
  }
  const rest = keys.filter((_, i) => !found.has(names[i]!));
  const entries = await getAll(kv, rest.map((key) => [...prefix, key]));
  entries.forEach(({ value }, i) => found.set(rest[i]!.toHex(), value));
  return names.map((name) => found.get(name) ?? null);
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
