import {
  type ConsumableLog,
  type ConsumerSpec,
  EmbeddedLog,
  ForwardingSession,
  type Log,
  type LogOpener,
  PlainLog,
  type TopicConsumer,
} from "../log/mod.ts";
import { openKvInMemory } from "../kv/mod.ts";
import type { Commit, CommitOutcome, LogSession, ReadAnswer, ReadOptions } from "../log/mod.ts";
import { batchInfo, type Chance, type Clock, type Codec, type NewRecord } from "../types/mod.ts";
import { NO_TIME } from "../wasm/mod.ts";

/** The watermark behind the last record: every window ends before it, and none can begin after. */
const END_OF_TIME = 2n ** 62n;

/** What the source says of time, at a place in a partition. */
interface Mark {
  /** All records below it were sent before. */
  readonly offset: number;
  readonly watermark: bigint;
}

export interface ManualLogOptions {
  readonly codec: Codec;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Topics that the job writes to. */
  readonly outputs: readonly string[];
}

const MANUAL = new WeakSet<LogOpener>();

/** Whether a log is one that a test feeds. */
export function isManual(log: LogOpener): log is ManualLog {
  return MANUAL.has(log);
}

/** A log in memory with one input topic, whose watermarks stand between its records. */
export class ManualLog extends PlainLog implements LogOpener, ConsumableLog {
  #log: EmbeddedLog | null = null;
  #options: ManualLogOptions | null = null;
  readonly #marks: readonly Mark[][];
  readonly #waiting = new Set<() => void>();
  /** Offset and watermark that were committed last, by partition. */
  readonly #committed: { offset: number; watermark: bigint }[];
  /** Sends wait for the one before, so that no batch reaches over a watermark. */
  #sent: Promise<unknown> = Promise.resolve();
  #finished = false;
  /** Those who wait until everything is committed. */
  readonly #settling = new Set<() => void>();
  readonly #drained = Promise.withResolvers<void>();

