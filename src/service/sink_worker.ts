import { getLogger } from "@logtape/logtape";
import {
  type ConsumableLog,
  DamagedBatchError,
  OffsetOutOfRangeError,
  OtherLogError,
  type ReadAnswer,
  StopError,
  type TopicConsumer,
} from "../log/mod.ts";
import { isNoRoom } from "../kv/mod.ts";
import {
  batchInfo,
  type Chance,
  type Clock,
  decodeBatch,
  decodeUtf8,
  InvalidRecordError,
  isIntact,
} from "../types/mod.ts";
import type { ConditionReporter } from "../engine/conditions.ts";
import { supervise, together } from "../engine/supervise.ts";
import { orAborted, Waiters } from "../engine/waiters.ts";
import { progressFrom, type SinkProgress } from "./sink_progress.ts";
import type { NamedSink } from "./streams.ts";

const log = getLogger(["stockflow", "sink"]);

const READ_BYTES = 256 * 1024;
/** A read ends when something is committed, or with its signal. */
const READ_WAIT_MS = 10_000;
/** The same while the job stops: nothing more is committed. */
const LAST_READ_WAIT_MS = 100;
const BACK_OFF_FIRST_MS = 100;
const BACK_OFF_MAX_MS = 10_000;
/** The condition's name. */
const SINK = "sink";

export interface SinkWorkerOptions<T = unknown> {
  readonly sink: NamedSink<T>;
  readonly topic: string;
  readonly log: ConsumableLog;
  readonly parse: (value: string) => T;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly conditions: ConditionReporter;
  /** Time between two commits of its offsets, in ms. */
  readonly commitIntervalMs: number;
  /** Calls in a row that may fail with the same values before the job stops; 0 = without end. */
  readonly attempts: number;
  /** A call that takes longer, in ms, is reported. */
  readonly hangMs: number;
  /** Recoveries in a row from errors of the log; see supervise. */
  readonly restartAttempts: number;
  readonly logRetries: number;
}

/** Values that stand one behind the other in a partition. */
interface Run {
  readonly offset: number;
  readonly values: unknown[];
}

/** What is known of a sink, for metrics. */
export interface SinkFigures {
  readonly name: string;
  readonly topic: string;
  /** Values and failed calls since the start of the process. */
  readonly delivered: number;
  readonly failures: number;
  /** Records that were removed before they were delivered. */
  readonly lost: number;
  readonly partitions: readonly {
    readonly partition: number;
    readonly committed: number;
    /** Records that were committed and not delivered; null = not known. */
    readonly lag: number | null;
  }[];
}

/** Gives a sink in the process what was committed to its topic; see ProcessSink. */
export class SinkWorker {
  readonly #partitions = new Map<number, SinkProgress>();
  readonly #failing = new Set<number>();
  readonly #progress = new Waiters();
  readonly #over = new AbortController();
  readonly #draining = new AbortController();
  #consumer: TopicConsumer | null = null;
  #commits = 0;
  #delivered = 0;
  #failures = 0;
  #lost = 0;

  constructor(readonly options: SinkWorkerOptions) {}

  get name(): string {
    return this.options.sink.name;
  }

  get topic(): string {
    return this.options.topic;
  }

