// A log in Deno KV, for a job without Kafka. One process writes to it.
//
//   ["log"]                              identity: { version, id, restoredFrom?, idempotencyWindowMs }
//   ["topic", topic]                     { partitions }
//   ["start" | "end", topic, partition]  first offset held; next offset to be given
//   ["batch", topic, partition, base]    a record batch of up to 65,000 bytes
//   ["committed", input, partition]      CommittedPosition
//   ["epoch", input, partition]          number of claims
//   ["consumed", name, topic, partition] next offset of a consumer in the process, see consumer.ts
//   ["note", name, n]                    what belongs to the log and is not records, see notes
//   ["commit"]                           the mark of the last write, see kv/marked_writes.ts
//
// What lies at or above a topic's end is not there for any reader: outputs that are too large for one
// atomic commit are written there first, and become visible when one small commit moves the ends.

import type { ConsumableLog, ConsumerSpec, TopicConsumer } from "./consumer.ts";
import { EmbeddedConsumer } from "./embedded_consumer.ts";
import {
  createLog,
  createTopic,
  type EmbeddedLogOptions,
  FORMAT_VERSION,
  type Identity,
  openWrites,
  positionOf,
  readInputs,
  readOthers,
  type StoredPosition,
  upgradeLog,
} from "./embedded_topics.ts";
import { assertThat, Deadlines, type NewRecord } from "../types/mod.ts";
import type { Kv } from "../kv/kv.ts";
import { LIST_BATCHES, LogWriter, type RetentionLimits } from "./log_writer.ts";
import {
  type ClaimedPartition,
  type Commit,
  type CommitOutcome,
  type LogSession,
  OffsetOutOfRangeError,
  ofTopic,
  type ReadAnswer,
  type ReadOptions,
  type RestoredFrom,
} from "./port.ts";
import { AnsweringLog, type AppendableLog } from "./capabilities.ts";
import { PlainSession } from "./plain.ts";
import { TopicPartition } from "./topic_partition.ts";
import { TracedWrites } from "./traced_writes.ts";
import { NoRoomError, type SoleWrites } from "../kv/mod.ts";
import type { AppendOptions } from "./write_queue.ts";

/** How often a write is tried again for which the disk had no room. */
const ROOM_LOOK_MS = 250;

/** What is wrong with a log that was opened, and what to do. */
export class LogFormatError extends Error {
  override readonly name = "LogFormatError";
}

/** A log that was to be created is there already. */
export class LogExistsError extends Error {
  override readonly name = "LogExistsError";

  constructor(readonly restoredFrom: RestoredFrom | null) {
    super("There is a log already");
  }
}

export class EmbeddedLog extends AnsweringLog implements AppendableLog, ConsumableLog {
  readonly #writer: LogWriter;
  /** Of those who wait for more records. */
  readonly #deadlines: Deadlines;
  /** Null: nothing is traced. */
  readonly #traced: TracedWrites | null;

