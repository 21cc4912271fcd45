import { OffsetOutOfRangeError, type ReadAnswer, type ReadOptions } from "../log/mod.ts";
import { DamagedBatchError, LostError, StopError } from "../log/mod.ts";
import type { Clock } from "../types/mod.ts";
import type { BatchCrc } from "./committed_metadata.ts";
import { type FetchedBatch, OldFormatError, readFetched } from "./batches.ts";
import { ErrorCode, isTopicGone, isUnavailable, reasonOf, stopErrorOf } from "./client/errors.ts";
import { type KafkaClient, NO_LEADER } from "./client/kafka_client.ts";
import { protocolError } from "./client/internals.ts";
import {
  checkBatches,
  checkEnds,
  type InputTopic,
  LastBatches,
  leaderEpochOf,
  lookAtTopic,
  type ReadBatch,
  type TopicReader,
} from "./log_identity.ts";
import { FetchBuffer } from "./fetch_buffer.ts";
import { heldBack, logBounds } from "./look_at_log.ts";
import { type FetchedFrom, type FetchedPartition, NO_EPOCH } from "./protocol/fetch.ts";

/**
 * Bytes of a partition in one answer, with many partitions and with few. A broker cuts them off in the middle of a
 * batch, which is sent again by the next answer: of 1 MiB with batches of 270 KB that is a fifth.
 */
const PARTITION_BYTES_MIN = 1024 * 1024;
const PARTITION_BYTES_MAX = 2 * 1024 * 1024;
const ANSWER_BYTES = 8 * 1024 * 1024;
/** How long a broker waits for records before it answers that there are none. */
const WAIT_MS = 1000;
/** While a partition is left out because its buffer is full, the others must not keep it waiting. */
const SHORT_WAIT_MS = 5;
/** An answer with fewer bytes of records has not much in it: see FetcherOptions.paceMs. */
const SMALL_BYTES = 512 * 1024;
const BACK_OFF_FIRST_MS = 50;
const BACK_OFF_MAX_MS = 2000;
/** The longest pause between fetches, whatever commit.interval.ms is. */
const PACE_MS_MAX = 100;
/** So often in a row a topic may seem to be gone before the recovery path is taken, which waits for it. */
const GONE_MAX = 5;

export interface FetcherOptions {
  /** Up to which offset there are records for certain, by partition. */
  readonly ends: ReadonlyMap<number, number>;
  readonly client:
    & TopicReader
    & Pick<KafkaClient, "isBroken" | "refresh">
    & Partial<Pick<KafkaClient, "waits" | "frames" | "fetchesById">>;
  readonly topic: InputTopic;
  readonly clock: Clock;
  /**
   * A fetch whose answer is small is followed by the next one so many ms after it began, at the soonest, so that what
   * comes meanwhile goes together. One that has waited so long for a record is followed at once.
   */
  readonly paceMs?: number;
}

/**
 * Reads partitions of a topic ahead, one request per leader at a time. Partitions are fetched once they
 * are asked for.
 */
export class Fetcher {
  readonly #buffers = new Map<number, FetchBuffer>();
  /** Leaders that are being fetched from. */
  readonly #pumps = new Set<string>();
  readonly #closed = new AbortController();
  #roomMade: (() => void)[] = [];
  /** What was read. */
  readonly lastBatches = new LastBatches();

  readonly #ends: Map<number, number>;
  /** Epochs of leaders from before their logs were last looked at; an election since then is noticed by the next fetch. */
  readonly #leaderEpochs = new Map<number, number>();
  /**
   * The batch of each partition that stands highest of all that were read, here or before the claim: a log that still holds
   * it holds all below. Whoever reads from further below again does not lower it.
   */
  readonly #highest = new Map<number, BatchCrc>();

  constructor(readonly options: FetcherOptions) {
    this.#ends = new Map(options.ends);
  }

  /** A partition may be read from now on; up to its end there are records for certain. */
  add(partition: number, end: number, leaderEpoch = NO_EPOCH, last: BatchCrc | null = null): void {
    this.#ends.set(partition, end);
    this.#leaderEpochs.set(partition, leaderEpoch);
    if (last) this.#highest.set(partition, last);
  }

  /** A partition is read no more: what was fetched of it is forgotten. */
  remove(partition: number): void {
    this.#ends.delete(partition);
    this.#leaderEpochs.delete(partition);
    this.#highest.delete(partition);
    this.#buffers.delete(partition);
    this.lastBatches.forget(partition);
    this.#reportRoom();
  }

  /** End of a partition's log as of the last fetch, or of the claim before the first. */
  endOf(partition: number): number | null {
    return this.#buffers.get(partition)?.end ?? this.#ends.get(partition) ?? null;
  }

