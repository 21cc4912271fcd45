import { getLogger } from "@logtape/logtape";
import type { LogSession } from "../../log/mod.ts";
import { FencedError } from "../../state/mod.ts";
import { type CommitSource, Committer } from "./committer.ts";
import { LostError } from "../errors.ts";
import type { JobWorker } from "../job_worker.ts";
import type { PendingTransactions } from "./partition_processor.ts";
import { type PartitionFigures, type WorkerFigures } from "./figures.ts";
import { type Member, recoverPartition } from "./recover_partition.ts";
import { TimeShares } from "./time_shares.ts";
import type { WorkerContext } from "./worker_context.ts";
import { supervise, together } from "../supervise.ts";

const log = getLogger(["stockflow", "job"]);

/** Bytes that are read of a partition at a time. */
const READ_BYTES = 256 * 1024;
/** How long a read waits at the end of the log. */
const READ_WAIT_MS = 500;
/** How long folding goes on before others have their turn. */
const TURN_MS = 4;
/** How often it is looked whether a checkpoint is due. */
const CHECKPOINT_LOOK_MS = 250;

/** Folds partitions of the transaction topic: claim, recover, then fold and commit until it stops. */
export class TransactionWorker implements JobWorker {
  members: readonly Member[] = [];
  commits = 0;
  recoveries = 0;
  /** Records folded with outputs, by processors that are gone. */
  #recordsBefore = 0;

  readonly #shares: TimeShares;
  #committer: Committer | null = null;

  constructor(readonly context: WorkerContext) {
    this.#shares = new TimeShares(context.clock);
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
      commitMs: this.#committer?.lastMs ?? 0,
      commitAt: this.#committer?.lastAt ?? null,
      shares: this.#shares.take(),
      partitions: this.members.map(figuresOf),
    };
  }

  async checkpointNow(partition: number): Promise<number | null> {
    const member = this.members.find((m) => m.claimed.partition === partition);
    if (!member) throw new LostError(`Partition ${partition} is not owned at the moment`);
    await member.checkpointer.take(NEVER);
    return member.chain.newest;
  }

  /**
   * Runs until the signal asks it to stop; then finishes the batch, commits and takes a checkpoint.
   *
   * @throws {StopError}
   */
  run(stop: AbortSignal): Promise<void> {
    const { clock, chance, settings, topics } = this.context;
    return supervise(() => this.#session(stop), stop, {
      name: `Transactions of ${topics.input}`,
      clock,
      chance,
      attempts: settings.restartAttempts,
      progress: () => this.commits,
      onRecovery: () => this.recoveries++,
    });
  }

  async #session(stop: AbortSignal): Promise<void> {
    const { context } = this;
    const session = await context.log.claim(context.topics.input, context.partitions, stop);
    try {
      for (const claimed of session.partitions) {
        const member = await recoverPartition(context, session, claimed, stop);
        this.members = [...this.members, member];
        context.onOwner(claimed.partition, member.owner);
        this.#lookReady(member);
        if (stop.aborted) return;
      }
      this.#tellRecovered();
      await this.#work(session, stop);
    } finally {
      this.#recordsBefore = this.recordsIn;
      for (const { claimed } of this.members) context.onOwner(claimed.partition, null);
      this.members = [];
      session.close?.();
    }
  }

  async #work(session: LogSession, stop: AbortSignal): Promise<void> {
    const { settings, clock } = this.context;
    const sources = this.members.map((member) => this.#sourceOf(member));
    const committer = new Committer(session, sources, settings.commitIntervalMs, clock);
    this.#committer = committer;
    // A checkpoint under way needs one more commit: commits go on until folding and it are done.
    const done = new AbortController();
    await together([
      async (failed) => {
        const signal = AbortSignal.any([stop, failed]);
        await together([
          ...this.members.map((member) => (sibling: AbortSignal) =>
            this.#foldLoop(session, member, committer, AbortSignal.any([signal, sibling]))
          ),
          (sibling) => {
            const given = AbortSignal.any([failed, sibling]);
            return this.#checkpointLoop(AbortSignal.any([signal, sibling]), given);
          },
        ]);
        done.abort();
      },
      (failed) => committer.run(AbortSignal.any([failed, done.signal])),
    ]);
    await committer.commit();
    if (settings.checkpointIntervalMs === 0) return;
    for (const { checkpointer } of this.members) {
      await checkpointer.take(NEVER).catch(lostIfFenced);
    }
  }

  #tellRecovered(): void {
    const sum = (of: (m: Member) => number) => this.members.reduce((n, m) => n + of(m), 0);
    const items = sum((m) => m.recovery.items);
    const replayed = sum((m) => m.recovery.replayed);
    if (items === 0 && replayed === 0) return;
    log.info(
      "Recovered {items} items in {ms} ms: {restored} from checkpoints, {replayed} records folded again",
      {
        items,
        ms: Math.round(sum((m) => m.recovery.durationMs)),
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
      if (!committer.hasRoom) await shares.measure("backPressured", () => committer.room(signal));
      const options = { maxBytes: READ_BYTES, waitMs: READ_WAIT_MS, signal };
      const { batches, highWatermark } = await shares.measure(
        "idle",
        () => session.read(processor.partition, processor.position, options),
      );
      if (batches.length === 0) {
        if (signal.aborted || processor.position !== highWatermark) continue;
        idleSince ??= clock.monotonic();
        const idle = clock.monotonic() - idleSince >= settings.idleTimeoutMs;
        if (idle && processor.core.info.openWindows > 0) await processor.fireIdle();
        continue;
      }
      idleSince = null;
      for (const batch of batches) {
        await shares.measure("busy", () => processor.fold(batch));
        this.#lookReady(member);
        if (signal.aborted) break;
        if (clock.monotonic() - turn < TURN_MS) continue;
        await clock.yield();
        turn = clock.monotonic();
      }
    }
  }

  /** Takes checkpoints as they fall due; the one under way is finished unless something failed. */
  async #checkpointLoop(stop: AbortSignal, failed: AbortSignal): Promise<void> {
    const { clock } = this.context;
    const swept = new Set<Member>();
    while (!stop.aborted) {
      for (const member of this.members) {
        const { checkpointer, chain } = member;
        if (stop.aborted || !checkpointer.due) continue;
        const manifest = await checkpointer.take(failed).catch(lostIfFenced);
        if (!manifest || swept.has(member)) continue;
        // Once, behind the first checkpoint: what a crash left.
        await chain.sweep().catch(lostIfFenced);
        swept.add(member);
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
        checkpointer.onCommitted();
        this.context.onCommitted(pending.results, pending.summaries);
      },
    };
  }
}

function figuresOf({ processor, checkpointer, claimed }: Member): PartitionFigures {
  const { core, position } = processor;
  const { state, info } = core;
  return {
    partition: claimed.partition,
    position,
    items: Number(state.items),
    accepted: Number(state.accepted),
    rejected: Number(state.rejected),
    late: Number(state.late),
    farAhead: Number(state.farAhead),
    invalid: state.invalid.map(Number),
    stateBytes: info.tableBytes + info.windowBytes + info.keyBytes,
    openWindows: info.openWindows,
    alerts: info.alerts,
    checkpointMs: checkpointer.last?.durationMs ?? null,
    checkpointAt: checkpointer.last?.at ?? null,
  };
}

const NEVER = new AbortController().signal;

/** Who is fenced off by the store takes the recovery path, like one whose commit was lost. */
function lostIfFenced(error: unknown): never {
  if (error instanceof FencedError) throw new LostError(error.message, { cause: error });
  throw error;
}
