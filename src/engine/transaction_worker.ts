import { getLogger } from "@logtape/logtape";
import type { ClaimedPartition, LogSession } from "../log/mod.ts";
import { isNoRoom } from "../kv/mod.ts";
import { FencedError } from "../state/mod.ts";
import { type CommitSource, Committer } from "./committer.ts";
import { CommitStatistics } from "./durations.ts";
import { LostError } from "../log/mod.ts";
import type { JobWorker } from "./job_worker.ts";
import { ProgressReporter } from "./progress.ts";
import { MemoryWatch } from "./memory_watch.ts";
import type { PendingTransactions } from "./partition_processor.ts";
import {
  addCause,
  type PartitionFigures,
  type RecoveryCause,
  type WorkerFigures,
} from "./figures.ts";
import type { HotItemFigures } from "./hot_items.ts";
import { hottestOf } from "./hot_items.ts";
import { keepPartition, KEPT, type Member, recoverPartition } from "./recover_partition.ts";
import { StaleClaimError } from "./recovery.ts";
import { TimeShares } from "./time_shares.ts";
import { never } from "./waiters.ts";
import type { WorkerContext } from "./worker_context.ts";
import { NO_TIME } from "../wasm/mod.ts";
import { supervise, together } from "./supervise.ts";

const log = getLogger(["stockflow", "job"]);

/** Bytes that are read of a partition at a time. */
const READ_BYTES = 256 * 1024;
/** How long a read waits at the end of the log. */
const READ_WAIT_MS = 500;
/** Once a partition is ready, nothing but an idle firing hangs on the end of an empty read. */
const IDLE_WAIT_MS = 2000;
/** How long folding goes on before others have their turn. */
const TURN_MS = 4;
/** How often it is looked whether a checkpoint is due. */
const CHECKPOINT_LOOK_MS = 250;
/** How often it is looked whether there is memory again. */
const MEMORY_LOOK_MS = 1000;

/** Folds partitions of the transaction topic: claim, recover, then fold and commit until it stops. */
export class TransactionWorker implements JobWorker {
  members: readonly Member[] = [];
  /** The session of the last claim. */
  #reading: LogSession | null = null;
  commits = 0;
  recoveries = 0;
  /** Records folded with outputs, by processors that are gone. */
  #recordsBefore = 0;

  /** Positions of claims that recovery found older than a checkpoint, by partition. */
  readonly #doubted = new Map<number, number>();
  readonly #memory: MemoryWatch;
  /** Aborted when the partitions are given up. */
  #over = new AbortController();
  readonly #shares: TimeShares;
  readonly #committed = new CommitStatistics();
  #recordsOut = 0;
  #summariesOut = 0;
  #causes: readonly RecoveryCause[] = [];

  constructor(readonly context: WorkerContext) {
    this.#shares = new TimeShares(context.clock);
    this.#memory = new MemoryWatch(context.memory, context.conditions);
  }

