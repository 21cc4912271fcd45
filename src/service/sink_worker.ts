import { getLogger } from "@logtape/logtape";
import {
  type ConsumableLog,
  OffsetOutOfRangeError,
  type ReadAnswer,
  StopError,
  type TopicConsumer,
} from "../log/mod.ts";
import { isNoRoom } from "../kv/mod.ts";
import { batchInfo, type Chance, type Clock } from "../types/mod.ts";
import type { ConditionReporter } from "../engine/conditions.ts";
import { supervise, together } from "../engine/supervise.ts";
import { orAborted, Waiters } from "../engine/waiters.ts";
import { type Run, runsOf } from "./sink_values.ts";
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

/** How far a sink has come in a partition, as long as one consumer is open. */
interface Progress {
  /** Next offset to be delivered. */
  next: number;
  /** Everything below it is delivered, and that is kept. */
  committed: number;
  /** Where the log ended when it was read last. */
  end: number;
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
  readonly #partitions = new Map<number, Progress>();
  /** By partition: a call that has not ended. Nothing more is given of it before, also where another consumer is open. */
  readonly #underWay = new Map<number, Promise<void>>();
  /** By partition: what is reported of it. */
  readonly #failing = new Map<number, string>();
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
      !this.#consumer || this.#underWay.size > 0 ||
      [...this.#partitions].some(([partition, { next }]) =>
        next < this.#consumer!.endOf(partition)!
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
      this.#begin(consumer);
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
        (failed) => this.#commitAll(consumer, failed, delivered.signal),
      ]);
      if (!stop.aborted) consumer.ended.throwIfAborted();
    } finally {
      for (const [p, progress] of this.#partitions) {
        progress.end = consumer.endOf(p) ?? progress.end;
      }
      this.#consumer = null;
      consumer.close();
    }
  }

  /**
   * It goes on at what is committed, though this process may have delivered more: the log may have lost that since, or be
   * another one, or another process may have consumed it. So it is delivered again.
   */
  #begin({ committed, begun }: TopicConsumer): void {
    for (const [partition, before] of this.#partitions) {
      const next = committed.get(partition) ?? null;
      if (next === null || begun?.has(partition)) this.#loseRest(partition, before, next);
    }
    this.#partitions.clear();
    for (const [partition, offset] of committed) {
      this.#partitions.set(partition, { next: offset, committed: offset, end: offset });
    }
    // What failed may be gone, and is reported again if it fails again; a call that hangs does still.
    for (const [partition, what] of [...this.#failing]) {
      if (this.#underWay.has(partition)) this.#report(partition, what);
      else this.#reportOver(partition);
    }
    this.#progress.wake();
  }

  /** What the log before held and was not delivered is gone with it. Without a next offset the partition is, too. */
  #loseRest(partition: number, { next: from, end }: Progress, next: number | null): void {
    const { topic, name } = this;
    const lost = Math.max(0, end - from);
    this.#lost += lost;
    log.error(
      "Sink {name}: {topic}-{partition} {now}. Of the one that it was given up to offset {from}, {lost} records were " +
        "not delivered",
      {
        name,
        topic,
        partition,
        now: next === null
          ? "is not there any more"
          : `is another log now, in which it goes on at offset ${next}`,
        from,
        lost,
      },
    );
  }

  // ---- delivery ----

  async #deliverAll(
    consumer: TopicConsumer,
    partition: number,
    signal: AbortSignal,
  ): Promise<void> {
    const progress = this.#partitions.get(partition)!;
    const reader = { name: this.name, topic: this.topic, parse: this.options.parse };
    await orAborted(this.#underWay.get(partition) ?? null, signal);
    while (!signal.aborted) {
      const { batches, endOffset } = await this.#read(consumer, partition, progress, signal);
      for (const batch of batches) {
        const end = batchInfo(batch).lastOffset + 1;
        if (end <= progress.next) continue;
        for (const run of runsOf(batch, partition, progress.next, reader)) {
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
    progress: Progress,
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
  #skip(partition: number, progress: Progress, { start, end }: OffsetOutOfRangeError): void {
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

  /** Calls the sink until it has taken the values, or the signal is aborted. */
  async #deliver(
    run: Run,
    partition: number,
    progress: Progress,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, chance, attempts } = this.options;
    for (let failures = 0; !signal.aborted;) {
      try {
        await this.#call(run, partition, progress, signal);
        if (signal.aborted) return;
        return this.#reportOver(partition);
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
    progress: Progress,
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
      this.#underWay.delete(partition);
      if (signal.aborted) this.#reportOver(partition); // nobody else waits for its end
      this.#progress.wake();
    });
    this.#underWay.set(partition, ended.catch(() => {}));
    void clock.sleep(hangMs, over.signal).then(() => {
      if (over.signal.aborted) return;
      const where = `${this.topic}-${partition} at offset ${offset}`;
      this.#report(partition, `it has not taken ${where} for ${hangMs} ms (watchdog.timeout.ms)`);
    });
    await orAborted(ended, signal);
  }

  #report(partition: number, what: string): void {
    this.#failing.set(partition, what);
    const reason = `Sink ${this.name} is behind: ${what}`;
    this.options.conditions.set(SINK, { reason, blocks: "nothing" });
  }

  #reportOver(partition: number): void {
    if (!this.#failing.delete(partition) || this.#failing.size > 0) return;
    this.options.conditions.clear(SINK);
  }

  #advance(progress: Progress, next: number): void {
    progress.next = next;
    this.#progress.wake();
  }

  // ---- commits ----

  /**
   * Commits what is delivered, from time to time, and at an end in good order. Behind a failure nothing is committed: what
   * was delivered may not be in the log any more.
   */
  async #commitAll(
    consumer: TopicConsumer,
    failed: AbortSignal,
    delivered: AbortSignal,
  ): Promise<void> {
    const over = AbortSignal.any([failed, delivered]);
    for (let isLast = false; !isLast;) {
      if (this.#uncommitted().size === 0) await this.#progress.wait(over);
      await this.options.clock.sleep(this.options.commitIntervalMs, over);
      if (failed.aborted) return;
      isLast = delivered.aborted;
      await this.#commit(consumer);
    }
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
