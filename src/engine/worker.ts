// A worker: claims partitions of the transaction topic, recovers them, and then
//
//   read -> fold -> write -> commit
//
// until it is asked to stop, or the claim is over (fold_and_commit.ts). Whatever fails ends the claim, and the next one begins: the
// one recovery path (supervise.ts, recover.ts). What stands at the next claim goes on without being recovered.
//
// Partitions are assigned and revoked at run time while the others go on (assignments.ts).

import { getLogger } from "@logtape/logtape";
import { type LogSession, LostError } from "../log/mod.ts";
import { Assignments } from "./assignments.ts";
import { endBehindClaim, takeAsDue, takeAtStop } from "./checkpoints_due.ts";
import { Committer, FoldLoop } from "./fold_and_commit.ts";
import { CommitStatistics } from "./durations.ts";
import type { JobWorker } from "./job_worker.ts";
import { ProgressReporter } from "./progress.ts";
import { MemoryWatch } from "./memory_watch.ts";
import { beingRecovered, type Partition } from "./partition.ts";
import type { PendingTransactions } from "./pending.ts";
import {
  addCause,
  type HotItemFigures,
  type RecoveryCause,
  type WorkerFigures,
} from "./figures.ts";
import { hottestOf } from "./hot_items.ts";
import { ClaimRecovery, type ToRecover } from "./recover.ts";
import { reportRecovered } from "./report_recovered.ts";
import { TimeShares } from "./time_shares.ts";
import { givenUp } from "./turns.ts";
import { never, orAborted, Waiters } from "./waiters.ts";
import type { WorkerContext } from "./worker_context.ts";
import { Loops, supervise, together } from "./supervise.ts";

const log = getLogger(["stockflow", "job"]);

/** What is recovered while others are folded. */
interface RecoveringBeside extends ToRecover {
  /** To be called when all run. */
  readonly all: () => void;
}

/** What the loops of one claim share. */
interface Work {
  readonly session: LogSession;
  readonly committer: Committer;
  readonly loops: Loops;
  /** Settles when a partition is folded no more. */
  readonly folding: Map<Partition, Promise<void>>;
  /** Aborted when folding is to end. */
  readonly signal: AbortSignal;
}

/** Folds partitions of the transaction topic: claim, recover, then fold and commit until it stops. */
export class TransactionWorker implements JobWorker {
  /** Those that run, by their numbers. */
  partitions: readonly Partition[] = [];
  /** The session of the last claim. */
  #reading: LogSession | null = null;
  commits = 0;
  recoveries = 0;
  /** Whether all partitions of the claim run, and the commits that were acknowledged then. */
  #areAllRunning = false;
  #progress = 0;
  /** Whether the last checkpoints of a worker that stops are taken. */
  #areLastTaken = false;
  /** Records folded with outputs, by processors that are gone. */
  #recordsBefore = 0;

  readonly #recovery: ClaimRecovery;
  readonly #memory: MemoryWatch;
  /** Aborted when the partitions are given up. */
  #over = new AbortController();
  readonly #shares: TimeShares;
  readonly #folding: FoldLoop;
  readonly #committed = new CommitStatistics();
  #recordsOut = 0;
  #summariesOut = 0;
  /** Is woken by every commit. */
  readonly #commits = new Waiters();
  #causes: readonly RecoveryCause[] = [];
  readonly #assignments: Assignments;