  /** Ends all reading; whoever waits gets the reason. */
  close(reason: Error): void {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(reason);
    for (const buffer of this.#buffers.values()) buffer.wake();
    this.#reportRoom();
  }

  #buffer(partition: number, position: number): FetchBuffer {
    const known = this.#buffers.get(partition);
    if (known) return known;
    const { clock, client: { frames } } = this.options;
    const stableEnd = this.#ends.get(partition) ?? 0;
    const onRoom = () => this.#reportRoom();
    const buffer = new FetchBuffer({ partition, position, stableEnd, clock, frames, onRoom });
    this.#buffers.set(partition, buffer);
    return buffer;
  }

  async read(
    partition: number,
    offset: number,
    { maxBytes, waitMs, signal, borrows }: ReadOptions,
  ): Promise<ReadAnswer> {
    const buffer = this.#buffer(partition, offset);
    buffer.giveBack();
    buffer.seek(offset);
    buffer.isFollowed ||= offset >= buffer.stableEnd;
    this.#pump(this.#leaderOf(buffer));
    this.#reportRoom(); // whoever fetches may have waited because nothing was wanted
    while (buffer.isEmpty) {
      this.#closed.signal.throwIfAborted();
      buffer.throwFailure();
      // Below the known end there is something to come, however long it takes.
      const atEnd = offset >= buffer.stableEnd;
      const came = await buffer.wait(atEnd ? waitMs : Infinity, signal);
      if (!came || signal?.aborted) break;
    }
    const taken = buffer.take(maxBytes);
    for (const batch of taken) this.lastBatches.add(partition, batch);
    const batches = taken.map(({ bytes }) => bytes);
    if (borrows) buffer.lend(batches);
    return { batches, endOffset: buffer.takeEnd() };
  }

