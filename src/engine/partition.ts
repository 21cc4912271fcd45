// The life of one partition in a worker, from its claim to its release.
//
//   claimed ---> restoring ---> replaying ---> running ---> released
//      |             |              |             ^            ^
//      |             +--------------+-------------|------------+   given up: the claim is lost, or the job stops
//      +------------------------------------------+                kept: what the claim before left stands here
//
//   claimed    its committed position is known, and nothing of it is in memory
//   restoring  the store's epoch is taken over, and a checkpoint is loaded into a core
//   replaying  the core is folded up to the committed position; nothing is put out
//   running    it is folded and committed, answers look-ups, and takes checkpoints
//   released   nothing of it happens here any more; the next claim may keep what it left
//
// A partition that is claimed again is another object: one object is one claim of one partition.

import type { ClaimedPartition } from "../log/mod.ts";
import { assertThat, type TracedQueue } from "../types/mod.ts";
import { type CoreInfo, type CoreOptions, NO_TIME } from "../wasm/mod.ts";
import type { Checkpointer } from "./checkpoint.ts";
import { type Checkpointed, lostIfFenced } from "./checkpoints_due.ts";
import { LostError } from "../log/mod.ts";
import type { PartitionFigures, RememberedFigures } from "./figures.ts";
import type { ItemOwner } from "./owners.ts";
import type { PartitionProcessor } from "./partition_processor.ts";
import type { PendingTransactions, Runner } from "./pending.ts";

export type PartitionState = "claimed" | "restoring" | "replaying" | "running" | "released";

const NEXT: Readonly<Record<PartitionState, readonly PartitionState[]>> = {
  claimed: ["restoring", "running", "released"],
  restoring: ["replaying", "released"],
  replaying: ["running", "released"],
  running: ["released"],
  released: [],
};

/** What a partition was recovered from. */
export interface Recovery {
  readonly items: number;
  /** Items that came from a checkpoint. */
  readonly restored: number;
  /** Records folded again. */
  readonly replayed: number;
  readonly durationMs: number;
}

/** What is in memory of a partition. */
interface Held {
  readonly processor: PartitionProcessor;
  readonly checkpointer: Checkpointer;
}

/** One claim of one partition. */
export class Partition implements ItemOwner, Checkpointed, Runner {
  #state: PartitionState = "claimed";
  #held: Held | null = null;
  #recovery: Recovery | null = null;
  readonly #ready = Promise.withResolvers<void>();
  #isReady = false;
  readonly #leaving = new AbortController();

  /**
   * @param onAcknowledged is given what was committed of it
   * @param traced what is folded and traced, until its commit; null: nothing is traced
   */
  constructor(
    readonly claimed: ClaimedPartition,
    readonly onAcknowledged: (pending: PendingTransactions) => void = () => {},
    readonly traced: TracedQueue | null = null,
  ) {}

  /** Its number in the topic. */
  get partition(): number {
    return this.claimed.partition;
  }

  get state(): PartitionState {
    return this.#state;
  }

  get isRunning(): boolean {
    return this.#state === "running";
  }

  #become(next: PartitionState): void {
    const { partition } = this;
    assertThat(
      NEXT[this.#state].includes(next),
      `partition ${partition} is ${this.#state}, and becomes ${next}`,
    );
    this.#state = next;
  }

  /** A checkpoint is looked for, and loaded. */
  restore(): void {
    this.#become("restoring");
  }

  /** The state of a checkpoint is there, or that of the log's start: it is folded on to the committed position. */
  replay(processor: PartitionProcessor, checkpointer: Checkpointer): void {
    this.#become("replaying");
    this.#held = { processor, checkpointer };
  }

  /** It stands at its committed position. */
  run(recovery: Recovery): void {
    const { processor, claimed: { committed } } = this;
    assertThat(
      processor.position === committed.offset && processor.core.watermark >= committed.watermark,
      `partition ${this.partition} runs from ${committed.offset}, not from ${processor.position}`,
    );
    this.#become("running");
    processor.runner = this;
    this.#recovery = recovery;
    this.#lookReady();
  }

  /**
   * Goes on with what an earlier claim has left, if all that it folded and fired, and its last acknowledged
   * commit, stand exactly where this claim does. Its checkpoints are published in the epoch that it has, so
   * one who took over meanwhile fences it off.
   *
   * @returns whether it does; else it is to be recovered
   */
  keep(before: Partition): boolean {
    assertThat(
      before.state === "released" && before.partition === this.partition,
      `partition ${this.partition} keeps what is released of partition ${before.partition}`,
    );
    const held = before.#held;
    if (!held?.processor.standsAt(this.claimed.committed) || held.checkpointer.isFenced) {
      return false;
    }
    this.#become("running");
    this.#held = held;
    before.#held = null;
    held.processor.runner = this;
    held.processor.recordsIn = 0; // the worker has counted them
    this.#lookReady();
    return true;
  }

