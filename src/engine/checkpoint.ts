// Checkpoints: cut -> encode piece by piece between batches -> wait until the position of the cut is committed -> publish.
//
// The Checkpointer of a partition takes them, one after the other; when they are taken is in checkpoints_due.ts.

import { getLogger } from "@logtape/logtape";
import { isNoRoom } from "../kv/mod.ts";
import {
  type BatchMark,
  type CheckpointChain,
  type CheckpointDraft,
  type CheckpointTrigger,
  FencedError,
  type FoldParameters,
  type Manifest,
} from "../state/mod.ts";
import { type Clock, type Span, tracePartsOf, type Tracing } from "../types/mod.ts";
import { Code, CoreError, type StateScalars } from "../wasm/mod.ts";
import { CutWait } from "./cut_wait.ts";
import type { PartitionProcessor } from "./partition_processor.ts";
import { Waiters } from "./waiters.ts";

const log = getLogger(["stockflow", "checkpoint"]);

const GIVEN_UP = "given up, because its partition was given up";
/** Compressed bytes that may wait for the store before encoding goes on. */
const QUEUE_BYTES_MAX = 2 * 1024 * 1024;

export interface CheckpointerOptions {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly recordsMax: number;
  readonly logId: string;
  /** Id of the topic, where topics have one. */
  readonly topicId: string | null;
  readonly clock: Clock;
  /** Null: nothing is traced. */
  readonly tracing: Tracing | null;
}

/** The checkpoint that the state counts from. */
export interface NewestCheckpoint {
  readonly sequence: number;
  readonly offset: number;
  readonly watermark: bigint;
  /** ms since the epoch */
  readonly publishedAt: number;
}

/** The state that a checkpoint is made of, frozen while it is encoded. */
interface Cut {
  /** What the core said: without memory for a cut, there is none. */
  readonly code: Code;
  /** The checkpoint that is made of it. */
  readonly draft: CheckpointDraft;
  /** Clock.monotonic() at the cut. */
  readonly from: number;
  /** ms since the epoch */
  readonly at: number;
  readonly scalars: StateScalars;
  readonly lastBatch: BatchMark | null;
  readonly strays: readonly number[];
  /** Segments that were encoded. */
  readonly encoded: number[];
  /** First piece of what is remembered that was; null = none. */
  firstPiece: bigint | null;
}

/** A checkpoint that is published before its position is committed. */
export interface AheadOfCommit {
  /** Sequence of the one that leads to what is committed until then: it stays. */
  readonly base: number;
}

/** What the history says of a checkpoint. */
interface About {
  readonly partition: number;
  readonly sequence: number;
  readonly offset: number;
  readonly trigger: CheckpointTrigger;
}

