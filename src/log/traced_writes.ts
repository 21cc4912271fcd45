import { batchInfo, type Clock, TracedQueue, type Tracing } from "../types/mod.ts";
import type { Commit, CommitOutcome, ReadAnswer } from "./port.ts";
import type { AppendOptions } from "./write_queue.ts";

/** The spans of an embedded log, and those that its records came with until these are committed. */
export class TracedWrites {
  /** By topic and partition. */
  readonly #appended = new Map<string, TracedQueue>();

  constructor(readonly tracing: Tracing, readonly clock: Clock) {}

  /** Appends within a span, if the request that is being answered is traced. */
  async append(
    topic: string,
    partition: number,
    records: number,
    options: AppendOptions,
    append: (options: AppendOptions) => Promise<number>,
  ): Promise<number> {
    const parent = this.tracing.active();
    const attributes = { topic, partition, records };
    const span = parent && this.tracing.start("append", { parent, attributes });
    if (!span) return await append(options);
    const { context } = span;
    let failure: string | null = null;
    try {
      return await append({
        ...options,
        onAssigned: (from) => {
          const at = this.clock.now();
          this.#of(topic, partition).add([{ from, to: from + records, at, context }]);
          options.onAssigned?.(from);
        },
      });
    } catch (error) {
      failure = (error as Error).message;
      throw error;
    } finally {
      span.end(failure);
    }
  }

  #of(topic: string, partition: number): TracedQueue {
    const name = `${topic}-${partition}`;
    let queue = this.#appended.get(name);
    if (!queue) this.#appended.set(name, queue = new TracedQueue());
    return queue;
  }

  /** Adds what the records of an answer came with. */
  read(topic: string, partition: number, offset: number, answer: ReadAnswer): ReadAnswer {
    const last = answer.batches.at(-1);
    if (!last) return answer;
    const traces = this.#of(topic, partition).within(offset, batchInfo(last).lastOffset + 1);
    return traces.length > 0 ? { ...answer, traces } : answer;
  }

  /** Writes a commit within a span, if it is traced; what its records came with is known no longer. */
  async commit(
    input: string,
    commit: Commit,
    write: () => Promise<CommitOutcome>,
  ): Promise<CommitOutcome> {
    const parent = commit.trace ?? null;
    const span = parent && this.tracing.start("log write", { parent });
    const outcome = await write();
    span?.end(outcome === "committed" ? null : outcome);
    if (outcome === "committed") {
      for (const { partition, offset } of commit.positions) this.#of(input, partition).take(offset);
    }
    return outcome;
  }
}