  constructor(readonly context: WorkerContext) {
    this.#shares = new TimeShares(context.clock);
    this.#memory = new MemoryWatch(context.memory, context.conditions);
    this.#folding = new FoldLoop(context, this.#shares, this.#memory);
    this.#recovery = new ClaimRecovery({
      context,
      onAcknowledged: (pending) => this.#onAcknowledged(pending),
      onRuns: (partition) => this.#onRuns(partition),
    });
    this.#assignments = new Assignments(
      context.partitions ?? null,
      context.partitionsAreGiven,
    );
  }

  /** Records folded with outputs since the start. */
  get recordsIn(): number {
    return this.partitions.reduce((n, p) => n + p.processor.recordsIn, this.#recordsBefore);
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
      commitDurations: this.#committed.durations.snapshot(),
      recordsOut: this.#recordsOut,
      summariesOut: this.#summariesOut,
      linesDropped: 0, // its thread counts them, if it has one
      shares: this.#shares.recent(),
      partitions: this.partitions.map((p) => p.figures(this.#reading?.endOf(p.partition) ?? null)),
    };
  }

  folds(partition: number): boolean {
    return this.partitions.some((p) => p.partition === partition);
  }

  hotItems(count: number): Promise<HotItemFigures> {
    return Promise.resolve(
      hottestOf(this.partitions.map((p) => p.processor.hot.top(count)), count),
    );
  }

  async checkpointNow(partition: number): Promise<number | null> {
    const offline = this.#reading?.offline.get(partition);
    if (offline !== undefined) {
      throw new LostError(`Partition ${partition} is left out: ${offline}`);
    }
    const found = this.partitions.find((p) => p.partition === partition);
    if (!found) throw beingRecovered(partition);
    return await found.checkpointNow(AbortSignal.any([this.#over.signal, this.#reading!.ending]));
  }

  /**
   * Runs until the signal asks it to stop; then finishes the batch, commits and takes a checkpoint.
   *
   * @throws {StopError}
   */
  async run(stop: AbortSignal): Promise<void> {
    try {
      await this.#supervised(stop);
      await this.#takeLeft();
    } finally {
      await this.#recovery.atRest(); // the store is closed behind it
    }
  }

  #supervised(stop: AbortSignal): Promise<void> {
    const { clock, chance, settings, topics, conditions } = this.context;
    return supervise((begun) => this.#session(stop, begun), stop, {
      name: `Transactions of ${topics.input}`,
      clock,
      chance,
      attempts: settings.restartAttempts,
      retries: settings.logRetries,
      progress: () => this.#progress,
      onRecovery: (cause) => {
        this.recoveries++;
        this.#causes = addCause(this.#causes, { at: clock.now(), cause });
      },
      conditions,
      condition: "transactions",
    });
  }

  async #session(stop: AbortSignal, begun: () => void): Promise<void> {
    do await this.#claim(stop, begun); while (!stop.aborted);
  }

  /** Takes the last checkpoints of what its last claim has left: the stop came behind the end of that one. */
  async #takeLeft(): Promise<void> {
    if (this.context.settings.checkpointIntervalMs === 0) return;
    const left = this.#recovery.left.filter((partition) => partition.isCommitted);
    await takeAtStop(left, Promise.resolve(), () => true);
  }

  assign(partition: number, signal: AbortSignal = never()): Promise<void> {
    return this.#assignments.assign(partition, signal);
  }

  revoke(partition: number, signal: AbortSignal = never()): Promise<void> {
    return this.#assignments.revoke(partition, signal);
  }

  // ---- a claim ----

  /**
   * One claim, until it is asked to stop, or the claim is over, or about to be.
   *
   * @param begun is called once all partitions run
   */
  async #claim(stop: AbortSignal, begun: () => void): Promise<void> {
    const { context } = this;
    const over = this.#over = new AbortController();
    const session = await this.#claimed(stop);
    this.#reading = session;
    const offline = session.offline;
    for (const [partition, reason] of offline) context.onOffline?.(partition, reason);
    let sent: "acknowledged" | "not acknowledged" | null = null;
    const from = context.clock.monotonic();
    const progress = this.#progressOf(session.partitions.map((p) => p.partition));
    const all = () => {
      progress.end();
      reportRecovered(this.partitions, context.clock.monotonic() - from);
      this.#areAllRunning = true;
      begun();
    };
    this.#areAllRunning = false;
    try {
      const recovering = { session, progress, lost: await this.#recovery.keepAll(session) };
      // What stands goes on at once, and the others are recovered beside it.
      const isBeside = this.partitions.length > 0 && recovering.lost.length > 0;
      if (!isBeside) await this.#recovery.recoverAll(recovering, stop);
      if (stop.aborted && !this.#foldsAll(recovering.lost)) throw givenUp();
      if (stop.aborted) return;
      if (!isBeside && !session.ending.aborted) all();
      sent = "not acknowledged";
      await this.#work(session, stop, isBeside ? { ...recovering, all } : null);
      sent = "acknowledged";
    } finally {
      progress.end();
      over.abort("over"); // without a reason an error with a stack is made
      if (!this.#areLastTaken) this.#recovery.leave(this.partitions);
      for (const partition of this.partitions) this.#release(partition);
      for (const partition of session.offline.keys()) context.onOwner(partition, null);
      session.close();
      this.#assignments.ended(sent);
    }
  }

  async #claimed(stop: AbortSignal): Promise<LogSession> {
    const { log, topics, partitions, worker = partitions?.[0] ?? 0 } = this.context;
    try {
      const session = await log.claim(topics.input, this.#assignments.claiming(), stop, worker);
      this.#assignments.begun(session.partitions.map((p) => p.partition));
      return session;
    } catch (error) {
      this.#assignments.ended(null);
      throw error;
    }
  }

  #progressOf(partitions: readonly number[]): ProgressReporter {
    const { clock, onProgress } = this.context;
    return new ProgressReporter(
      `partitions ${partitions}`,
      partitions.length,
      clock,
      onProgress ?? (() => {}),
    );
  }

  #onRuns(partition: Partition): void {
    this.partitions = [...this.partitions, partition].toSorted(byNumber);
    this.#assignments.runs(partition.partition);
    this.context.onOwner(partition.partition, partition);
    this.#memory.report(partition.processor, null);
  }

  #release(partition: Partition): void {
    this.#recordsBefore += partition.processor.recordsIn;
    partition.release();
    this.partitions = this.partitions.filter((p) => p !== partition);
    this.#assignments.released(partition.partition);
    this.context.onOwner(partition.partition, null);
    this.#memory.leave(partition.partition);
  }

  // ---- its work ----

  /** @param beside partitions that are recovered beside those that run */
  async #work(
    session: LogSession,
    stop: AbortSignal,
    beside: RecoveringBeside | null,
  ): Promise<void> {
    const { settings, clock, pendingLimits, tracing } = this.context;
    const committer = new Committer(
      session,
      this.partitions.map(({ processor }) => processor),
      settings.commitIntervalMs,
      clock,
      this.#committed,
      pendingLimits,
      tracing,
    );
    // Commits go on until folding is done; the last one is all that a checkpoint under way still needs.
    const done = new AbortController();
    const { ending } = session;
    const over = this.#over.signal;
    let checkpoints = Promise.resolve();
    await together([
      async (failed) => {
        const loops = new Loops();
        const broken = AbortSignal.any([failed, loops.failed]);
        const signal = AbortSignal.any([stop, ending, broken]);
        const given = AbortSignal.any([ending, broken, over]);
        const work: Work = { session, committer, loops, folding: new Map(), signal };
        for (const partition of this.partitions) this.#go(work, partition);
        checkpoints = takeAsDue({
          partitions: () => this.partitions,
          areOthersRecovered: () => !this.#areAllRunning,
          clock,
          stop: signal,
          givenUp: given,
        });
        // The claim does not wait for the one under way: it ends behind the claim.
        void loops.add(() => orAborted(checkpoints, signal));
        void loops.add(() => this.#follow(work));
        if (beside) void loops.add(() => this.#recoverBeside(work, beside, stop, broken));
        await loops.ended();
        done.abort("done");
      },
      (failed) => committer.run(AbortSignal.any([failed, done.signal]), stop),
    ]);
    await committer.commit();
    if (!stop.aborted) return void endBehindClaim(checkpoints);
    // Where others may have the partitions next, they need not wait for the checkpoints.
    const isReleased = () => (this.context.partitionsAreGiven ?? false) || ending.aborted;
    if (isReleased()) session.close();
    else ending.addEventListener("abort", () => session.close());
    if (settings.checkpointIntervalMs > 0) {
      await takeAtStop(this.partitions, checkpoints, isReleased);
    }
    this.#areLastTaken = true;
    if (!this.#areAllRunning) throw givenUp();
  }

  /** Recovers partitions while others go on; those that a stop comes before are not. */
  async #recoverBeside(
    work: Work,
    beside: RecoveringBeside,
    stop: AbortSignal,
    broken: AbortSignal,
  ): Promise<void> {
    const runs = (partition: Partition) => {
      work.committer.add(partition.processor);
      this.#go(work, partition);
    };
    try {
      await this.#recovery.recoverAll(beside, AbortSignal.any([stop, broken]), runs);
    } catch (error) {
      if (!(error instanceof LostError) || !stop.aborted) throw error;
    }
    if (this.#foldsAll(beside.lost)) beside.all();
  }

  #foldsAll(claimed: ToRecover["lost"]): boolean {
    return claimed.every(({ partition }) => this.folds(partition));
  }

  /** A partition that runs is folded from now on. */
  #go({ session, committer, loops, folding, signal }: Work, partition: Partition): void {
    const until = AbortSignal.any([signal, partition.leaving]);
    folding.set(
      partition,
      loops.add(() => this.#folding.run(session, partition, committer, until)),
    );
  }

  // ---- assignments ----

  /** Takes partitions up and gives them up, each while the others go on. */
  async #follow(work: Work): Promise<void> {
    while (!work.signal.aborted) {
      for (let next = this.#assignments.next(); next; next = this.#assignments.next()) {
        const { partition, move } = next;
        void work.loops.add(() =>
          move === "assign" ? this.#join(work, partition) : this.#leave(work, partition)
        );
      }
      await this.#assignments.changed(work.signal);
    }
  }

  /** Claims and recovers one more partition, and folds it. */
  async #join(work: Work, number: number): Promise<void> {
    const { session, committer, signal } = work;
    const progress = this.#progressOf([number]);
    try {
      for (const claimed of await session.add([number], signal)) {
        await this.#recovery.recover(session, claimed, signal, progress);
      }
    } catch (error) {
      if (!signal.aborted) throw error; // else the session ends in good order without it
    } finally {
      progress.end();
    }
    const partition = this.partitions.find((p) => p.partition === number);
    if (!partition) {
      const offline = session.offline.get(number);
      if (offline !== undefined) this.context.onOffline?.(number, offline);
      return this.#assignments.leftOut(number);
    }
    log.info("Partition {partition} is taken up at offset {offset}", {
      partition: number,
      offset: partition.processor.position,
    });
    committer.add(partition.processor);
    this.#go(work, partition);
  }

  /** Stops folding a partition, commits what was folded, and releases it. */
  async #leave({ session, committer, folding, signal }: Work, number: number): Promise<void> {
    const partition = this.partitions.find((p) => p.partition === number)!;
    partition.leave();
    await folding.get(partition);
    await orAborted(partition.checkpointer.atRest(), signal);
    while (!partition.isCommitted && !signal.aborted) {
      committer.ask();
      await this.#commits.wait(signal);
    }
    if (!partition.isCommitted) return; // the session ends, and commits it or not like the others
    log.info("Partition {partition} is given up at offset {offset}", {
      partition: number,
      offset: partition.processor.position,
    });
    committer.remove(partition.processor);
    folding.delete(partition);
    session.remove([number]);
    this.#release(partition);
    this.#recovery.drop(partition);
  }

  #onAcknowledged(pending: PendingTransactions): void {
    const { buffers } = this.context;
    this.commits++;
    if (this.#areAllRunning) this.#progress++;
    this.#commits.wake();
    this.#recordsOut += pending.outputRecords;
    this.#summariesOut += pending.summaryRecords;
    for (const batch of pending.results) buffers?.give(batch);
  }
}

const byNumber = (a: Partition, b: Partition) => a.partition - b.partition;
