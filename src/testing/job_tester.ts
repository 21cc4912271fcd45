import { formatOf, type ParameterKey } from "../parameters/mod.ts";
import { Pipeline, type RunningJob } from "../service/mod.ts";
import { openKvInMemory } from "../kv/mod.ts";
import { type Chance, type Clock, codecOf, systemChance, systemClock } from "../types/mod.ts";
import { CollectingSink } from "./collecting_sink.ts";
import { JobFailedError, TimeoutError } from "./errors.ts";
import { isManual, type ManualLog } from "./manual_log.ts";

export interface TestOptions {
  /** The job's time; the machine's by default. */
  readonly clock?: Clock;
  readonly chance?: Chance;
}

const TIMEOUT_MS = 10_000;

/** A test waits for commits, and ends with the first error. */
const TEST_PARAMETERS: Partial<Record<ParameterKey, string>> = {
  "commit.interval.ms": "1",
  "restart.attempts": "0",
  "sink.attempts": "1",
};

/**
 * Runs a job for a test: the real worker, core and store, all in memory and in this thread.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ItemTransactionJob, type OutputStream } from "../service/mod.ts";
 * import { Parameters } from "../parameters/mod.ts";
 * import type { TransactionResult } from "../types/mod.ts";
 * import { CollectingSink } from "./collecting_sink.ts";
 * import { ManualSource } from "./manual_source.ts";
 *
 * const transactions = ManualSource.ofTransactions();
 * const queries = ManualSource.ofQueries();
 * const results = new CollectingSink<TransactionResult>();
 *
 * class TestJob extends ItemTransactionJob {
 *   override readTransactionStream = () => transactions.stream;
 *   override readQueryStream = () => queries.stream;
 *   override writeTransactionResults(_: Parameters, stream: OutputStream<TransactionResult>) {
 *     stream.addSink(results);
 *   }
 *   override writeQueryOutput() {}
 *   override writeTransactionSummaries() {}
 * }
 *
 * await using tester = await JobTester.start(
 *   new TestJob().createApplicationPipeline(Parameters.of()),
 * );
 * const purchase = { transactionId: 1n, ts: 2, itemId: "item_1", quantity: -5 };
 * await transactions.sendRecord(purchase);
 * assertEquals(await results.poll(), { transaction: purchase, success: false });
 * await tester.stop();
 * assertEquals(results.isEmpty(), true);
 * ```
 */
export class JobTester {
  private constructor(
    readonly job: RunningJob,
    readonly manual: readonly ManualLog[],
    readonly clock: Clock,
  ) {
    if (manual.length > 0) void this.#endWhenDrained();
  }

  /**
   * Starts a pipeline without waiting for its end. Whatever its parameters say, it commits at once and
   * fails at the first error.
   */
  static async start(
    { params, wiring }: Pipeline,
    { clock = systemClock, chance = systemChance }: TestOptions = {},
  ): Promise<JobTester> {
    const { transactions, queries, results, queryResults, summaries, deadLetterTopic } = wiring;
    const manual = [...new Set([transactions.opener, queries.opener])]
      .filter((opener) => opener !== undefined).filter(isManual);
    const written = [results, queryResults, summaries].map((stream) => stream.writtenTopic);
    const outputs = [...written, deadLetterTopic]
      .filter((topic) => topic !== null);
    const codec = codecOf(formatOf(params));
    for (const log of manual) log.configure({ codec, clock, chance, outputs });
    const job = await new Pipeline(params.with(TEST_PARAMETERS), wiring)
      .start("test", { clock, chance, openKv: openKvInMemory });
    for (const { sinks } of [results, queryResults, summaries]) {
      for (const sink of sinks) if (sink instanceof CollectingSink) sink.follow(job.finished);
    }
    return new JobTester(job, manual, clock);
  }

  /** Settles when the job has ended: all sources are finished, or it failed. */
  get finished(): Promise<void> {
    return this.job.finished;
  }

  /**
   * Resolves when everything that was sent is committed, and given to the sinks: what a sink does not have now, does
   * not come.
   *
   * @throws {TimeoutError} when that takes longer than `timeoutMs`
   * @throws {JobFailedError} when the job failed instead
   */
  async settle(timeoutMs: number = TIMEOUT_MS): Promise<void> {
    const over = new AbortController();
    let failed: JobFailedError | null = null;
    this.finished.catch((cause) => {
      failed = new JobFailedError(`The job has failed: ${(cause as Error).message}`, { cause });
      over.abort("failed"); // without a reason an error with a stack is made
    });
    let isLate = false;
    void this.clock.sleep(timeoutMs, over.signal).then(() => {
      isLate = !over.signal.aborted;
      over.abort("late");
    });
    // Sources first: what they brought is in the topics of the sinks then.
    await Promise.all(this.manual.map((log) => log.settled(over.signal)));
    await Promise.all(this.job.sinks.map((sink) => sink.settled(over.signal)));
    over.abort("settled");
    if (failed) throw failed;
    if (isLate) throw new TimeoutError(`The job did not come to rest within ${timeoutMs} ms`);
  }

  async #endWhenDrained(): Promise<void> {
    await Promise.all(this.manual.map((log) => log.drained));
    await this.job.stop();
  }

  /**
   * Finishes all sources, and waits until the job has put out everything and ended.
   *
   * @throws {Error} why the job failed, if it did
   */
  async stop(): Promise<void> {
    if (this.manual.length === 0) void this.job.stop();
    for (const log of this.manual) void log.finish().catch(() => {});
    await this.finished;
  }

  /** Ends a job that still runs, such as after an assertion that failed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.job.stop();
  }
}
