// Checkpoints of one partition: cut -> encode piece by piece between batches -> wait until the position of the cut is
// committed -> publish.

import { getLogger } from "@logtape/logtape";
import { isNoRoom } from "../kv/mod.ts";
import {
  type CheckpointChain,
  type CheckpointTrigger,
  FencedError,
  type FoldParameters,
  type Manifest,
} from "../state/mod.ts";
import type { Clock } from "../types/mod.ts";
import { Code } from "../wasm/mod.ts";
import type { CutGate, PartitionProcessor } from "./partition_processor.ts";
import { never, Waiters } from "./waiters.ts";

const log = getLogger(["stockflow", "checkpoint"]);

const GIVEN_UP = "given up, because its partition was given up";
/** Compressed bytes that may wait for the store before encoding goes on. */
const QUEUE_BYTES_MAX = 2 * 1024 * 1024;

export interface CheckpointerOptions {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly recordsMax: number;
  readonly parameters: FoldParameters;
  readonly logId: string;
  /** Id of the topic, where topics have one. */
  readonly topicId: string | null;
  readonly clock: Clock;
}

/** The checkpoint that the state counts from. */
export interface NewestCheckpoint {
  readonly sequence: number;
  readonly offset: number;
  readonly watermark: bigint;
  /** ms since the epoch */
  readonly publishedAt: number;
}

/** Takes the checkpoints of one partition. */
export class Checkpointer implements CutGate {
  #lastAt: number;
  #newest: NewestCheckpoint | null;
  /** Settles when the checkpoints asked for so far are done: one is taken at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  #cutActive = false;
  readonly #pieces = new Waiters();
  readonly #commits = new Waiters();
  /** Why the last one was not taken. */
  #failure = "";
  /** Chunks may lie in the store that no checkpoint needs: of a crash, or of one that failed. A sweep removes them. */
  #hasLeftovers = true;
  /** Someone else owns the partition in the store: nothing more is published. */
  isFenced = false;
  /** Why the last one failed, unless its partition was given up; null = it was taken. */
  lastFailure: string | null = null;
  failures = 0;
  /** From the cut to the publication of the last one taken here. */
  lastMs: number | null = null;

  constructor(
    readonly processor: PartitionProcessor,
    readonly chain: CheckpointChain,
    readonly options: CheckpointerOptions,
    base: NewestCheckpoint | null,
  ) {
    this.#newest = base;
    this.#lastAt = options.clock.monotonic();
    processor.gate = this;
  }

  /** Whether it is time, by the clock or by the records folded since the last one. */
  get due(): boolean {
    const { intervalMs, clock } = this.options;
    if (intervalMs === 0 || !this.#changed) return false;
    return clock.monotonic() - this.#lastAt >= intervalMs || this.#ripe;
  }

  get #ripe(): boolean {
    return this.processor.recordsSinceCheckpoint >= this.options.recordsMax;
  }

  /** The newest checkpoint of this state; null if there is none. */
  get newest(): NewestCheckpoint | null {
    return this.#newest;
  }

  get #changed(): boolean {
    const { position, core, acknowledged } = this.processor;
    if (!this.#newest) return position !== acknowledged.start; // else nothing was ever folded
    return this.#newest.offset !== position || this.#newest.watermark !== core.watermark;
  }

  // ---- what a processor waits for ----

  async advance(): Promise<void> {
    if (this.#cutActive) await this.#pieces.wait(never());
    else await this.options.clock.yield();
  }

  async encoded(): Promise<void> {
    while (this.#cutActive) await this.#pieces.wait(never());
  }

  /** Tells that a position was acknowledged. */
  onCommitted(): void {
    this.#commits.wake();
  }

  // ---- a checkpoint ----

  /**
   * Takes a checkpoint now, unless nothing changed since the last one.
   *
   * @param signal gives it up
   * @param uncommitted publishes without waiting for the commit, because the commit needs it
   * @param trigger by default the interval, or the records folded since the last one
   * @returns null when it was not taken; the reason is in the log and the history
   * @throws {FencedError} when another owns the partition
   */
  take(
    signal: AbortSignal,
    uncommitted = false,
    trigger?: CheckpointTrigger,
  ): Promise<Manifest | null> {
    return this.#inTurn(() => this.#take(signal, uncommitted, trigger));
  }

  /**
   * The sequence of a checkpoint of everything that is folded by now; null when nothing ever was.
   *
   * @throws {Error} when it could not be taken
   */
  now(signal: AbortSignal): Promise<number | null> {
    return this.#inTurn(async () => {
      const needed = this.#changed;
      if (needed && !await this.#take(signal, false, "savepoint")) {
        throw new Error(
          `The checkpoint of partition ${this.chain.partition} was not taken: ${this.#failure}`,
        );
      }
      return this.#newest?.sequence ?? null;
    });
  }

