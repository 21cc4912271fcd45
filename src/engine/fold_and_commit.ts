// What a worker does with its partitions during a claim:
//
//   read -> fold -> write -> commit
//
// Each partition has a loop of its own that reads and folds (FoldLoop). What that puts out is pending; one Committer for
// all of them writes it, and commits it with their positions. It holds folding back when too much is pending.

import type { CommittedPosition, LogSession, ReadAnswer, TopicOutput } from "../log/mod.ts";
import { LostError } from "../log/mod.ts";
import {
  assertThat,
  type Clock,
  endWith,
  type Span,
  startServing,
  type Tracing,
} from "../types/mod.ts";
import { CommitStatistics } from "./durations.ts";
import { Idleness } from "./idleness.ts";
import type { MemoryWatch } from "./memory_watch.ts";
import type { Partition } from "./partition.ts";
import type { Committable, Pending, PendingLimits } from "./pending.ts";
import type { TimeShares } from "./time_shares.ts";
import { traceRead } from "./traced_read.ts";
import { never, Waiters } from "./waiters.ts";
import type { WorkerContext } from "./worker_context.ts";

/** Bytes that are read of a partition at a time. */
const READ_BYTES = 256 * 1024;
/** How long a read waits at the end of the log. */
const READ_WAIT_MS = 500;
/** Once a partition is ready, nothing but an idle firing hangs on the end of an empty read. */
const IDLE_WAIT_MS = 2000;
/** How long folding goes on before others have their turn. */
const TURN_MS = 4;
/** How often it is looked whether there is memory again. */
const MEMORY_LOOK_MS = 1000;

const MIB = 1024 * 1024;
const PENDING_LIMITS: PendingLimits = { earlyBytes: 2 * MIB, maxBytes: 8 * MIB };

/** Bytes that are written ahead of one commit, at the most: they are kept until it is acknowledged. */
const AHEAD_BYTES_MAX = 32 * MIB;

/** So long a commit may take until folding waits for it: what is not committed is folded again after a crash. */
const SLOW_COMMIT_MS = 5000;

/** A commit of what comes behind a pause waits for this part of the interval: what came with it is folded by then. */
const GATHERING_SHARE = 1 / 20;

/** A reason for an abort: without one an error with a stack is made each time. */
const ASKED = "asked for";

// ---- read -> fold ----

/** Reads and folds partitions of a worker, each in a loop of its own. */
export class FoldLoop {
  constructor(
    readonly context: WorkerContext,
    readonly shares: TimeShares,
    readonly watch: MemoryWatch,
  ) {}

  /** Reads and folds one partition. */
  async run(
    session: LogSession,
    partition: Partition,
    committer: Committer,
    signal: AbortSignal,
  ): Promise<void> {
    const { context: { clock, settings, tracing }, shares } = this;
    const { processor } = partition;
    const idleness = new Idleness(clock);
    let turn = clock.monotonic();
    while (!signal.aborted) {
      // Another partition may take the room before this one has its turn.
      while (!committer.hasRoom && !signal.aborted) {
        await shares.measure("backPressured", () => committer.room(signal));
      }
      const waitMs = partition.isReady && processor.core.openWindows === 0
        ? IDLE_WAIT_MS
        : READ_WAIT_MS;
      // All are folded before the next read.
      const options = { maxBytes: READ_BYTES, waitMs, signal, borrows: true };
      const isTurnOver = clock.monotonic() - turn >= TURN_MS;
      // The read leaves before the turn ends, so that it reaches another thread with the outcomes before it.
      const askedAt = tracing ? clock.now() : 0;
      const [answer] = await shares.measure(
        "idle",
        () =>
          Promise.all([
            session.read(processor.partition, processor.position, options),
            isTurnOver ? clock.yield() : null,
          ]),
      );
      const { batches, endOffset, watermark } = answer;
      if (isTurnOver) turn = clock.monotonic();
      if (watermark !== undefined && watermark > processor.core.watermark) {
        await processor.fireUpTo(watermark);
        committer.changed();
      }
      if (batches.length === 0) {
        if (signal.aborted) continue;
        if (processor.position !== endOffset) {
          idleness.over(); // nobody knows whether there are records behind what was folded
          continue;
        }
        // What the log held at the claim may have ended in offsets that readers skip.
        if (!partition.isReady) partition.setReady();
        const isIdle = idleness.look() >= settings.idleTimeoutMs;
        if (isIdle && processor.core.openWindows > 0) {
          await processor.fireIdle();
          committer.changed();
        }
        continue;
      }
      idleness.over();
      const span = tracing ? this.#trace(partition, answer, askedAt) : null;
      const folding = this.#foldAll(partition, batches, turn, signal);
      if (span) endWith(span, folding);
      turn = await folding;
      committer.changed();
    }
  }