  constructor(
    readonly topic: string,
    readonly partitions: number,
    /** Whether positions carry a watermark: those of transactions do. */
    readonly hasTime: boolean,
  ) {
    super();
    MANUAL.add(this);
    this.#marks = Array.from({ length: partitions }, () => []);
    this.#committed = Array.from(
      { length: partitions },
      () => ({ offset: 0, watermark: NO_TIME }),
    );
  }

  // ---- for the test ----

  /** To be called before the job opens the log. */
  configure(options: ManualLogOptions): void {
    if (this.#options) throw new Error(`The source of ${this.topic} was used by a job already`);
    this.#options = options;
  }

  /** Adds a record behind everything that was sent before; resolves when the log has it. */
  send(recordOf: (codec: Codec, clock: Clock) => NewRecord & { partition: number }): Promise<void> {
    return this.#next(async (log, { codec, clock }) => {
      const { partition, ...record } = recordOf(codec, clock);
      await log.append(this.topic, partition, [record]);
    });
  }

  /** Sets a watermark behind everything that was sent before. */
  mark(watermark: bigint): Promise<void> {
    return this.#next((log) => this.#mark(log, watermark));
  }

  /** Ends the log: nothing can be sent any more, and all windows are fired. */
  finish(): Promise<void> {
    if (this.#finished) return this.#sent as Promise<void>;
    const finished = this.#next((log) => {
      this.#mark(log, END_OF_TIME);
      this.#look();
    });
    this.#finished = true;
    return finished;
  }

  /** Resolves when the log is finished, and the job has committed all of it. */
  get drained(): Promise<void> {
    return this.#drained.promise;
  }

  /** Resolves when everything that was sent before is committed, or the signal is aborted. */
  async settled(signal: AbortSignal): Promise<void> {
    await this.#sent;
    const committed = new Promise<void>((resolve) => {
      const look = () => {
        if (!signal.aborted && !this.#isCommitted(this.watermarkAt)) return;
        this.#settling.delete(look);
        resolve();
      };
      this.#settling.add(look);
      signal.addEventListener("abort", look);
      look();
    });
    await committed;
  }

  #isCommitted(watermarkAt: (partition: number, offset: number) => bigint): boolean {
    return this.#committed.every(({ offset, watermark }, partition) => {
      const { end } = this.#log!.bounds(this.topic, partition);
      const isFired = !this.hasTime || watermark >= watermarkAt.call(this, partition, end);
      return offset === end && isFired;
    });
  }

  #next(
    send: (log: EmbeddedLog, options: ManualLogOptions) => void | Promise<void>,
  ): Promise<void> {
    if (!this.#log) {
      return Promise.reject(new Error("The test has not started: JobTester.start comes first"));
    }
    if (this.#finished) {
      return Promise.reject(new Error(`The source of ${this.topic} is finished`));
    }
    const sent = this.#sent.then(() => send(this.#log!, this.#options!));
    this.#sent = sent.catch(() => {});
    return sent;
  }

  #mark(log: EmbeddedLog, watermark: bigint): void {
    this.#marks.forEach((marks, partition) =>
      marks.push({ offset: log.bounds(this.topic, partition).end, watermark })
    );
    for (const wake of this.#waiting) wake();
  }

  // ---- for the job ----

  async open(): Promise<Log> {
    if (!this.#options) throw new Error("A manual source works in a job of JobTester.start alone");
    const { clock, chance, outputs } = this.#options;
    this.#log = await EmbeddedLog.open(await openKvInMemory(), {
      topics: Object.fromEntries([this.topic, ...outputs].map((t) => [t, this.partitions])),
      inputs: [this.topic],
      clock,
      chance,
    });
    return this;
  }

  async close(): Promise<void> {
    await this.#log?.close();
  }

  existing(): Promise<null> {
    return Promise.resolve(null);
  }

  moveAway(): Promise<null> {
    return Promise.resolve(null);
  }

  override get id(): string {
    return this.#log!.id;
  }

  partitionsOf(topic: string): number {
    return this.#log!.partitionsOf(topic);
  }

  async prepareConsumer(spec: ConsumerSpec): Promise<void> {
    await this.#log!.prepareConsumer(spec);
  }

  consume(spec: ConsumerSpec): Promise<TopicConsumer> {
    return this.#log!.consume(spec);
  }

  async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    return new ManualSession(this, await this.#log!.claim(input, partitions));
  }

  /** The watermark that holds at an offset. */
  watermarkAt(partition: number, offset: number): bigint {
    const passed = this.#marks[partition]!.filter((mark) => mark.offset <= offset);
    return passed.reduce((max, m) => m.watermark > max ? m.watermark : max, NO_TIME);
  }

  /** Where the next watermark behind an offset stands. */
  nextMark(partition: number, offset: number): number {
    return this.#marks[partition]!.find((mark) => mark.offset > offset)?.offset ?? Infinity;
  }

  /** Calls `wake` at the next watermark; the answer takes that back. */
  onMark(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  onCommitted({ positions }: Commit): void {
    for (const { partition, offset, watermark } of positions) {
      this.#committed[partition] = { offset, watermark };
    }
    this.#look();
  }

  #look(): void {
    for (const look of this.#settling) look();
    if (this.#finished && this.#isCommitted(() => END_OF_TIME)) this.#drained.resolve();
  }
}

/** Reads stop at the next watermark, so that it is in force exactly between two records. */
class ManualSession extends ForwardingSession {
  /** The watermark that was given last, by partition. */
  readonly #given = new Map<number, bigint>();

  constructor(readonly log: ManualLog, session: LogSession) {
    super(session);
  }

  override async read(
    partition: number,
    offset: number,
    options: ReadOptions,
  ): Promise<ReadAnswer> {
    const marked = new AbortController();
    const forget = this.log.onMark(() => marked.abort());
    const watermark = this.log.watermarkAt(partition, offset);
    const news = watermark > (this.#given.get(partition) ?? NO_TIME);
    this.#given.set(partition, watermark);
    const signals = options.signal ? [options.signal, marked.signal] : [marked.signal];
    try {
      const answer = await super.read(partition, offset, {
        ...options,
        waitMs: news ? 0 : options.waitMs,
        signal: AbortSignal.any(signals),
      });
      const bound = this.log.nextMark(partition, offset);
      const batches = answer.batches.filter((batch) => batchInfo(batch).baseOffset < bound);
      return { ...answer, batches, watermark };
    } finally {
      forget();
    }
  }

  override async commit(commit: Commit): Promise<CommitOutcome> {
    const outcome = await super.commit(commit);
    if (outcome === "committed") this.log.onCommitted(commit);
    return outcome;
  }
}
