import { type LogSession, LostError, type ReadAnswer } from "../log/mod.ts";
import type { Committable } from "../engine/pending.ts";
import { traceRead, withTraces } from "../engine/traced_read.ts";
import { Committer } from "../engine/fold_and_commit.ts";
import { endWith, type Reason, TracedQueue } from "../types/mod.ts";
import { CommitStatistics, Durations } from "../engine/durations.ts";
import { addCause, type RecoveryCause } from "../engine/figures.ts";
import type { JobContext } from "./job_context.ts";
import { QueryProcessor } from "./query_processor.ts";
import { supervise, together } from "../engine/supervise.ts";
import { untilAborted } from "../engine/waiters.ts";

const READ_BYTES = 64 * 1024;
/** Nothing is due between queries: a read ends when one comes, or with its signal. */
const READ_WAIT_MS = 10_000;

/** Queries of a batch that are answered. */
interface Answered {
  readonly readAt: number;
  readonly queries: number;
}

/** Answers the query topic: claims it, looks up, commits results and positions. */
export class QueryWorker {
  commits = 0;
  recoveries = 0;
  processors: readonly QueryProcessor[] = [];
  readonly committed = new CommitStatistics();
  /** From reading queries until their results are committed, of each of them. */
  readonly latency = new Durations();
  causes: readonly RecoveryCause[] = [];
  /** By processor: queries that are answered and not committed yet, by when their batch was read. */
  readonly #answeredAt = new WeakMap<QueryProcessor, Answered[]>();
  /** By processor: what is answered and traced, until its commit. */
  readonly #traced = new WeakMap<QueryProcessor, TracedQueue>();
  #answeredBefore = 0;
  #invalidBefore: ReadonlyMap<Reason, number> = new Map();

  constructor(readonly job: JobContext) {}

  get answered(): number {
    return this.processors.reduce((n, p) => n + p.answered, this.#answeredBefore);
  }

  /** Invalid queries by reason. */
  get invalid(): ReadonlyMap<Reason, number> {
    const sums = new Map(this.#invalidBefore);
    for (const [reason, n] of this.processors.flatMap((p) => [...p.invalid])) {
      sums.set(reason, (sums.get(reason) ?? 0) + n);
    }
    return sums;
  }

  /** Runs until the signal asks it to stop; then commits what is pending. */
  run(stop: AbortSignal): Promise<void> {
    const { clock, chance, settings, wiring, conditions } = this.job;
    return supervise((begun) => this.#session(stop, begun), stop, {
      name: `Queries of ${wiring.queries.topic}`,
      clock,
      chance,
      attempts: settings.restartAttempts,
      retries: settings.logRetries,
      progress: () => this.commits,
      onRecovery: (cause) => {
        this.recoveries++;
        this.causes = addCause(this.causes, { at: clock.now(), cause });
      },
      conditions: conditions.reporter("queries"),
      condition: "queries",
    });
  }

  async #session(stop: AbortSignal, begun: () => void): Promise<void> {
    const { job } = this;
    const { wiring } = job;
    do {
      const session = await job.queryLog.claim(wiring.queries.topic, undefined, stop);
      begun();
      try {
        // Other processes may have all partitions.
        if (session.partitions.length === 0) {
          await untilAborted(AbortSignal.any([stop, session.ending]));
        } else await this.#answerAll(session, stop);
      } finally {
        session.close();
      }
    } while (!stop.aborted);
  }

  async #answerAll(session: LogSession, stop: AbortSignal): Promise<void> {
    const { job } = this;
    const { wiring, topics } = job;
    this.#answeredBefore = this.answered;
    this.#invalidBefore = this.invalid;
    this.processors = session.partitions.map(({ partition, committed }) =>
      new QueryProcessor(
        partition,
        job.codec,
        job.owners,
        {
          ...topics,
          input: wiring.queries.topic,
          results: job.queryResults,
          partitionsOf: (topic) => job.queryLog.partitionsOf(topic),
        },
        committed,
        (p, first, outcomes) => job.queryWaiters?.deliver(p, first, outcomes),
      )
    );
    const partitions = this.processors.map((p) => this.#committableOf(p));
    const { queryCommitIntervalMs } = job.settings;
    const committer = new Committer(
      session,
      partitions,
      queryCommitIntervalMs,
      job.clock,
      this.committed,
      undefined,
      job.tracing,
    );
    const read = new AbortController();
    await together([
      async (failed) => {
        const signal = AbortSignal.any([stop, failed, session.ending]);
        await together(
          this.processors.map((p) => (sibling) =>
            this.#answerLoop(session, p, committer, AbortSignal.any([signal, sibling]))
          ),
        );
        read.abort();
      },
      (failed) => committer.run(AbortSignal.any([failed, read.signal]), stop),
    ]);
    await committer.commit();
  }

  async #answerLoop(
    session: LogSession,
    processor: QueryProcessor,
    committer: Committer,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, tracing } = this.job;
    while (!signal.aborted) {
      await committer.room(signal);
      const options = { maxBytes: READ_BYTES, waitMs: READ_WAIT_MS, signal };
      const askedAt = tracing ? clock.now() : 0;
      const answer = await session.read(processor.partition, processor.position, options);
      if (answer.batches.length === 0) continue;
      const span = tracing ? this.#trace(processor, answer, askedAt) : null;
      const answering = this.#answerBatches(processor, answer.batches, signal);
      if (span) endWith(span, answering);
      await answering;
      committer.changed();
    }
  }

  async #answerBatches(
    processor: QueryProcessor,
    batches: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<void> {
    for (const batch of batches) {
      if (signal.aborted) break;
      const [readAt, before] = [this.job.clock.monotonic(), processor.answered];
      try {
        await processor.answer(batch, signal);
      } catch (error) {
        // An owner may be in a process that waits for this one: what is answered is committed, the rest later.
        if (!(error instanceof LostError) || !signal.aborted) throw error;
        return;
      }
      this.#answeredOf(processor).push({ readAt, queries: processor.answered - before });
    }
  }

  #trace(processor: QueryProcessor, answer: ReadAnswer, askedAt: number) {
    let queue = this.#traced.get(processor);
    if (!queue) this.#traced.set(processor, queue = new TracedQueue());
    const { partition, position: offset, topics: { input: topic } } = processor;
    const read = { topic, partition, offset, askedAt, answer };
    return traceRead(this.job.tracing!, queue, { work: "answer", ...read });
  }

  #answeredOf(processor: QueryProcessor): Answered[] {
    let answered = this.#answeredAt.get(processor);
    if (!answered) this.#answeredAt.set(processor, answered = []);
    return answered;
  }

  #committableOf(processor: QueryProcessor): Committable {
    let underWay: Answered[] = [];
    return {
      partition: processor.partition,
      get pendingBytes() {
        return processor.pendingBytes;
      },
      take: () => {
        const pending = processor.take();
        if (pending) underWay.push(...this.#answeredOf(processor).splice(0));
        const traced = this.#traced.get(processor);
        return pending && traced ? withTraces(pending, traced) : pending;
      },
      acknowledge: (pending) => {
        const now = this.job.clock.monotonic();
        for (const { readAt, queries } of underWay) this.latency.add(now - readAt, queries);
        underWay = [];
        processor.acknowledge(pending);
        this.commits++;
      },
    };
  }
}