  #trace(partition: Partition, answer: ReadAnswer, askedAt: number) {
    const { tracing, topics } = this.context;
    const { partition: number, position: offset } = partition.processor;
    const read = { topic: topics.input, partition: number, offset, askedAt, answer };
    return traceRead(tracing!, partition.traced!, { work: "fold", ...read });
  }

  /** Folds batches; returns when the turn began in which it ended. */
  async #foldAll(
    partition: Partition,
    batches: readonly Uint8Array[],
    turn: number,
    signal: AbortSignal,
  ): Promise<number> {
    const { context: { clock }, shares } = this;
    for (const [index, batch] of batches.entries()) {
      const stopped = await this.#foldBatch(partition, batch);
      if (stopped) await shares.measure("idle", () => clock.sleep(MEMORY_LOOK_MS, signal));
      if (stopped || signal.aborted) break;
      if (index === batches.length - 1 || clock.monotonic() - turn < TURN_MS) continue;
      await clock.yield();
      turn = clock.monotonic();
    }
    return turn;
  }

  /** Folds a batch; whether it stopped before a new item, for which there is no memory. */
  async #foldBatch(partition: Partition, batch: Uint8Array): Promise<boolean> {
    const { memory, holdsBack, onStep } = this.context;
    const { processor } = partition;
    onStep?.("folding", processor.partition);
    const knownItems = holdsBack && memory.roomIn(processor.partition) < 1;
    const stopped = await this.shares.measure("busy", () => processor.fold(batch, knownItems));
    onStep?.("waiting", processor.partition);
    this.watch.report(processor, stopped);
    // What is behind stays unknown for as long as this lasts; what is known is answered.
    if (stopped) partition.setReady();
    else partition.folded();
    return stopped !== null;
  }
}

// ---- write -> commit ----

/** What was taken from a partition. */
interface Taken {
  readonly from: Committable;
  readonly pending: Pending;
}

/** Commits what partitions of one session have pending, in one commit after the other. */
export class Committer {
  readonly #room = new Waiters();
  /** Aborted when a commit is asked for before its time. */
  #asked = new AbortController();
  /** When the last commit began that had anything in it. */
  #begunAt: number;
  /** Nothing was there to be committed when it was looked last. */
  #isIdle = true;
  /** Whether a commit is under way. */
  #committing = false;
  /** What was written ahead of the next commit, in its order, and the bytes of it. */
  #ahead: Taken[] = [];
  #aheadBytes = 0;
  /** Bytes written ahead that the log does not have for certain. */
  #unacknowledged = 0;

  readonly #partitions: Set<Committable>;

  constructor(
    readonly session: LogSession,
    partitions: readonly Committable[],
    readonly intervalMs: number,
    readonly clock: Clock,
    readonly statistics: CommitStatistics = new CommitStatistics(),
    readonly limits = PENDING_LIMITS,
    readonly tracing: Tracing | null = null,
  ) {
    this.#partitions = new Set(partitions);
    this.#begunAt = clock.monotonic();
  }

  /** Commits what one more partition has, too. */
  add(partition: Committable): void {
    this.#partitions.add(partition);
  }

  /** A partition is given up; all that it had is committed. */
  remove(partition: Committable): void {
    assertThat(
      partition.pendingBytes === 0 && !this.#ahead.some((taken) => taken.from === partition),
      `all of partition ${partition.partition} is committed when it is given up`,
    );
    this.#partitions.delete(partition);
  }

  get #pendingBytes(): number {
    let bytes = 0;
    for (const { pendingBytes } of this.#partitions) bytes += pendingBytes;
    return bytes;
  }