  private constructor(
    readonly identity: Identity,
    readonly kv: Kv,
    readonly options: EmbeddedLogOptions,
    readonly topics: ReadonlyMap<string, readonly TopicPartition[]>,
    /** Topics that this job or another claims. */
    readonly inputs: readonly string[],
    writes: SoleWrites,
  ) {
    super();
    this.#deadlines = new Deadlines(options.clock);
    this.#traced = options.tracing ? new TracedWrites(options.tracing, options.clock) : null;
    this.#writer = new LogWriter(
      kv,
      writes,
      options.clock,
      (topic, partition) => this.#partition(topic, partition),
    );
  }

  /**
   * Opens the log in a KV, or creates it there.
   *
   * @throws {LogFormatError} when the KV holds another version or other numbers of partitions
   * @throws {LogExistsError} when it is to be restored, and the KV holds a log
   */
  static async open(kv: Kv, options: EmbeddedLogOptions): Promise<EmbeddedLog> {
    const writes = await openWrites(kv, options);
    let { value: identity } = await kv.get<Identity>(["log"]);
    if (identity && options.restore) throw new LogExistsError(identity.restoredFrom ?? null);
    if (!identity) identity = await createLog(writes, options);
    if (!(identity.version >= 1 && identity.version <= FORMAT_VERSION)) {
      throw new LogFormatError(
        `The log is of format ${identity.version}; this program reads formats 1 to ${FORMAT_VERSION}`,
      );
    }
    if (identity.version < FORMAT_VERSION) identity = await upgradeLog(writes, identity);
    const topics = new Map<string, TopicPartition[]>();
    for (const [topic, partitions] of Object.entries(options.topics)) {
      const { value } = await kv.get<{ partitions: number }>(["topic", topic]);
      if (!value) await writes.commit((atomic) => createTopic(atomic, topic, options));
      else if (value.partitions !== partitions) {
        throw new LogFormatError(
          `The log has ${value.partitions} partitions of ${topic}, not ${partitions}; ` +
            "items would change partitions: keep the number, or start with another data folder",
        );
      }
      topics.set(topic, Array.from({ length: partitions }, (_, p) => new TopicPartition(topic, p)));
    }
    await readOthers(kv, topics);
    const inputs = await readInputs(kv, writes, topics, options);
    const log = new EmbeddedLog(identity, kv, options, topics, inputs, writes);
    await log.#writer.reload([...topics.values()].flat());
    return log;
  }

  /** What the log in a KV was created from; null = it holds none. Nothing is written. */
  static async look(kv: Kv): Promise<{ restoredFrom: RestoredFrom | null } | null> {
    const { value } = await kv.get<Identity>(["log"]);
    return value && { restoredFrom: value.restoredFrom ?? null };
  }

  partitionsOf(topic: string): number {
    return this.#partitions(topic).length;
  }

  #partitions(topic: string): readonly TopicPartition[] {
    return ofTopic(this.topics.get(topic), topic);
  }

  #partition(topic: string, partition: number): TopicPartition {
    const found = this.#partitions(topic)[partition];
    if (!found) throw new RangeError(`Topic ${topic} has no partition ${partition}`);
    return found;
  }

  override get id(): string {
    return this.identity.id;
  }

  override get restoredFrom(): RestoredFrom | null {
    return this.identity.restoredFrom ?? null;
  }

  override get idempotencyWindowMs(): number {
    return this.identity.idempotencyWindowMs ?? 0;
  }

  /** First offset held and next offset to be given. */
  bounds(topic: string, partition: number): { start: number; end: number } {
    const { start, end } = this.#partition(topic, partition);
    return { start, end };
  }

  /** Bytes that wait to be written. */
  get waitingBytes(): number {
    return this.#writer.waitingBytes;
  }

  /** Appends that were refused because they waited too long for their turn. */
  get appendTimeouts(): number {
    return this.#writer.timeouts;
  }

  /**
   * Appends records to one partition of a topic. Appends that wait together share batches and commits, and a
   * small one may overtake larger ones: whoever needs an order waits for each append.
   *
   * @returns the first offset, once the records are durable
   * @throws {NoRoomError} when the disk has no room for them, or is to keep what it has; they were not written
   * @throws {WriteFailedError} when they were not written
   * @throws {AppendTimeoutError} when they waited longer than allowed; then they were not written
   */
  append(
    topic: string,
    partition: number,
    records: readonly NewRecord[],
    options: AppendOptions = {},
  ): Promise<number> {
    const tp = this.#partition(topic, partition);
    const refusal = this.options.refusal?.() ?? null;
    if (refusal !== null) {
      return Promise.reject(new NoRoomError(`Cannot write to the log: ${refusal}`));
    }
    const traced = this.#traced;
    if (!traced) return this.#writer.append(tp, records, options);
    return traced.append(
      topic,
      partition,
      records.length,
      options,
      (within) => this.#writer.append(tp, records, within),
    );
  }

  async claim(
    input: string,
    partitions?: readonly number[],
    signal?: AbortSignal,
  ): Promise<LogSession> {
    const wanted = partitions ?? this.#partitions(input).map((p) => p.partition);
    const session = new EmbeddedSession(this, input);
    await session.add(wanted, signal);
    return session;
  }

  /** Claims partitions for a session; see LogSession.add. */
  async take(
    input: string,
    partitions: readonly number[],
    signal?: AbortSignal,
  ): Promise<readonly EmbeddedClaim[]> {
    while (true) {
      try {
        return await this.#take(input, partitions);
      } catch (error) {
        if (!(error instanceof NoRoomError) || !signal || signal.aborted) throw error;
        await this.options.clock.sleep(ROOM_LOOK_MS, signal);
      }
    }
  }

  async #take(input: string, partitions: readonly number[]): Promise<EmbeddedClaim[]> {
    // Claims wait their turn behind the commits under way, so that they see what those left.
    await this.#writer.settle();
    const claims: EmbeddedClaim[] = [];
    for (const partition of partitions) {
      const epoch = await this.#writer.raiseEpoch(["epoch", input, partition]);
      const { value } = await this.kv.get<StoredPosition>(["committed", input, partition]);
      if (!value) throw new LogFormatError(`The log has no position of ${input}-${partition}`);
      // Last: an earlier session may commit what was just appended until its epoch is over.
      const { start, end } = this.#partition(input, partition);
      const claimed = { partition, committed: positionOf(value), logStart: start, logEnd: end };
      claims.push({ claimed, epoch });
    }
    return claims;
  }

  async read(
    topic: string,
    partition: number,
    offset: number,
    options: ReadOptions,
  ): Promise<ReadAnswer> {
    const tp = this.#partition(topic, partition);
    if (offset < tp.start || offset > tp.end) {
      throw new OffsetOutOfRangeError(topic, partition, offset, tp.start, tp.end);
    }
    if (offset === tp.end && options.waitMs > 0) await this.#wait(tp, options);
    if (offset >= tp.end) return { batches: [], endOffset: tp.end };
    const batches = tp.newest(offset, options.maxBytes) ??
      await this.#list(tp, offset, options.maxBytes);
    // Retention moves the start before it removes: what was read meanwhile may begin too late.
    if (offset < tp.start) {
      throw new OffsetOutOfRangeError(topic, partition, offset, tp.start, tp.end);
    }
    const answer = { batches, endOffset: tp.end };
    return this.#traced?.read(topic, partition, offset, answer) ?? answer;
  }

  #wait(tp: TopicPartition, { waitMs, signal }: ReadOptions): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const over = () => {
        inTime();
        isThere();
        signal?.removeEventListener("abort", over);
        resolve();
      };
      const isThere = tp.onMore(over);
      const inTime = this.#deadlines.add(waitMs, over);
      signal?.addEventListener("abort", over);
    });
  }

  async #list(tp: TopicPartition, offset: number, maxBytes: number): Promise<Uint8Array[]> {
    const { end } = tp;
    const prefix = ["batch", tp.topic, tp.partition];
    const before = this.kv.list<Uint8Array>(
      { prefix, end: [...prefix, offset + 1] },
      { reverse: true, limit: 1 },
    );
    let from = offset;
    for await (const entry of before) from = entry.key[3] as number;
    const batches: Uint8Array[] = [];
    let bytes = 0;
    const entries = this.kv.list<Uint8Array>(
      { start: [...prefix, from], end: [...prefix, end] },
      { batchSize: LIST_BATCHES },
    );
    for await (const { value } of entries) {
      batches.push(value);
      bytes += value.length;
      if (bytes >= maxBytes) break;
    }
    return batches;
  }

  /** Commits for a session; see LogSession.commit. */
  commit(
    input: string,
    commit: Commit,
    epochs: readonly Deno.AtomicCheck[],
    signal?: AbortSignal,
  ): Promise<CommitOutcome> {
    const write = () => this.#commit(input, commit, epochs, signal);
    return this.#traced?.commit(input, commit, write) ?? write();
  }

  async #commit(
    input: string,
    commit: Commit,
    epochs: readonly Deno.AtomicCheck[],
    signal?: AbortSignal,
  ): Promise<CommitOutcome> {
    const { clock, computed, refusal } = this.options;
    const isComputed = computed?.includes(input) ?? false;
    const mayWait = () => signal !== undefined && !signal.aborted;
    while (isComputed && mayWait() && (refusal?.() ?? null) !== null) {
      await clock.sleep(ROOM_LOOK_MS, signal);
    }
    while (true) {
      const outcome = await this.#writer.commit(input, commit, epochs);
      if (outcome !== "no room") return outcome;
      if (!mayWait()) return "lost";
      await clock.sleep(ROOM_LOOK_MS, signal);
    }
  }

  /**
   * Writes as little as can be, to see whether the disk has room.
   *
   * @throws {NoRoomError} when it has none
   */
  probe(): Promise<void> {
    return this.#writer.probe();
  }

  /**
   * Removes the oldest batches that are beyond one of the limits and end at or below `bound`.
   *
   * @param bound first offset that must stay readable
   * @returns the first offset that is held now
   */
  retain(
    topic: string,
    partition: number,
    limits: RetentionLimits,
    bound: number,
  ): Promise<number> {
    return this.#writer.retain(this.#partition(topic, partition), limits, bound);
  }

  async prepareConsumer(spec: ConsumerSpec): Promise<void> {
    await this.consume(spec);
  }

  /** One process writes to the log, so it is the one that consumes: where a consumer is new, it begins now. */
  consume(spec: ConsumerSpec): Promise<TopicConsumer> {
    return EmbeddedConsumer.open(this, this.#writer, spec);
  }

  /** The notes of a name, in the order in which they were added. */
  async notes<T>(name: string): Promise<T[]> {
    const entries = await Array.fromAsync(this.kv.list<T>({ prefix: ["note", name] }));
    return entries.map((entry) => entry.value);
  }

  /** Keeps a note with the log. */
  addNote(name: string, value: unknown): Promise<void> {
    return this.#writer.addNote(name, value);
  }

  /** Lets what is under way come to its end, and refuses everything after. */
  async close(): Promise<void> {
    try {
      await this.#writer.close();
    } finally {
      this.#deadlines.close();
      this.kv.close();
    }
  }
}

