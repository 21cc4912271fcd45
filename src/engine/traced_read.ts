import type { ReadAnswer } from "../log/mod.ts";
import type { Pending } from "./pending.ts";
import {
  batchInfo,
  type Span,
  startServing,
  type TracedQueue,
  type Tracing,
} from "../types/mod.ts";

/** A read of an input that brought something, and what is done with it. */
export interface TracedRead {
  readonly work: "fold" | "answer";
  readonly topic: string;
  readonly partition: number;
  /** That was asked for. */
  readonly offset: number;
  /** In ms since the epoch. */
  readonly askedAt: number;
  readonly answer: ReadAnswer;
}

/**
 * Makes the span of a read, and begins that of the work on it; what the two serve is added to the queue that waits for
 * its commit.
 *
 * @returns the span of the work; null when the read is not sampled
 */
export function traceRead(
  tracing: Tracing,
  queue: TracedQueue,
  { work, topic, partition, offset, askedAt, answer: { batches, traces = [] } }: TracedRead,
): Span | null {
  const to = batchInfo(batches.at(-1)!).lastOffset + 1;
  // A read may have waited for the records that it brought.
  const at = Math.max(askedAt, traces[0]?.at ?? 0);
  const where = { topic, partition, offset, records: to - offset };
  const fetch = startServing(tracing, "fetch", traces.map(({ context }) => context), {
    startedAt: at,
    attributes: { ...where, bytes: batches.reduce((n, batch) => n + batch.length, 0) },
  });
  if (!fetch) return null;
  fetch.end();
  const { context } = fetch;
  queue.add([...traces, { from: offset, to, at, context }]);
  return tracing.start(work, { parent: context, attributes: where });
}

/** What is pending, with what it serves. */
export function withTraces<P extends Pending>(pending: P, queue: TracedQueue): P {
  const served = queue.take(pending.position.offset);
  return served.length > 0 ? { ...pending, traces: served.map(({ context }) => context) } : pending;
}