  /** A partition may have something to commit: behind a pause that is not kept for the rest of the interval. */
  changed(): void {
    if (!this.#isIdle) return;
    this.#isIdle = false;
    if (this.#waitMs <= 0) this.ask();
  }

  /** Asks for a commit before the interval is over. */
  ask(): void {
    this.#asked.abort(ASKED);
  }

  /** Whether folding may go on; asks for a commit in time. */
  get hasRoom(): boolean {
    const bytes = this.#pendingBytes;
    if (bytes >= this.limits.earlyBytes) this.ask();
    const isSlow = this.#committing && this.clock.monotonic() - this.#begunAt > SLOW_COMMIT_MS;
    return bytes + this.#unacknowledged < this.limits.maxBytes && !isSlow;
  }

  /** Resolves when there is room for more pending outputs. */
  async room(signal: AbortSignal): Promise<void> {
    while (!this.hasRoom && !signal.aborted) await this.#room.wait(signal);
  }

  /**
   * Begins a commit in every interval, and whenever enough waits, until the signal is aborted. Where the
   * log can, enough is written ahead of the commit instead.
   *
   * @param stop ends the waiting for a full disk: what goes on until its commit, such as a checkpoint, would hold
   * a stop up otherwise
   * @throws {LostError}
   */
  async run(signal: AbortSignal, stop: AbortSignal = never()): Promise<void> {
    const mayWait = AbortSignal.any([signal, stop]);
    const ask = () => this.ask();
    signal.addEventListener("abort", ask);
    try {
      while (!signal.aborted) {
        await this.#wait();
        if (this.#waitMs > 0 && !signal.aborted && this.#writeAhead()) continue;
        await this.commit(mayWait);
      }
    } finally {
      signal.removeEventListener("abort", ask);
    }
  }

  get #waitMs(): number {
    return this.#begunAt + this.intervalMs - this.clock.monotonic();
  }

  async #wait(): Promise<void> {
    const { clock, intervalMs } = this;
    const wasIdle = this.#isIdle;
    // Who asked during the last commit is heard now.
    await clock.sleep(wasIdle ? intervalMs : Math.max(0, this.#waitMs), this.#asked.signal);
    this.#asked = new AbortController();
    if (!wasIdle || this.#isIdle) return;
    await clock.sleep(GATHERING_SHARE * intervalMs, this.#asked.signal);
    this.#asked = new AbortController();
  }

  /** Takes what the partitions have; one that is not at rest has nothing. */
  #take(): Taken[] {
    const taken = [...this.#partitions].map((from) => ({ from, pending: from.take() }))
      .filter((t): t is Taken => t.pending !== null);
    if (taken.length > 0) this.#room.wake(); // else no room was made
    return taken;
  }

  /** Writes what waits ahead of its commit; false if a commit is to be made instead. */
  #writeAhead(): boolean {
    if (!this.session.ahead || this.#aheadBytes >= AHEAD_BYTES_MAX) return false;
    const taken = this.#take();
    this.#ahead.push(...taken);
    const outputs = outputsOf(taken);
    if (outputs.length === 0) return true;
    const bytes = bytesOf(outputs);
    this.#aheadBytes += bytes;
    this.#unacknowledged += bytes;
    void this.session.ahead.write(outputs).then(() => {
      this.#unacknowledged -= bytes;
      this.#room.wake();
    }, () => {}); // the commit reports it
    return true;
  }

  /**
   * Commits what is pending now, and what was written ahead.
   *
   * @param signal until it is aborted, a disk that is full is waited for
   * @throws {LostError} when it is not known to be committed
   */
  async commit(signal?: AbortSignal): Promise<void> {
    if (this.#committing) throw new Error("A commit is under way");
    const from = this.clock.monotonic();
    const last = this.#take();
    const all = [...this.#ahead, ...last];
    this.#isIdle = all.length === 0;
    if (this.#isIdle) return;
    this.#begunAt = from;
    this.#ahead = [];
    this.#aheadBytes = 0;
    this.#committing = true;
    const span = this.tracing && this.#spanOf(this.tracing, all);
    const committing = this.session.commit({
      positions: positionsOf(all),
      outputs: outputsOf(last),
      ...(span ? { trace: span.context } : {}),
    }, signal);
    if (span) endWith(span, committing, (outcome) => outcome === "committed" ? null : outcome);
    const outcome = await committing;
    this.#committing = false;
    this.#room.wake();
    if (outcome !== "committed") throw new LostError(`A commit of ${this.session.input} was lost`);
    this.statistics.add(this.clock.monotonic() - from, this.clock.now());
    for (const { from, pending } of all) from.acknowledge(pending);
  }

  /** A commit is traced if something is that it serves. */
  #spanOf(tracing: Tracing, all: readonly Taken[]): Span | null {
    const served = all.flatMap(({ pending }) => pending.traces ?? []);
    if (served.length === 0) return null;
    const partitions = new Set(all.map(({ from }) => from.partition));
    return startServing(tracing, "commit", served, {
      attributes: { topic: this.session.input, partitions: [...partitions].join(",") },
    });
  }
}

function outputsOf(taken: readonly Taken[]): TopicOutput[] {
  return taken.flatMap(({ pending }) => pending.outputs);
}

function bytesOf(outputs: readonly TopicOutput[]): number {
  return outputs.flatMap((output) => output.batches).reduce((n, batch) => n + batch.length, 0);
}

/** The position behind the last that was taken of each partition. */
function positionsOf(taken: readonly Taken[]): ({ partition: number } & CommittedPosition)[] {
  const last = new Map(taken.map(({ from, pending }) => [from.partition, pending.position]));
  return [...last].map(([partition, position]) => ({ partition, ...position }));
}