  /** Records folded with outputs since the start. */
  get recordsIn(): number {
    return this.members.reduce((n, m) => n + m.processor.recordsIn, this.#recordsBefore);
  }

  figures(): WorkerFigures {
    const { commits, recoveries, recordsIn } = this;
    return {
      recordsIn,
      commits,
      recoveries,
      causes: this.#causes,
      commitMs: this.#committed.lastMs,
      commitAt: this.#committed.lastAt,
      commitDurations: this.#committed.durations.take(),
      recordsOut: this.#recordsOut,
      summariesOut: this.#summariesOut,
      linesDropped: 0, // its thread counts them, if it has one
      shares: this.#shares.take(),
      partitions: this.members.map((member) =>
        figuresOf(member, this.#reading?.endOf?.(member.claimed.partition) ?? null)
      ),
    };
  }

  hotItems(count: number): Promise<HotItemFigures> {
    return Promise.resolve(hottestOf(this.members.map((m) => m.processor.hot.top(count)), count));
  }

  async checkpointNow(partition: number): Promise<number | null> {
    const member = this.members.find((m) => m.claimed.partition === partition);
    // Before it is ready, it has not folded all that was answered.
    if (!member?.owner.isReady) throw new LostError(`Partition ${partition} is being recovered`);
    return await member.checkpointer.now(this.#over.signal).catch(lostIfFenced);
  }

  /**
   * Runs until the signal asks it to stop; then finishes the batch, commits and takes a checkpoint.
   *
   * @throws {StopError}
   */
  run(stop: AbortSignal): Promise<void> {
    const { clock, chance, settings, topics, conditions } = this.context;
    return supervise((begun) => this.#session(stop, begun), stop, {
      name: `Transactions of ${topics.input}`,
      clock,
      chance,
      attempts: settings.restartAttempts,
      retries: settings.logRetries,
      progress: () => this.commits,
      onRecovery: (cause) => {
        this.recoveries++;
        this.#causes = addCause(this.#causes, { at: clock.now(), cause });
      },
      conditions,
      condition: "transactions",
    });
  }

  async #session(stop: AbortSignal, begun: () => void): Promise<void> {
    let left: readonly Member[] = [];
    do left = await this.#claim(stop, left, begun); while (!stop.aborted);
  }

  /**
   * One claim, until it is asked to stop, or the claim is about to be over.
   *
   * @param left members that the claim before has left in good order
   * @param begun is called once all partitions are recovered
   * @returns the same of this one
   */
  async #claim(
    stop: AbortSignal,
    left: readonly Member[],
    begun: () => void,
  ): Promise<readonly Member[]> {
    const { context } = this;
    const over = this.#over = new AbortController();
    const session = await context.log.claim(context.topics.input, context.partitions, stop);
    this.#reading = session;
    const progress = new ProgressReporter(
      `partitions ${session.partitions.map((p) => p.partition)}`,
      session.partitions.length,
      context.clock,
      context.onProgress ?? (() => {}),
    );
    try {
      const from = context.clock.monotonic();
      // Side by side: while one waits for the store or the log, another folds.
      await together(session.partitions.map((claimed) => async (failed) => {
        const before = left.find((member) => member.claimed.partition === claimed.partition);
        const given = AbortSignal.any([stop, failed]);
        const member = (before && keepPartition(session, claimed, before)) ??
          await recoverPartition(context, session, claimed, given, progress)
            .catch((error) => this.#again(error, claimed));
        if (given.aborted) return;
        this.members = [...this.members, member].toSorted(byPartition);
        context.onOwner(claimed.partition, member.owner);
        this.#memory.report(member.processor, null);
        this.#lookReady(member);
      }));
      if (stop.aborted) return [];
      progress.end();
      this.#tellRecovered(context.clock.monotonic() - from);
      begun();
      await this.#work(session, stop);
      return this.members;
    } finally {
      progress.end();
      over.abort("over"); // without a reason an error with a stack is made
      this.#recordsBefore = this.recordsIn;
      for (const { claimed } of this.members) {
        context.onOwner(claimed.partition, null);
        this.#memory.leave(claimed.partition);
      }
      this.members = [];
      session.close?.();
    }
  }

  /** A claim that looks stale is made again; one that is no newer then is as it is. */
  #again(error: unknown, { partition, committed }: ClaimedPartition): never {
    if (!(error instanceof StaleClaimError)) throw error;
    if (this.#doubted.get(partition) === committed.offset) throw error;
    this.#doubted.set(partition, committed.offset);
    throw new LostError(error.message, { cause: error });
  }

  async #work(session: LogSession, stop: AbortSignal): Promise<void> {
    const { settings, clock, pendingLimits } = this.context;
    const sources = this.members.map((member) => this.#sourceOf(member));
    const committer = new Committer(
      session,
      sources,
      settings.commitIntervalMs,
      clock,
      this.#committed,
      pendingLimits,
    );
    // A checkpoint under way needs one more commit: commits go on until folding and it are done.
    const done = new AbortController();
    const ending = session.ending ?? never();
    await together([
      async (failed) => {
        const signal = AbortSignal.any([stop, failed, ending]);
        await together([
          ...this.members.map((member) => (sibling: AbortSignal) =>
            this.#foldLoop(session, member, committer, AbortSignal.any([signal, sibling]))
          ),
          (sibling) => {
            const given = AbortSignal.any([failed, sibling, ending]);
            return this.#checkpointLoop(AbortSignal.any([signal, sibling]), given);
          },
        ]);
        done.abort("done");
      },
      (failed) => committer.run(AbortSignal.any([failed, done.signal]), stop),
    ]);
    await committer.commit();
    if (settings.checkpointIntervalMs === 0 || !stop.aborted) return;
    for (const { checkpointer } of this.members) {
      await checkpointer.take(never(), false, "stop").catch(lostIfFenced);
    }
  }

  #tellRecovered(durationMs: number): void {
    const recovered = this.members.filter((m) => m.recovery !== KEPT);
    const kept = this.members.length - recovered.length;
    if (kept > 0) log.info("{kept} partitions go on where they were left", { kept });
    const sum = (of: (m: Member) => number) => recovered.reduce((n, m) => n + of(m), 0);
    const items = sum((m) => m.recovery.items);
    const replayed = sum((m) => m.recovery.replayed);
    if (items === 0 && replayed === 0) return;
    log.info(
      "Recovered {items} items in {ms} ms: {restored} from checkpoints, {replayed} records folded again",
      {
        items,
        ms: Math.round(durationMs),
        restored: sum((m) => m.recovery.restored),
        replayed,
      },
    );
  }