  /**
   * Removes chunks that no checkpoint needs, if there may be any: behind the first checkpoint, what a crash left; behind
   * a later one, what a full disk did.
   *
   * @throws {FencedError} when another owns the partition
   */
  tidy(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#hasLeftovers) return;
      this.#hasLeftovers = false;
      await this.chain.sweep().catch((error) => {
        this.#hasLeftovers = true;
        if (!isNoRoom(error)) throw error;
      });
    });
  }

  /** Resolves when no checkpoint is under way. */
  async atRest(): Promise<void> {
    await this.#turn;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work).catch((error) => {
      this.isFenced ||= error instanceof FencedError;
      throw error;
    });
    this.#turn = done.catch(() => {});
    return done;
  }

  async #take(
    signal: AbortSignal,
    uncommitted: boolean,
    trigger: CheckpointTrigger = this.#ripe ? "records" : "interval",
  ): Promise<Manifest | null> {
    const { processor, chain, options } = this;
    if (!this.#changed) return null;
    this.#failure = GIVEN_UP;
    // A fold that failed never comes to rest; its worker gives up then.
    while (!processor.atRest && !signal.aborted) await options.clock.yield();
    if (signal.aborted || processor.core.cut() !== Code.Done) return null;
    this.#cutActive = true;
    const from = options.clock.monotonic();
    const cutAt = options.clock.now();
    const scalars = processor.core.state;
    const { lastBatch } = processor;
    const strays = processor.strays?.offsets ?? [];
    const offset = Number(scalars.position);
    const draft = chain.begin();
    const about = { partition: chain.partition, sequence: draft.sequence, offset, trigger };
    const { store } = chain;
    processor.recordsSinceCheckpoint = 0;
    this.#lastAt = from;
    const timeout = new AbortController();
    const giveUp = AbortSignal.any([signal, timeout.signal]);
    void options.clock.sleep(options.timeoutMs, giveUp).then(() => timeout.abort("over"));
    const encoded: number[] = [];
    try {
      await store.addEvent({ kind: "triggered", at: cutAt, ...about });
      await this.#encode(draft, encoded, giveUp);
      processor.checkStocks(scalars.quantitySum);
      const encodedAt = options.clock.monotonic();
      if (!uncommitted) await this.#waitCommitted(offset, scalars.watermark, giveUp);
      const committedAt = options.clock.monotonic();
      const manifest = await chain.publish(draft, {
        logId: options.logId,
        topicId: options.topicId,
        start: processor.acknowledged.start,
        scalars,
        lastBatch,
        ...(strays.length > 0 ? { strays } : {}),
        parameters: options.parameters,
        cutAt,
      });
      const publishedAtMs = options.clock.monotonic();
      const durationMs = publishedAtMs - from;
      const { sequence, publishedAt } = manifest;
      this.lastMs = durationMs;
      this.lastFailure = null;
      this.#newest = { sequence, offset, watermark: scalars.watermark, publishedAt };
      await store.addEvent({
        kind: "completed",
        at: options.clock.now(),
        ...about,
        durationMs,
        items: Number(scalars.items),
        newBytes: manifest.newBytes,
        totalBytes: manifest.totalBytes,
        encodeMs: encodedAt - from,
        commitMs: committedAt - encodedAt,
        publishMs: publishedAtMs - committedAt,
      });
      return manifest;
    } catch (error) {
      this.#endCut(false);
      processor.core.markSegments(encoded);
      const reason = signal.aborted
        ? GIVEN_UP
        : giveUp.aborted
        ? `given up after ${options.timeoutMs} ms`
        : (error as Error).message;
      this.#failure = reason;
      await store.addEvent({ kind: "failed", at: options.clock.now(), ...about, reason });
      if (error instanceof FencedError) throw error;
      if (!signal.aborted) {
        this.lastFailure = reason;
        this.failures++;
        log.error("Checkpoint {sequence} of partition {partition} failed: {reason}", {
          ...about,
          reason,
        });
      }
      await draft.abandon().catch(() => this.#hasLeftovers = true);
      return null;
    } finally {
      timeout.abort("over"); // without a reason an error with a stack is made
    }
  }

  async #encode(
    draft: ReturnType<CheckpointChain["begin"]>,
    encoded: number[],
    signal: AbortSignal,
  ): Promise<void> {
    const { processor, options } = this;
    while (true) {
      signal.throwIfAborted();
      const next = processor.core.encodeSome();
      if (!next) break;
      if (next !== "more") {
        encoded.push(next.segment);
        draft.add(next.segment, next.bytes);
      }
      this.#pieces.wake();
      if (draft.queuedBytes > QUEUE_BYTES_MAX) await draft.flush();
      else await options.clock.yield();
    }
    this.#endCut(true);
  }

  #endCut(encoded: boolean): void {
    if (!this.#cutActive) return;
    this.processor.core.endCut(encoded);
    this.#cutActive = false;
    this.#pieces.wake();
  }

  /** A checkpoint is published only when its offset and watermark are committed. */
  async #waitCommitted(offset: number, watermark: bigint, signal: AbortSignal): Promise<void> {
    while (true) {
      const { acknowledged } = this.processor;
      if (acknowledged.offset >= offset && acknowledged.watermark >= watermark) return;
      signal.throwIfAborted();
      await this.#commits.wait(signal);
    }
  }
}