  #leaderOf({ partition }: FetchBuffer): string {
    return this.options.client.leaderOf(this.options.topic.name, partition);
  }

  #reportRoom(): void {
    for (const wake of this.#roomMade.splice(0)) wake();
  }

  // ---- fetching ----

  /** Starts to fetch from a leader, unless that is under way. */
  #pump(nodeId: string): void {
    if (this.#pumps.has(nodeId) || this.#closed.signal.aborted) return;
    this.#pumps.add(nodeId);
    void this.#fetchFrom(nodeId).catch((error) => {
      for (const buffer of this.#buffers.values()) buffer.fail(error as Error, "first");
    });
  }

  /** What ends the fetches from a leader, at once: what is asked for from then on is fetched by others. */
  #pumping(nodeId: string): Disposable {
    return {
      [Symbol.dispose]: () => {
        this.#pumps.delete(nodeId);
        this.options.client.waits?.over(this.#waitOf(nodeId));
      },
    };
  }

  async #fetchFrom(nodeId: string): Promise<void> {
    using _pumping = this.#pumping(nodeId);
    const { signal } = this.#closed;
    // All who ask in the same turn are in the same request: who comes later waits for its answer.
    await this.options.clock.yield();
    let failures = 0;
    /** Answers in a row by which the topic is not there. */
    let gone = 0;
    while (!signal.aborted) {
      const mine = [...this.#buffers.values()].filter((b) => this.#leaderOf(b) === nodeId);
      if (mine.length === 0) return;
      const wanted = mine.filter((b) => b.isWanted);
      if (wanted.length === 0) {
        await new Promise<void>((resolve) => this.#roomMade.push(resolve));
        continue;
      }
      const waitMs = wanted.length < mine.length ? SHORT_WAIT_MS : WAIT_MS;
      try {
        await this.#checkLogs(mine.filter((buffer) => buffer.isDoubtful));
        const begunAt = this.options.clock.monotonic();
        const { throttledMs, bytes } = await this.#fetchOnce(nodeId, wanted, waitMs);
        failures = gone = 0;
        if (throttledMs === 0) this.options.client.waits?.over(this.#waitOf(nodeId));
        else this.#reportWait(nodeId, mine, heldBack(throttledMs));
        if (bytes > 0 && bytes < SMALL_BYTES) await this.#pace(mine, begunAt);
      } catch (error) {
        if (signal.aborted) return;
        const stop = stopErrorOf(error, { topic: this.options.topic.name });
        if (stop || this.options.client.isBroken || !isUnavailable(error)) throw stop ?? error;
        this.#reportWait(nodeId, mine, error);
        if (isTopicGone(error) && ++gone >= GONE_MAX) {
          const { name } = this.options.topic;
          this.options.client.waits?.over(this.#waitOf(nodeId)); // whoever claims next waits for it
          throw new LostError(`Topic ${name} is not there: ${(error as Error).message}`);
        }
        await this.#backOff(nodeId, mine, failures++);
      }
    }
  }

  /** Waits for more, unless somebody reads what is there already. */
  async #pace(mine: readonly FetchBuffer[], begunAt: number): Promise<void> {
    const { clock, paceMs = 0 } = this.options;
    const waitMs = begunAt + Math.min(paceMs, PACE_MS_MAX) - clock.monotonic();
    if (waitMs <= 0 || !mine.every((buffer) => buffer.isFollowed && buffer.isAtEnd)) return;
    await clock.sleep(waitMs, this.#closed.signal);
  }

  /** What the wait for a leader is called. */
  #waitOf(nodeId: string): string {
    return `fetch ${this.options.topic.name} ${nodeId}`;
  }

  #reportWait(nodeId: string, mine: readonly FetchBuffer[], error: unknown): void {
    const { topic, client } = this.options;
    const partitions = mine.map((b) => b.partition).toSorted((a, b) => a - b).join(", ");
    const why = nodeId === NO_LEADER ? "they have no leader" : reasonOf(error);
    const reason = `Nothing can be read from partitions ${partitions} of ${topic.name}: ${why}`;
    client.waits?.failed(this.#waitOf(nodeId), "input", { reason, blocks: "nothing" });
  }

  /**
   * Whether logs are those that were read before.
   *
   * @throws {StopError} when the topic was created anew, or holds other records than were read
   * @throws {LostError} when a log ends before what was read of it
   */
  async #checkLogs(doubtful: readonly FetchBuffer[]): Promise<void> {
    if (doubtful.length === 0) return;
    const { client, topic } = this.options;
    // What fails meanwhile brings new doubts.
    for (const buffer of doubtful) buffer.isDoubtful = false;
    try {
      // A fetch by id finds by itself that there is none of that id any more.
      const isKnownById = client.fetchesById === true;
      const found = await lookAtTopic(
        client,
        isKnownById ? { ...topic, id: null } : topic,
      );
      const read = doubtful.flatMap(({ partition }): ReadBatch[] => {
        const batch = topic.isCompacted ? null : this.#highest.get(partition);
        const leaderEpoch = leaderEpochOf(found, partition);
        return batch ? [{ partition, batch, committed: null, leaderEpoch }] : [];
      });
      await checkBatches(client, topic, read);
      for (const { partition } of doubtful) {
        this.#leaderEpochs.set(partition, leaderEpochOf(found, partition));
      }
    } catch (error) {
      for (const buffer of doubtful) buffer.isDoubtful = true;
      throw error;
    }
  }

  /** Order of the partitions in the next request: the answer's bytes go to the first ones. */
  #turn = 0;

  /** @returns how many ms a broker wants to hear nothing, if it gave nothing for that, else 0; and the bytes of records */
  async #fetchOnce(
    nodeId: string,
    wanted: readonly FetchBuffer[],
    maxWaitMs: number,
  ): Promise<{ throttledMs: number; bytes: number }> {
    const { client, topic } = this.options;
    this.#turn++;
    const from = wanted.map((_, i) => wanted[(i + this.#turn) % wanted.length]!)
      .map((buffer) => ({
        buffer,
        jumps: buffer.jumps,
        partition: buffer.partition,
        offset: buffer.position,
        leaderEpoch: this.#epochOf(buffer.partition),
      }));
    const answer = await client.fetch(nodeId, topic, from, {
      maxWaitMs,
      maxBytes: ANSWER_BYTES,
      partitionMaxBytes: partitionBytes(from.length),
    });
    if (answer.errorCode !== 0) throw protocolError(answer.errorCode);
    const isHeldBack = answer.partitions.length === 0; // which says nothing of any log
    for (const buffer of isHeldBack ? wanted : []) buffer.forgetEnd();
    let failed: Error | null = null;
    const outside: FetchBuffer[] = [];
    const shorter: FetchedFrom[] = [];
    for (const fetched of answer.partitions) {
      const asked = from.find((f) => f.partition === fetched.partition)!;
      if (asked.buffer.jumps !== asked.jumps) continue;
      // It comes from a leader before the one that the log was looked at.
      if (this.#epochOf(asked.partition) !== asked.leaderEpoch) continue;
      if (fetched.errorCode === ErrorCode.OffsetOutOfRange) outside.push(asked.buffer);
      else if (fetched.errorCode !== 0) failed ??= this.#refused(asked.buffer, fetched);
      else {
        const batches = this.#batchesOf(asked.buffer, fetched);
        if (asked.buffer.hasFailed) continue;
        asked.buffer.keep(batches, fetched);
        const { partition, leaderEpoch, buffer } = asked;
        if (buffer.misses(fetched)) {
          shorter.push({ partition, leaderEpoch, offset: buffer.stableEnd });
        }
        this.#raise(asked.partition, batches.at(-1));
      }
    }
    if (outside.length > 0) await this.#failOutside(outside);
    await checkEnds(client, topic, shorter);
    if (failed) throw failed;
    return {
      throttledMs: isHeldBack ? answer.clientSideThrottleTime : 0,
      bytes: answer.partitions.reduce((sum, { records }) => sum + records.length, 0),
    };
  }

  #epochOf(partition: number): number {
    return this.#leaderEpochs.get(partition) ?? NO_EPOCH;
  }

  #raise(partition: number, batch: FetchedBatch | undefined): void {
    if (!batch || batch.baseOffset <= (this.#highest.get(partition)?.baseOffset ?? -1)) return;
    this.#highest.set(partition, { baseOffset: batch.baseOffset, crc: batch.crc });
  }

  /** Their readers are given where the logs begin and end, which brokers do not say with the refusal. */
  async #failOutside(buffers: readonly FetchBuffer[]): Promise<void> {
    const { client, topic: { name } } = this.options;
    const partitions = buffers.map(({ partition }) => partition);
    const jumps = buffers.map((buffer) => buffer.jumps);
    const bounds = await logBounds(client, name, partitions);
    for (const [i, buffer] of buffers.entries()) {
      const { partition, position } = buffer;
      if (buffer.jumps !== jumps[i]) continue;
      const { start, end } = bounds.get(partition)!;
      buffer.fail(new OffsetOutOfRangeError(name, partition, position, start, end));
    }
  }

  /**
   * The batches of an answer; none if they cannot be separated, which its reader is given as an error.
   *
   * @throws {StopError} when they are of a format that is not read
   */
  #batchesOf(
    buffer: FetchBuffer,
    { partition, records, aborted }: FetchedPartition,
  ): FetchedBatch[] {
    const where = `${this.options.topic.name}-${partition}`;
    try {
      return readFetched(records, aborted);
    } catch (error) {
      if (error instanceof OldFormatError) {
        throw new StopError(
          `The records of ${where} at offset ${error.offset} are of message format v${error.magic}, ` +
            "which has no transactions",
          "copy the topic with a client of Kafka 0.11 or later into one whose message.format.version is not " +
            "set, and name that one",
          { cause: error },
        );
      }
      if (!(error instanceof RangeError)) throw error;
      buffer.fail(
        new DamagedBatchError(
          `${where} at ${buffer.position}`,
          `The log is damaged: cannot read ${where} at offset ${buffer.position}: ${error.message}`,
          "restore the topic from a copy; skipping records would lose data",
          { cause: error },
        ),
      );
      return [];
    }
  }

  /** The error for the whole request, or null when it concerns the reader of the partition alone. */
  #refused(
    buffer: FetchBuffer,
    { errorCode }: FetchedPartition,
  ): Error | null {
    const { name } = this.options.topic;
    const { partition, position } = buffer;
    const error = protocolError(errorCode);
    if (errorCode !== ErrorCode.CorruptMessage) return error;
    buffer.fail(
      new DamagedBatchError(
        `${name}-${partition} at ${position}`,
        `Kafka cannot read ${name}-${partition} at offset ${position}: ${error.message}`,
        "restore the topic from a copy; skipping records would lose data",
      ),
    );
    return null;
  }

  /** A leader moves, or is not there: nothing is known of the ends of its logs meanwhile. */
  async #backOff(nodeId: string, mine: readonly FetchBuffer[], failures: number): Promise<void> {
    const { client, clock } = this.options;
    const leaders = new Map([...this.#buffers.values()].map((b) => [b, this.#leaderOf(b)]));
    for (const [buffer, leader] of leaders) {
      const hasFailed = leader === nodeId || mine.includes(buffer);
      if (hasFailed || !this.#isNamed(buffer)) buffer.isDoubtful = true;
      if (hasFailed) buffer.forgetEnd();
    }
    const wait = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** failures);
    await clock.sleep(wait, this.#closed.signal);
    await client.refresh().catch(() => {});
    for (const [buffer, leader] of leaders) {
      if (this.#leaderOf(buffer) !== leader) buffer.isDoubtful = true;
    }
    for (const buffer of this.#buffers.values()) this.#pump(this.#leaderOf(buffer));
  }

  /**
   * Whether fetches name the topic's id and the epoch of the leader: a log that is another one, or was cut, is then
   * refused by its own leader, whatever others say.
   */
  #isNamed({ partition }: FetchBuffer): boolean {
    const { client: { fetchesById }, topic: { id } } = this.options;
    return fetchesById === true && id !== null && this.#epochOf(partition) !== NO_EPOCH;
  }
}

function partitionBytes(partitions: number): number {
  const share = Math.floor(ANSWER_BYTES / partitions);
  return Math.min(PARTITION_BYTES_MAX, Math.max(PARTITION_BYTES_MIN, share));
}
