// The store of checkpoints on another machine: waited for at the start, and lost like a log when it does not answer.

import { type Conditions, Waits } from "../engine/mod.ts";
import { HungError, isRemoteKv, type Kv, KV_TOKEN_VARIABLE, withinKv } from "../kv/mod.ts";
import { LostError, StopError } from "../log/mod.ts";
import { readSmallFile } from "../parameters/files.ts";
import type { Parameters } from "../parameters/parameters.ts";
import type { Clock } from "../types/mod.ts";
import type { Wiring } from "./streams.ts";

/** How often a store that does not answer at the start is asked again. */
const AGAIN_MS = 1000;
/** What the wait for it is called. */
const STORE = "store";

/** @throws {StopError} when the job cannot keep its checkpoints on another machine */
export function checkRemoteStore(params: Parameters, { log }: Pick<Wiring, "log">): void {
  const path = params.get("state.kv");
  if (!isRemoteKv(path) || log === "kafka" && params.get("kafka.partitions.shared")) return;
  throw new StopError(
    `state.kv=${path} is a store for processes that share partitions`,
    "set kafka.partitions.shared=true with job=kafka, or name a file",
  );
}

/**
 * Gives Deno the token of the store, which it takes from the environment alone.
 *
 * @returns what must not be shown
 * @throws {ParameterError} when the file of the token cannot be read
 */
export function useStoreToken(params: Parameters): string[] {
  if (!isRemoteKv(params.get("state.kv"))) return [];
  const path = params.get("state.kv.token.file");
  if (path !== "") {
    Deno.env.set(KV_TOKEN_VARIABLE, readSmallFile(path, `state.kv.token.file ${path}`).trim());
  }
  const token = Deno.env.get(KV_TOKEN_VARIABLE) ?? "";
  return token === "" ? [] : [token];
}

/**
 * What a group keeps in the store. Whatever of it does not answer is a loss: a recovery is tried again without end, a
 * checkpoint is given up.
 */
export function groupStore(kv: Kv, groupId: string): Kv {
  return losing(withinKv(kv, ["stockflow", groupId]));
}

/** Opens it, and waits for it without end. */
export async function untilStoreAnswers<T>(
  open: () => Promise<T>,
  { path, conditions, clock }: {
    readonly path: string;
    readonly conditions: Conditions;
    readonly clock: Clock;
  },
): Promise<T> {
  const waits = new Waits(conditions.reporter("store"), clock);
  try {
    while (true) {
      try {
        return await open();
      } catch (error) {
        const { cause } = error as Error;
        const hung = [error, cause].some((e) => e instanceof HungError || e instanceof LostError);
        if (!hung) throw error;
        const reason = `The store of checkpoints at ${path} does not answer`;
        waits.failed(STORE, STORE, { reason, blocks: "lookups" });
        await clock.sleep(AGAIN_MS);
      }
    }
  } finally {
    waits.allOver();
  }
}

function losing(kv: Kv): Kv {
  const lost = (error: unknown): never => {
    if (error instanceof StopError) throw error;
    const { message } = error as Error;
    throw new LostError(`The store of checkpoints: ${message}`, { cause: error });
  };
  return {
    ...(kv.limits ? { limits: kv.limits } : {}),
    close: () => kv.close(),
    get: ((key: Deno.KvKey, options?: never) => kv.get(key, options).catch(lost)) as Kv["get"],
    getMany:
      ((keys: readonly Deno.KvKey[], options?: never) =>
        kv.getMany(keys, options).catch(lost)) as Kv["getMany"],
    list: ((selector: Deno.KvListSelector, options?: Deno.KvListOptions) => {
      const entries = kv.list(selector, options);
      const next = entries.next.bind(entries);
      // deno-lint-ignore no-explicit-any -- the iterator's own type
      entries.next = (() => next().catch(lost)) as any;
      return entries;
    }) as Kv["list"],
    async *listKeys(selector) {
      try {
        yield* kv.listKeys(selector);
      } catch (error) {
        lost(error);
      }
    },
    atomic: () => {
      const atomic = kv.atomic();
      const commit = atomic.commit.bind(atomic);
      atomic.commit = () => commit().catch(lost);
      return atomic;
    },
  };
}