  #lookReady({ processor, claimed, owner }: Member): void {
    if (!owner.isReady && processor.position >= claimed.logEnd) owner.setReady();
  }

  // ---- loops ----

  async #foldLoop(
    session: LogSession,
    member: Member,
    committer: Committer,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, settings } = this.context;
    const { processor } = member;
    const shares = this.#shares;
    let idleSince: number | null = null;
    let turn = clock.monotonic();
    while (!signal.aborted) {
      // Another partition may take the room before this one has its turn.
      while (!committer.hasRoom && !signal.aborted) {
        await shares.measure("backPressured", () => committer.room(signal));
      }
      const waitMs = member.owner.isReady && processor.core.openWindows === 0
        ? IDLE_WAIT_MS
        : READ_WAIT_MS;
      const options = { maxBytes: READ_BYTES, waitMs, signal };
      const isTurnOver = clock.monotonic() - turn >= TURN_MS;
      // The read leaves before the turn ends, so that it reaches another thread with the outcomes before it.
      const [{ batches, highWatermark, watermark }] = await shares.measure(
        "idle",
        () =>
          Promise.all([
            session.read(processor.partition, processor.position, options),
            isTurnOver ? clock.yield() : null,
          ]),
      );
      if (isTurnOver) turn = clock.monotonic();
      if (watermark !== undefined && watermark > processor.core.watermark) {
        await processor.fireUpTo(watermark);
      }
      if (batches.length === 0) {
        if (signal.aborted || processor.position !== highWatermark) continue;
        // What the log held at the claim may have ended in offsets that readers skip.
        if (!member.owner.isReady) member.owner.setReady();
        idleSince ??= clock.monotonic();
        const idle = clock.monotonic() - idleSince >= settings.idleTimeoutMs;
        if (idle && processor.core.openWindows > 0) await processor.fireIdle();
        continue;
      }
      idleSince = null;
      for (const [index, batch] of batches.entries()) {
        this.context.onStep?.("folding", processor.partition);
        const { memory, holdsBack } = this.context;
        const knownItems = holdsBack && memory.roomIn(processor.partition) < 1;
        const stopped = await shares.measure("busy", () => processor.fold(batch, knownItems));
        this.context.onStep?.("waiting", processor.partition);
        this.#memory.report(processor, stopped);
        // What is behind stays unknown for as long as this lasts; what is known is told.
        if (stopped && !member.owner.isReady) member.owner.setReady();
        this.#lookReady(member);
        if (stopped) await shares.measure("idle", () => clock.sleep(MEMORY_LOOK_MS, signal));
        if (stopped || signal.aborted) break;
        if (index === batches.length - 1 || clock.monotonic() - turn < TURN_MS) continue;
        await clock.yield();
        turn = clock.monotonic();
      }
    }
  }

  /** Takes checkpoints as they fall due; the one under way is finished unless something failed. */
  async #checkpointLoop(stop: AbortSignal, failed: AbortSignal): Promise<void> {
    const { clock } = this.context;
    while (!stop.aborted) {
      for (const member of this.members) {
        const { checkpointer, chain } = member;
        if (stop.aborted || !checkpointer.due) continue;
        const manifest = await checkpointer.take(failed).catch(lostIfFenced);
        if (!manifest || !checkpointer.hasLeftovers) continue;
        // Behind the first checkpoint, what a crash left; behind a later one, what a full disk did.
        checkpointer.hasLeftovers = false;
        await chain.sweep().catch((error) => {
          checkpointer.hasLeftovers = true;
          if (!isNoRoom(error)) lostIfFenced(error);
        });
      }
      await clock.sleep(CHECKPOINT_LOOK_MS, stop);
    }
  }

  // ---- commits ----

  #sourceOf({ processor, checkpointer }: Member): CommitSource<PendingTransactions> {
    return {
      partition: processor.partition,
      get pendingBytes() {
        return processor.pendingBytes;
      },
      take: () => processor.take(),
      acknowledge: (pending) => {
        processor.acknowledge(pending);
        this.commits++;
        this.#recordsOut += pending.outputRecords;
        this.#summariesOut += pending.summaryRecords;
        checkpointer.onCommitted();
        this.context.onCommitted(pending.results, pending.summaries);
        for (const batch of pending.results) this.context.buffers?.give(batch);
      },
    };
  }
}

const byPartition = (a: Member, b: Member) => a.claimed.partition - b.claimed.partition;

function figuresOf(
  { processor, checkpointer, claimed, owner }: Member,
  logEnd: number | null,
): PartitionFigures {
  const { core, position } = processor;
  const { state, info } = core;
  return {
    partition: claimed.partition,
    position,
    logEnd,
    items: Number(state.items),
    accepted: Number(state.accepted),
    rejected: Number(state.rejected),
    late: Number(state.late),
    farAhead: Number(state.farAhead),
    invalid: state.invalid.map(Number),
    stateBytes: info.tableBytes + info.windowBytes + info.keyBytes,
    openWindows: info.openWindows,
    alerts: info.alerts,
    checkpointMs: checkpointer.lastMs,
    checkpointAt: checkpointer.newest?.publishedAt ?? null,
    checkpointFailure: checkpointer.lastFailure,
    checkpointFailures: checkpointer.failures,
    recordsIn: processor.recordsIn,
    firingMs: processor.firingMs,
    watermark: core.watermark === NO_TIME ? null : Number(core.watermark),
    isReady: owner.isReady,
    records: processor.recordCheck(),
    stocks: processor.stockCheck,
  };
}

/** Who is fenced off by the store takes the recovery path, like one whose commit was lost. */
function lostIfFenced(error: unknown): never {
  if (error instanceof FencedError) throw new LostError(error.message, { cause: error });
  throw error;
}