  /** Aborted when it is revoked: folding ends, and what was folded is committed before the release. */
  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  /** Asks for that. */
  leave(): void {
    this.#leaving.abort("revoked"); // without a reason an error with a stack is made
  }

  /** It is given up: nothing is folded, committed or answered here from now on. */
  release(): void {
    if (this.#state === "released") return;
    this.#become("released");
    if (this.#held) this.#held.processor.runner = null;
  }

  /**
   * Forgets what is in memory: no later claim will keep it.
   *
   * @returns resolves when no checkpoint is made of it any more, which keeps it in memory
   */
  drop(): Promise<void> {
    assertThat(this.#state === "released", `partition ${this.partition} is released`);
    const ended = this.#held?.checkpointer.atRest() ?? Promise.resolve();
    this.#held = null;
    return ended;
  }

  #assertHeld(): Held {
    const { partition } = this;
    assertThat(this.#held !== null, `partition ${partition} has a state; it is ${this.#state}`);
    return this.#held;
  }

  get processor(): PartitionProcessor {
    return this.#assertHeld().processor;
  }

  get checkpointer(): Checkpointer {
    return this.#assertHeld().checkpointer;
  }

  /** What it was recovered from; null when it went on with what the claim before left. */
  get recovery(): Recovery | null {
    return this.#recovery;
  }

  // ---- look-ups ----

  /** Whether it has folded what the log held when it was claimed. */
  get isReady(): boolean {
    return this.#isReady;
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  setReady(): void {
    this.#isReady = true;
    this.#ready.resolve();
  }

  #lookReady(): void {
    if (!this.#isReady && this.processor.position >= this.claimed.logEnd) this.setReady();
  }

  /** A batch was folded. */
  folded(): void {
    this.#lookReady();
  }

  lookUp(ids: readonly Uint8Array[]): Promise<(bigint | null)[]> {
    if (!this.isRunning) {
      return Promise.reject(new LostError(`Partition ${this.partition} is not folded here`));
    }
    return Promise.resolve(this.processor.core.lookUp(ids));
  }

  // ---- checkpoints ----

  /**
   * Takes a checkpoint of all that it has folded.
   *
   * @returns its sequence; null when nothing ever was folded
   * @throws {LostError} when it has not yet folded all that was answered, or is given up
   */
  async checkpointNow(signal: AbortSignal): Promise<number | null> {
    if (!this.#isReady || this.leaving.aborted) throw beingRecovered(this.partition);
    return await this.checkpointer.now(signal).catch(lostIfFenced);
  }

  // ---- commits ----

  /** Whether all that it folded and fired is acknowledged. */
  get isCommitted(): boolean {
    const { processor } = this;
    return processor.standsAt(processor.acknowledged);
  }

  onCommitted(pending: PendingTransactions): void {
    this.checkpointer.onCommitted();
    this.onAcknowledged(pending);
  }

  // ---- figures ----

  /** @param logEnd where the log ended when it was last read from; null = not known */
  figures(logEnd: number | null): PartitionFigures {
    const { core, position } = this.processor;
    const { state, info } = core;
    return {
      partition: this.partition,
      position,
      logEnd,
      items: Number(state.items),
      accepted: Number(state.accepted),
      rejected: Number(state.rejected),
      duplicates: info.duplicates,
      late: Number(state.late),
      farAhead: Number(state.farAhead),
      invalid: state.invalid.map(Number),
      impossibleTimestamps: info.impossibleTimestamps,
      remembered: rememberedOf(core.options, info),
      largestTimestamp: numberOf(state.largestTimestamp),
      stateBytes: info.tableBytes + info.windowBytes + info.keyBytes + info.rememberedBytes,
      openWindows: info.openWindows,
      alerts: info.alerts,
      checkpointMs: this.checkpointer.lastMs,
      checkpointAt: this.checkpointer.newest?.publishedAt ?? null,
      checkpointFailure: this.checkpointer.lastFailure,
      checkpointFailures: this.checkpointer.failures,
      recordsIn: this.processor.recordsIn,
      firingMs: this.processor.firingMs,
      watermark: numberOf(core.watermark),
      isReady: this.#isReady,
      records: this.processor.recordCheck(),
      stocks: this.processor.stockCheck,
    };
  }
}

/** Who asks for a partition meanwhile. */
export function beingRecovered(partition: number): LostError {
  return new LostError(`Partition ${partition} is being recovered`);
}

function numberOf(time: bigint): number | null {
  return time === NO_TIME ? null : Number(time);
}

function rememberedOf({ remember }: CoreOptions, info: CoreInfo): RememberedFigures | null {
  if (!remember) return null;
  const { remembered: transactions, rememberedSince, rememberedClock } = info;
  const since = numberOf(rememberedSince);
  // With fewer than there may be, all of the window are there: the oldest ones go first.
  if (transactions < remember.max || since === null) {
    return { transactions, guaranteedMs: remember.windowMs, since: null };
  }
  const guaranteedMs = Math.min(remember.windowMs, Number(rememberedClock) - since);
  return { transactions, guaranteedMs, since };
}
