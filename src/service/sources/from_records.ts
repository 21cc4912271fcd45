import { orAborted } from "../../engine/waiters.ts";
import { StopError } from "../../log/mod.ts";
import type { InputStream } from "../streams.ts";
import type { FromOptions } from "./from_lines.ts";

/**
 * Records that the program itself brings, one by one or several at a time. What was yielded is durable when the next
 * is asked for: behind its `yield`, a generator may note that it was brought. After a crash the iterable begins anew,
 * and what it had not noted comes again: at least once. The job goes on when the iterable has ended.
 *
 * @example
 * async function* orders() {
 *   for await (const message of queue) {
 *     yield { transactionId: message.id, ts: message.ts, itemId: message.item, quantity: -1 };
 *     await message.acknowledge(); // it is in the log
 *   }
 * }
 */
export function fromRecords<T>(
  records: AsyncIterable<T | readonly T[]> | Iterable<T | readonly T[]>,
  options: FromOptions = {},
): InputStream<T> {
  const from = "fromRecords";
  return {
    ...options,
    feed: {
      from,
      async run(target, stop) {
        const iterator = Symbol.asyncIterator in records
          ? records[Symbol.asyncIterator]()
          : records[Symbol.iterator]();
        while (!stop.aborted) {
          // Nobody knows when it comes: a stop does not wait for it. Nothing of a step stays behind it.
          const step = (async () => await iterator.next())();
          const next = await orAborted(step, stop).catch((error) => {
            throw new StopError(
              `What brings the ${target.what} records failed: ${(error as Error).message}`,
              "mend the iterable that fromRecords was given; what it had yielded before is in the log",
              { cause: error },
            );
          });
          if (!next || next.done) break;
          const some = Array.isArray(next.value) ? next.value as readonly T[] : [next.value as T];
          if (some.length > 0) await target.append(some, from, stop);
        }
        // A generator may have something to close; it may wait for ever within a step.
        if (stop.aborted) void (async () => await iterator.return?.())().catch(() => {});
      },
    },
  };
}