/** Takes the checkpoints of one partition. */
export class Checkpointer {
  #lastAt: number;
  /** Settles when the checkpoints asked for so far are done: one is taken at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #wait: CutWait;
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
    /** Those under which the state is folded. */
    public parameters: FoldParameters,
    /** The newest checkpoint of this state; null if there is none. */
    public newest: NewestCheckpoint | null,
  ) {
    this.#lastAt = options.clock.monotonic();
    processor.gate = this.#wait = new CutWait(options.clock);
  }

  /**
   * Whether it is time, by the clock or by the records folded since the last one.
   *
   * @param mayWait it can wait for one more interval
   */
  isDue(mayWait = false): boolean {
    const { intervalMs, clock } = this.options;
    if (intervalMs === 0 || !this.#changed) return false;
    const afterMs = mayWait ? 2 * intervalMs : intervalMs;
    return clock.monotonic() - this.#lastAt >= afterMs || this.#ripe;
  }

  get #ripe(): boolean {
    return this.processor.recordsSinceCheckpoint >= this.options.recordsMax;
  }

  get #changed(): boolean {
    const { position, core, acknowledged } = this.processor;
    if (!this.newest) return position !== acknowledged.start; // else nothing was ever folded
    return this.newest.offset !== position || this.newest.watermark !== core.watermark;
  }

  /** A position was acknowledged. */
  onCommitted(): void {
    this.#commits.wake();
  }

  // ---- a checkpoint ----

  /**
   * Takes a checkpoint now, unless nothing changed since the last one.
   *
   * @param signal gives it up
   * @param ahead publishes without waiting for the commit, because the commit needs it; null = waits
   * @param trigger by default the interval, or the records folded since the last one
   * @returns null when it was not taken; the reason is in the log and the history
   * @throws {FencedError} when another owns the partition
   */
  take(
    signal: AbortSignal,
    ahead: AheadOfCommit | null = null,
    trigger?: CheckpointTrigger,
  ): Promise<Manifest | null> {
    return this.#inTurn(() => this.#take(signal, ahead, trigger));
  }

  /**
   * The sequence of a checkpoint of everything that is folded by now; null when nothing ever was.
   *
   * @throws {Error} when it could not be taken
   */
  now(signal: AbortSignal): Promise<number | null> {
    return this.#inTurn(async () => {
      const needed = this.#changed;
      if (needed && !await this.#take(signal, null, "savepoint")) {
        throw new Error(
          `The checkpoint of partition ${this.chain.partition} was not taken: ${this.#failure}`,
        );
      }
      return this.newest?.sequence ?? null;
    });
  }

  /**
   * Removes chunks that no checkpoint needs, if there may be any: behind the first checkpoint, what a crash left; behind
   * a later one, what a full disk did. Where the store fails, the next one is early enough.
   *
   * @throws {FencedError} when another owns the partition
   */
  tidy(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#hasLeftovers) return;
      this.#hasLeftovers = false;
      await this.chain.sweep().catch((error) => {
        this.#hasLeftovers = true;
        if (error instanceof FencedError) throw error;
        if (isNoRoom(error)) return;
        log.warn("What lies about of partition {partition} in the store is left there: {reason}", {
          partition: this.chain.partition,
          reason: (error as Error).message,
        });
      });
    });
  }

  /** Whether nobody has taken the partition over in the store. */
  isOwner(): Promise<boolean> {
    const { store, epoch } = this.chain;
    return store.isCurrent(epoch);
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
    ahead: AheadOfCommit | null,
    trigger: CheckpointTrigger = this.#ripe ? "records" : "interval",
  ): Promise<Manifest | null> {
    const { chain, options: { clock, timeoutMs } } = this;
    if (!this.#changed && trigger !== "parameters") return null;
    this.#failure = GIVEN_UP;
    const cut = await this.#cut(signal);
    if (!cut) return null;
    const offset = Number(cut.scalars.position);
    const about = { partition: chain.partition, sequence: cut.draft.sequence, offset, trigger };
    const span = this.options.tracing?.start("checkpoint", {
      parent: null,
      startedAt: cut.at,
      attributes: { ...about },
    }) ?? null;
    const timeout = new AbortController();
    const heldUp = new AbortController();
    const giveUp = AbortSignal.any([signal, timeout.signal, heldUp.signal]);
    // At once, whatever the store still does: whoever folds may be waiting for the rest of the cut.
    giveUp.addEventListener("abort", () => this.#endCut(false));
    if (giveUp.aborted) this.#endCut(false);
    void clock.sleep(timeoutMs, giveUp).then(() => timeout.abort("over"));
    // Beside the rest: a store that does not answer must not hold up whoever waits for the cut.
    const begun = chain.store.addEvent({ kind: "triggered", at: cut.at, ...about })
      .catch(() => {}); // the next event says so
    try {
      if (cut.code !== Code.Done) throw new CoreError(cut.code, "Cannot freeze the state");
      await this.#encode(cut, giveUp, heldUp);
      const manifest = await this.#write(cut, about, ahead, giveUp, span, begun);
      span?.end();
      return manifest;
    } catch (error) {
      const reason = signal.aborted
        ? GIVEN_UP
        : heldUp.signal.aborted
        ? "given up, because the store did not take its parts while they held folding up"
        : giveUp.aborted
        ? `given up after ${timeoutMs} ms`
        : (error as Error).message;
      span?.end(reason);
      // Who is fenced off says so itself: nothing is wrong with the store.
      const isFenced = error instanceof FencedError;
      await this.#failed(cut, about, reason, signal.aborted || isFenced, begun);
      if (isFenced) throw error;
      return null;
    } finally {
      timeout.abort("over"); // without a reason an error with a stack is made
    }
  }

  /** Freezes the state once no batch is being folded; null when that is given up. */
  async #cut(signal: AbortSignal): Promise<Cut | null> {
    const { processor, chain, options: { clock } } = this;
    // A fold that failed never comes to rest; its worker gives up then.
    while (!processor.atRest && !signal.aborted) await clock.yield();
    if (signal.aborted) return null;
    const code = processor.core.cut();
    if (code === Code.Done) this.#wait.begin();
    processor.recordsSinceCheckpoint = 0;
    this.#lastAt = clock.monotonic();
    return {
      code,
      draft: chain.begin(),
      from: this.#lastAt,
      at: clock.now(),
      scalars: processor.core.state,
      lastBatch: processor.lastBatch,
      strays: processor.strays?.offsets ?? [],
      encoded: [],
      firstPiece: null,
    };
  }

  /**
   * Publishes what was encoded when its position is committed.
   *
   * @param begun settles when the history has its beginning
   */
  async #write(
    cut: Cut,
    about: About,
    ahead: AheadOfCommit | null,
    signal: AbortSignal,
    span: Span | null,
    begun: Promise<void>,
  ): Promise<Manifest> {
    const { from, at, scalars, lastBatch, strays } = cut;
    const { processor, chain, options: { clock, logId, topicId } } = this;
    const { duplicatesBefore } = processor.core;
    processor.checkStocks(scalars.quantitySum);
    const encodedAt = clock.monotonic();
    if (!ahead) await this.#waitCommitted(about.offset, scalars.watermark, signal);
    const committedAt = clock.monotonic();
    const manifest = await chain.publish({
      logId,
      topicId,
      start: processor.acknowledged.start,
      scalars,
      lastBatch,
      ...(strays.length > 0 ? { strays } : {}),
      parameters: this.parameters,
      secret: processor.secret,
      ...(processor.raisedAt === null ? {} : { raisedAt: processor.raisedAt }),
      ...(duplicatesBefore > 0 ? { duplicatesBefore } : {}),
      cutAt: at,
    }, ahead?.base);
    const publishedAtMs = clock.monotonic();
    const { sequence, publishedAt, newBytes, totalBytes } = manifest;
    this.lastMs = publishedAtMs - from;
    this.lastFailure = null;
    const { offset } = about;
    this.newest = { sequence, offset, watermark: scalars.watermark, publishedAt };
    await begun;
    await chain.store.addEvent({
      kind: "completed",
      at: clock.now(),
      ...about,
      durationMs: this.lastMs,
      items: Number(scalars.items),
      newBytes,
      totalBytes,
      encodeMs: encodedAt - from,
      commitMs: committedAt - encodedAt,
      publishMs: publishedAtMs - committedAt,
    });
    if (span) {
      tracePartsOf(this.options.tracing!, span, { from, offset: at - from }, [
        ["encode", encodedAt],
        ["wait for commit", committedAt],
        ["publish", publishedAtMs],
      ]);
      span.set({ bytes: newBytes });
    }
    return manifest;
  }

  /** What was cut is part of the next checkpoint; what was written of this one goes. */
  async #failed(
    cut: Cut,
    about: About,
    reason: string,
    isGivenUp: boolean,
    begun: Promise<void>,
  ): Promise<void> {
    const { processor, chain, options: { clock } } = this;
    this.#endCut(false);
    processor.core.markSegments(cut.encoded);
    if (cut.firstPiece !== null) processor.core.remembered.mark(cut.firstPiece);
    this.#failure = reason;
    await begun;
    await chain.store.addEvent({ kind: "failed", at: clock.now(), ...about, reason });
    if (!isGivenUp) {
      this.lastFailure = reason;
      this.failures++;
      log.error("Checkpoint {sequence} of partition {partition} failed: {reason}", {
        ...about,
        reason,
      });
    }
    await chain.abandon().catch(() => this.#hasLeftovers = true);
  }

  /** @param heldUp is aborted when the store holds up whoever folds */
  async #encode(cut: Cut, signal: AbortSignal, heldUp: AbortController): Promise<void> {
    const { processor: { core } } = this;
    const { draft } = cut;
    const goOn = async () => {
      this.#wait.advanced();
      if (draft.queuedBytes > QUEUE_BYTES_MAX) {
        await this.#wait.write(() => draft.flush(), heldUp);
      } else await this.options.clock.yield();
      signal.throwIfAborted();
    };
    signal.throwIfAborted();
    for (let next; (next = core.encodeSome()); await goOn()) {
      if (next === "more") continue;
      cut.encoded.push(next.segment);
      draft.add(next.segment, next.bytes);
    }
    if (core.options.remember) {
      draft.remember(core.remembered.encode());
      for (let next; (next = core.remembered.encodeNext()); await goOn()) {
        cut.firstPiece ??= next.piece;
        draft.addPiece(Number(next.piece), next.bytes);
      }
    }
    this.#endCut(true);
  }

  #endCut(encoded: boolean): void {
    if (!this.#wait.isActive) return;
    this.processor.core.endCut(encoded);
    this.#wait.end();
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
