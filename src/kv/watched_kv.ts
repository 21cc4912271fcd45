import { type Clock, Deadlines } from "../types/mod.ts";
import type { Kv } from "./kv.ts";
import { isNoRoom } from "./write_errors.ts";

/** A call that did not answer in time. It may still happen later. */
export class HungError extends Error {
  override readonly name = "HungError";
}

export interface WatchOptions {
  /** What is watched, such as the path of the file. */
  readonly name: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Learns what hung. */
  readonly onHung: (what: string, ms: number) => void;
  /** What an error of the KV means, if it means more than that a call failed. */
  readonly meaning?: (error: unknown) => Promise<Error | null>;
  /** Learns of each commit that happened (null), or failed because the disk had no room. */
  readonly onWrite?: (error: Error | null) => void;
}

/** A KV whose calls fail when they do not answer in time. */
export function watchKv(kv: Kv, options: WatchOptions): Kv {
  const deadlines = new Deadlines(options.clock);
  const watch = <T>(operation: string, key: unknown, call: Promise<T>): Promise<T> =>
    inTime(
      () => `${operation} ${JSON.stringify(key)} of ${options.name}`,
      call,
      options,
      deadlines,
    );
  return {
    ...(kv.limits ? { limits: kv.limits } : {}),
    get: (key, o) => watch("get", key, kv.get(key, o)),
    getMany: (keys, o) => watch("getMany", keys, kv.getMany(keys, o)),
    list: (selector, o) => {
      const entries = kv.list(selector, o);
      const next = entries.next.bind(entries);
      // deno-lint-ignore no-explicit-any -- the iterator's own type
      entries.next = (() => watch("list", selector, next())) as any;
      return entries as never;
    },
    listKeys: (selector) => watchEach(kv.listKeys(selector), (n) => watch("list", selector, n)),
    atomic: () => {
      const atomic = kv.atomic();
      const commit = atomic.commit.bind(atomic);
      atomic.commit = async () => {
        try {
          const result = await watch("commit", null, commit());
          if (result.ok) options.onWrite?.(null);
          return result;
        } catch (error) {
          if (isNoRoom(error)) options.onWrite?.(error as Error);
          throw error;
        }
      };
      return atomic;
    },
    close: () => {
      deadlines.close();
      kv.close();
    },
  };
}

async function* watchEach<T>(
  all: AsyncIterable<T>,
  watch: (next: Promise<IteratorResult<T>>) => Promise<IteratorResult<T>>,
): AsyncGenerator<T> {
  const iterator = all[Symbol.asyncIterator]();
  for (let next = await watch(iterator.next()); !next.done; next = await watch(iterator.next())) {
    yield next.value;
  }
}

/** Of the time in which a call is to be answered. */
const PARTS = 5;

function inTime<T>(
  nameOf: () => string,
  call: Promise<T>,
  { timeoutMs, onHung, meaning }: WatchOptions,
  deadlines: Deadlines,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let answered: () => void;
    // In parts: while this thread itself stands still, an answer waits to be heard, and only one part passes.
    const wait = (parts: number) => {
      answered = deadlines.add(timeoutMs / PARTS, () => {
        if (parts > 1) return wait(parts - 1);
        const what = nameOf();
        onHung(what, timeoutMs);
        reject(new HungError(`${what} did not answer within ${timeoutMs} ms`));
      });
    };
    wait(PARTS);
    call.then((value) => {
      answered();
      resolve(value);
    }, async (error) => {
      answered();
      reject(await meaning?.(error) ?? error);
    });
  });
}
