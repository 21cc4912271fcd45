// A KV on another machine, by the protocol KV Connect (https://github.com/denoland/denokv): shared by many processes.

import { resolve } from "node:path";
import { StopError } from "../types/mod.ts";
import { type Kv, KV_LIMITS, type KvLimits, toKv } from "./kv.ts";
import { HungError } from "./watched_kv.ts";

/** From where Deno takes the token of a KV on another machine. */
export const KV_TOKEN_VARIABLE = "DENO_KV_ACCESS_TOKEN";

/** Whether a parameter names a KV on another machine, not a file. */
export function isRemoteKv(path: string): boolean {
  return /^https?:\/\//.test(path);
}

/** What a parameter names: the address of a KV on another machine, or the whole path of a file. */
export function placeOfKv(path: string): string {
  return isRemoteKv(path) ? path : resolve(path);
}

/** The server takes fewer checks with a write than a file does (denokv 0.14). */
const REMOTE_LIMITS: KvLimits = { ...KV_LIMITS, commitChecks: 10 };

/** What Deno says when the server is not there, or not yet. */
const NOT_THERE = /failed to connect|error sending request|status 5\d\d/;

/**
 * Opens it.
 *
 * @throws {HungError} when it is not there
 * @throws {StopError} when it refuses the token, or there is none
 */
export async function openRemoteKv(url: string): Promise<Kv> {
  try {
    return { ...toKv(await Deno.openKv(url)), limits: REMOTE_LIMITS };
  } catch (error) {
    const { message } = error as Error;
    if (NOT_THERE.test(message)) throw new HungError(message, { cause: error });
    throw new StopError(
      `Cannot open ${url}: ${message}`,
      `see state.kv, and the token in the environment variable ${KV_TOKEN_VARIABLE}`,
      { cause: error },
    );
  }
}

/** A part of a KV whose keys all begin with the same words, which whoever uses it does not see. */
export function withinKv(kv: Kv, prefix: Deno.KvKey): Kv {
  const inside = (key: Deno.KvKey): Deno.KvKey => [...prefix, ...key];
  const outside = (key: Deno.KvKey): Deno.KvKey => key.slice(prefix.length);
  const entry = <E extends { readonly key: Deno.KvKey }>(found: E): E => ({
    ...found,
    key: outside(found.key),
  });
  const selectorOf = (selector: Deno.KvListSelector): Deno.KvListSelector =>
    Object.fromEntries(
      Object.entries(selector).map(([name, key]) => [name, inside(key as Deno.KvKey)]),
    ) as unknown as Deno.KvListSelector;
  return {
    ...(kv.limits ? { limits: kv.limits } : {}),
    close: () => kv.close(),
    get:
      (async (key: Deno.KvKey, options?: never) => entry(await kv.get(inside(key), options))) as Kv[
        "get"
      ],
    getMany:
      (async (keys: readonly Deno.KvKey[], options?: never) =>
        (await kv.getMany(keys.map(inside), options)).map(entry)) as Kv["getMany"],
    list: ((selector: Deno.KvListSelector, options?: Deno.KvListOptions) => {
      const entries = kv.list(selectorOf(selector), options);
      return {
        next: async () => {
          const next = await entries.next();
          return next.done ? next : { done: false, value: entry(next.value) };
        },
        get cursor() {
          return entries.cursor;
        },
        [Symbol.asyncIterator]() {
          return this;
        },
      };
    }) as unknown as Kv["list"],
    async *listKeys(selector) {
      for await (const key of kv.listKeys(selectorOf(selector))) yield outside(key);
    },
    atomic: () => {
      const atomic = kv.atomic();
      const within = {
        check: (...checks: Deno.AtomicCheck[]) => {
          atomic.check(...checks.map((check) => ({ ...check, key: inside(check.key) })));
          return within;
        },
        set: (key: Deno.KvKey, value: unknown) => (atomic.set(inside(key), value), within),
        delete: (key: Deno.KvKey) => (atomic.delete(inside(key)), within),
        commit: () => atomic.commit(),
      };
      return within as unknown as Deno.AtomicOperation;
    },
  };
}