  figures(): SinkFigures {
    return {
      name: this.name,
      topic: this.topic,
      delivered: this.#delivered,
      failures: this.#failures,
      lost: this.#lost,
      partitions: [...this.#partitions].map(([partition, { next, committed }]) => {
        const end = this.#consumer?.endOf(partition) ?? null;
        return { partition, committed, lag: end === null ? null : Math.max(0, end - next) };
      }),
    };
  }

  /** First offset of a partition that is not delivered for certain; what retention leaves. */
  neededFrom(partition: number): number {
    return this.#partitions.get(partition)?.committed ?? 0;
  }

  /** Before the job writes anything: a sink that is new begins here. */
  prepare(): Promise<void> {
    const { topic, sink: { name, offsetReset }, log } = this.options;
    return log.prepareConsumer({ topic, name, offsetReset });
  }

  /**
   * Runs until the signal is aborted, or until everything is delivered behind a call of {@link drain}.
   *
   * @throws {StopError} when the sink has failed too often, or the log cannot be read
   */
  run(stop: AbortSignal): Promise<void> {
    const { clock, chance, conditions, restartAttempts, logRetries } = this.options;
    const signal = AbortSignal.any([stop, this.#over.signal]);
    return supervise((begun) => this.#session(signal, begun), signal, {
      name: `Sink ${this.name} of ${this.topic}`,
      clock,
      chance,
      attempts: restartAttempts,
      retries: logRetries,
      progress: () => this.#commits,
      conditions,
      condition: SINK,
    });
  }

  /** Nothing more is committed: the run ends when all of it is delivered, or at once where it has not begun. */
  drain(): void {
    this.#draining.abort("draining"); // without a reason an error with a stack is made
    if (!this.#consumer) this.#over.abort("over");
  }

  /** Resolves when everything that is committed now is delivered, or the signal is aborted. */
  async settled(signal: AbortSignal): Promise<void> {
    const isBehind = () =>
      !this.#consumer ||
      [...this.#partitions].some(([partition, { next, underWay }]) =>
        underWay !== null || next < this.#consumer!.endOf(partition)!
      );
    while (!signal.aborted && isBehind()) await this.#progress.wait(signal);
  }

  async #session(stop: AbortSignal, begun: () => void): Promise<void> {
    const { topic, sink: { name }, log } = this.options;
    // One that has consumed passes nothing over, also where its offsets were forgotten with their topic.
    const offsetReset = this.#partitions.size > 0 ? "earliest" : this.options.sink.offsetReset;
    const consumer = await log.consume({ topic, name, offsetReset }, stop);
    begun();
    this.#consumer = consumer;
    try {
      for (const [partition, committed] of consumer.committed) this.#begin(partition, committed);
      this.#progress.wake();
      const delivered = new AbortController();
      await together([
        async (failed) => {
          const signal = AbortSignal.any([stop, failed, consumer.ended]);
          await together(
            [...consumer.committed.keys()].map((partition) => (sibling) =>
              this.#deliverAll(consumer, partition, AbortSignal.any([signal, sibling]))
            ),
          );
          delivered.abort("delivered");
        },
        (failed) => this.#commitAll(consumer, AbortSignal.any([failed, delivered.signal])),
      ]);
      if (!stop.aborted) consumer.ended.throwIfAborted();
    } catch (error) {
      // What was delivered and not committed may not be what now stands there.
      if (error instanceof OtherLogError) this.#forgetUncommitted();
      throw error;
    } finally {
      for (const [p, progress] of this.#partitions) {
        progress.end = consumer.endOf(p) ?? progress.end;
      }
      this.#consumer = null;
      consumer.close();
    }
  }

  #forgetUncommitted(): void {
    for (const progress of this.#partitions.values()) progress.next = progress.committed;
  }

  /** What this process has delivered already is not delivered again, though its commit was lost. */
  #begin(partition: number, committed: number): void {
    const consumer = this.#consumer!;
    const before = this.#partitions.get(partition);
    if (!before || consumer.begun?.has(partition)) {
      if (before) this.#loseRest(partition, before, committed);
      const wake = () => this.#progress.wake();
      const progress = progressFrom(committed, before?.underWay ?? null, wake);
      return void this.#partitions.set(partition, progress);
    }
    const end = consumer.endOf(partition) ?? committed;
    before.next = Math.max(committed, Math.min(before.next, end));
    before.committed = committed;
  }

  /** What the log before held and was not delivered is gone with it. */
  #loseRest(partition: number, { next: from, end }: SinkProgress, next: number): void {
    const { topic, name } = this;
    const lost = Math.max(0, end - from);
    this.#lost += lost;
    log.error(
      "Sink {name}: {topic}-{partition} is another log than the one that it was given up to offset {from}, of which " +
        "{lost} records were not delivered; it goes on at offset {next} of this one",
      { name, topic, partition, from, lost, next },
    );
  }

  // ---- delivery ----

  async #deliverAll(
    consumer: TopicConsumer,
    partition: number,
    signal: AbortSignal,
  ): Promise<void> {
    const progress = this.#partitions.get(partition)!;
    await orAborted(progress.underWay, signal);
    while (!signal.aborted) {
      const { batches, endOffset } = await this.#read(consumer, partition, progress, signal);
      for (const batch of batches) {
        const end = batchInfo(batch).lastOffset + 1;
        if (end <= progress.next) continue;
        for (const run of this.#runsOf(batch, partition, progress.next)) {
          await this.#deliver(run, partition, progress, signal);
          if (signal.aborted) return;
        }
        this.#advance(progress, end);
      }
      const isAtEnd = batches.length === 0 && endOffset === progress.next;
      if (isAtEnd && this.#draining.signal.aborted) return;
    }
  }

  async #read(
    consumer: TopicConsumer,
    partition: number,
    progress: SinkProgress,
    signal: AbortSignal,
  ): Promise<ReadAnswer> {
    const isLast = this.#draining.signal.aborted;
    try {
      return await consumer.read(partition, progress.next, {
        maxBytes: READ_BYTES,
        waitMs: isLast ? LAST_READ_WAIT_MS : READ_WAIT_MS,
        signal: isLast ? signal : AbortSignal.any([signal, this.#draining.signal]),
      });
    } catch (error) {
      if (!(error instanceof OffsetOutOfRangeError)) throw error;
      this.#skip(partition, progress, error);
      return { batches: [], endOffset: -1 };
    }
  }

  /** Goes on at the first record that the log holds. */
  #skip(partition: number, progress: SinkProgress, { start, end }: OffsetOutOfRangeError): void {
    const { topic, name } = this;
    const from = progress.next;
    if (from < start) {
      this.#lost += start - from;
      log.error(
        "Sink {name}: the records of {topic}-{partition} from offset {from} to {last} were removed before they " +
          "were delivered; it goes on behind them",
        { name, topic, partition, from, last: start - 1 },
      );
    } else {
      log.error(
        "Sink {name}: {topic}-{partition} ends at offset {end}, before {from}, which was to be delivered next: it " +
          "is another log; the sink begins with its first record",
        { name, topic, partition, end, from },
      );
    }
    progress.next = start;
    this.#progress.wake();
  }

  /** The values of a batch from an offset on; what cannot be read is logged, and leaves a gap. */
  #runsOf(batch: Uint8Array, partition: number, from: number): Run[] {
    const { topic, name } = this;
    if (!isIntact(batch)) {
      const where = `${topic}-${partition} at offset ${batchInfo(batch).baseOffset}`;
      throw new DamagedBatchError(
        where,
        `The log is damaged: sink ${name} cannot read ${where}: its CRC is wrong`,
        "restore the log from a copy; skipping the batch would lose what the sink is to be given",
      );
    }
    const runs: Run[] = [];
    for (const { offset, value } of decodeBatch(batch)) {
      if (offset < from) continue;
      const parsed = this.#parse(value);
      if (parsed === null) {
        log.error("Sink {name}: a record of {topic} cannot be read, and is left out: {offset}", {
          name,
          topic,
          offset: `${partition} at ${offset}`,
        });
        continue;
      }
      const last = runs.at(-1);
      if (last && last.offset + last.values.length === offset) last.values.push(parsed.value);
      else runs.push({ offset, values: [parsed.value] });
    }
    return runs;
  }

  /** Null: it is not a value of the stream; somebody else has written it. */
  #parse(value: Uint8Array | null): { readonly value: unknown } | null {
    const text = value && decodeUtf8(value);
    if (text === null) return null;
    try {
      return { value: this.options.parse(text) };
    } catch (error) {
      if (error instanceof InvalidRecordError) return null;
      throw error;
    }
  }

  /** Calls the sink until it has taken the values, or the signal is aborted. */
  async #deliver(
    run: Run,
    partition: number,
    progress: SinkProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, chance, attempts, conditions } = this.options;
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#call(run, partition, progress, signal);
        if (signal.aborted) return;
        if (this.#failing.delete(partition) && this.#failing.size === 0) conditions.clear(SINK);
        return;
      } catch (error) {
        const { message } = error as Error;
        const { topic, name } = this;
        const where = `${topic}-${partition} at offset ${run.offset}`;
        this.#failures++;
        log.error("Sink {name} failed with {count} values of {where}: {message}", {
          name,
          where,
          message,
          count: run.values.length,
        });
        if (++failures === attempts) {
          throw new StopError(
            `Sink ${name} failed ${failures} times with ${where}: ${message}`,
            "mend what it does; sink.attempts sets how often it is tried",
            { cause: error },
          );
        }
        this.#report(partition, `it fails with ${where}: ${message}`);
        const wait = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** (failures - 1));
        await clock.sleep(wait * (0.5 + chance()), signal);
      }
    }
  }

  async #call(
    { offset, values }: Run,
    partition: number,
    progress: SinkProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const { sink, clock, hangMs } = this.options;
    const taken = () => {
      this.#delivered += values.length;
      this.#advance(progress, Math.max(progress.next, offset + values.length));
    };
    const answer = sink.accept(values, { partition, offset, signal });
    if (!(answer instanceof Promise)) return taken();
    const over = new AbortController();
    const ended = answer.then(taken).finally(() => {
      over.abort("over");
      progress.underWay = null;
      this.#progress.wake();
    });
    progress.underWay = ended.catch(() => {});
    void clock.sleep(hangMs, over.signal).then(() => {
      if (over.signal.aborted) return;
      const where = `${this.topic}-${partition} at offset ${offset}`;
      this.#report(partition, `it has not taken ${where} for ${hangMs} ms (watchdog.timeout.ms)`);
    });
    await orAborted(ended, signal);
  }

  #report(partition: number, what: string): void {
    this.#failing.add(partition);
    const reason = `Sink ${this.name} is behind: ${what}`;
    this.options.conditions.set(SINK, { reason, blocks: "nothing" });
  }

  #advance(progress: SinkProgress, next: number): void {
    progress.next = next;
    this.#progress.wake();
  }

  // ---- commits ----

  /** Commits what is delivered, from time to time and at the end. */
  async #commitAll(consumer: TopicConsumer, over: AbortSignal): Promise<void> {
    while (!over.aborted) {
      if (this.#uncommitted().size === 0) await this.#progress.wait(over);
      await this.options.clock.sleep(this.options.commitIntervalMs, over);
      await this.#commit(consumer);
    }
    await this.#commit(consumer);
  }

  #uncommitted(): Map<number, number> {
    const behind = [...this.#partitions].filter(([, { next, committed }]) => next !== committed);
    return new Map(behind.map(([partition, { next }]) => [partition, next]));
  }

  async #commit(consumer: TopicConsumer): Promise<void> {
    const offsets = this.#uncommitted();
    if (offsets.size === 0) return;
    try {
      await consumer.commit(offsets);
    } catch (error) {
      if (isNoRoom(error)) return; // the disk is reported; it is tried again
      throw error;
    }
    for (const [partition, offset] of offsets) this.#partitions.get(partition)!.committed = offset;
    this.#commits++;
  }
}