/** A partition as it was claimed, and what fails once it is claimed again. */
interface EmbeddedClaim {
  readonly claimed: ClaimedPartition;
  readonly epoch: Deno.AtomicCheck;
}

class EmbeddedSession extends PlainSession {
  readonly #claims = new Map<number, EmbeddedClaim>();

  constructor(readonly log: EmbeddedLog, readonly input: string) {
    super();
  }

  get partitions(): readonly ClaimedPartition[] {
    return [...this.#claims.values()].map(({ claimed }) => claimed);
  }

  async add(
    partitions: readonly number[],
    signal?: AbortSignal,
  ): Promise<readonly ClaimedPartition[]> {
    const claims = await this.log.take(this.input, partitions, signal);
    for (const claim of claims) this.#claims.set(claim.claimed.partition, claim);
    return claims.map(({ claimed }) => claimed);
  }

  remove(partitions: readonly number[]): void {
    for (const partition of partitions) this.#claims.delete(partition);
  }

  read(partition: number, offset: number, options: ReadOptions): Promise<ReadAnswer> {
    return this.log.read(this.input, partition, offset, options);
  }

  commit(commit: Commit, signal?: AbortSignal): Promise<CommitOutcome> {
    // Partitions that are not in it may be of another session by now.
    const epochs = commit.positions.map(({ partition }) => {
      const claim = this.#claims.get(partition);
      assertThat(
        claim !== undefined,
        `partition ${partition} is committed by the session that has it`,
      );
      return claim.epoch;
    });
    return this.log.commit(this.input, commit, epochs, signal);
  }
}
