import { getLogger } from "@logtape/logtape";
import type { ClaimedPartition, LogSession } from "../log/mod.ts";
import { CheckpointChain, FencedError, foldParametersHash, type Manifest } from "../state/mod.ts";
import { decodeBatch, decodeUtf8 } from "../types/mod.ts";
import { Checkpointer } from "./checkpointer.ts";
import { Committer } from "./committer.ts";
import { LostError } from "./errors.ts";
import type { JobContext } from "./job_context.ts";
import { Owner } from "./owners.ts";
import { PartitionProcessor, type PendingTransactions } from "./partition_processor.ts";
import { positionOf, rebuild, type RecoveryContext, replay, restore } from "./recovery.ts";
import { supervise, together } from "./supervise.ts";

const log = getLogger(["stockflow", "job"]);

/** Bytes that are read of a partition at a time. */
const READ_BYTES = 256 * 1024;
/** How long a read waits at the end of the log. */
const READ_WAIT_MS = 500;
/** How long folding goes on before others have their turn. */
const TURN_MS = 4;
/** How often it is looked whether a checkpoint is due. */
const CHECKPOINT_LOOK_MS = 250;

/** A partition that the worker owns. */
interface Member {
  readonly claimed: ClaimedPartition;
  readonly processor: PartitionProcessor;
  readonly checkpointer: Checkpointer;
  readonly chain: CheckpointChain;
  readonly owner: Owner;
}

/** Folds partitions of the transaction topic: claim, recover, then fold and commit until it stops. */
export class TransactionWorker {
  members: readonly Member[] = [];
  commits = 0;
  recoveries = 0;
  lastCommitMs = 0;
  lastCommitAt: number;
  /** Records folded with outputs, by processors that are gone. */
  #recordsBefore = 0;

  constructor(readonly job: JobContext, readonly partitions?: readonly number[]) {
    this.lastCommitAt = job.clock.now();
  }

  get recordsIn(): number {
    return this.members.reduce((n, m) => n + m.processor.recordsIn, this.#recordsBefore);
  }

  /**
   * Runs until the signal asks it to stop; then finishes the batch, commits and takes a checkpoint.
   *
   * @throws {StopError}
   */
  run(stop: AbortSignal): Promise<void> {
    const { clock, chance, settings } = this.job;
    return supervise(() => this.#session(stop), stop, {
      name: `Transactions of ${this.job.wiring.transactions.topic}`,
      clock,
      chance,
      attempts: settings.restartAttempts,
      progress: () => this.commits,
      onRecovery: () => this.recoveries++,
    });
  }

  async #session(stop: AbortSignal): Promise<void> {
    const { job } = this;
    const { transactionLog, wiring } = job;
    const session = await transactionLog.claim(wiring.transactions.topic, this.partitions);
    try {
      const members: Member[] = [];
      for (const claimed of session.partitions) {
        members.push(await this.#recover(session, claimed, stop));
        this.members = members;
        if (stop.aborted) return;
      }
      const committer = new Committer(
        session,
        members.map((m) => this.#sourceOf(m)),
        job.settings.commitIntervalMs,
        job.clock,
      );
      await this.#work(session, committer, stop);
      await committer.commit();
      for (const { checkpointer } of members) {
        if (job.settings.checkpointIntervalMs > 0) await checkpointer.take(NEVER);
      }
    } finally {
      this.#recordsBefore = this.recordsIn;
      for (const { claimed } of this.members) job.owners.set(claimed.partition, null);
      this.members = [];
    }
  }

  async #work(session: LogSession, committer: Committer, stop: AbortSignal): Promise<void> {
    const folded = new AbortController();
    const checkpointed = new AbortController();
    await together([
      async (failed) => {
        const signal = AbortSignal.any([stop, failed]);
        await together(
          this.members.map((member) => (sibling) =>
            this.#foldLoop(session, member, committer, AbortSignal.any([signal, sibling]))
          ),
        );
        folded.abort();
      },
      // A checkpoint under way needs one more commit, so commits go on until it is done.
      async (failed) => {
        await this.#checkpointLoop(AbortSignal.any([stop, failed]), failed);
        checkpointed.abort();
      },
      async (failed) => {
        const signal = AbortSignal.any([failed, all(folded.signal, checkpointed.signal)]);
        await committer.run(signal);
      },
    ]);
  }

  // ---- recovery ----

  async #recover(
    session: LogSession,
    claimed: ClaimedPartition,
    stop: AbortSignal,
  ): Promise<Member> {
    const { job } = this;
    const { store, settings, clock } = job;
    const { partition } = claimed;
    const from = clock.monotonic();
    const context: RecoveryContext = {
      store,
      session,
      logId: job.transactionLog.id,
      parameters: job.parameters,
      coreOptions: job.coreOptions,
      clock,
    };
    const owner = await store.takeOver(partition);
    const restored = await restore(context, claimed);
    for (const { sequence, reason } of restored.damaged) {
      const offset = claimed.committed.offset;
      await store.history.add({
        kind: "damaged",
        at: clock.now(),
        partition,
        sequence,
        offset,
        reason,
      });
    }
    const hash = foldParametersHash(job.parameters);
    let processor = this.#processor(restored.core, claimed, hash);
    processor.lastBatch = restored.manifest?.lastBatch ?? null;
    let start = claimed.committed.start;
    const changed = restored.manifest && foldParametersHash(restored.manifest.parameters) !== hash;
    if (changed) {
      processor = await this.#changeParameters(processor, claimed, hash);
      start = null;
    }
    const base = restored.manifest && !changed ? restored.manifest : null;
    const chain = await CheckpointChain.open(store, owner, settings.checkpointsRetained, base);
    const checkpointer = new Checkpointer(processor, chain, start, {
      intervalMs: settings.checkpointIntervalMs,
      timeoutMs: settings.checkpointTimeoutMs,
      recordsMax: settings.recoveryRecordsMax,
      parameters: job.parameters,
      logId: job.transactionLog.id,
      clock,
    }, base && positionOf(base));
    if (changed) {
      const published = await checkpointer.take(stop, true);
      if (!published) {
        throw new LostError("The checkpoint under the new parameters was not published");
      }
    }
    await replay(context, claimed, processor, async () => {
      if (!stop.aborted && checkpointer.due) await checkpointer.take(stop);
    });
    await this.#tellRestored(claimed, restored.manifest, processor, clock.monotonic() - from);
    const member = { claimed, processor, checkpointer, chain, owner: new Owner(processor) };
    job.owners.set(partition, member.owner);
    this.#lookReady(member);
    return member;
  }

  #processor(
    core: PartitionProcessor["core"],
    claimed: ClaimedPartition,
    hash: string,
  ): PartitionProcessor {
    const { topics, clock, transactionWaiters: waiters } = this.job;
    const onOutcomes = waiters &&
      ((partition: number, first: number, outcomes: Uint8Array) =>
        waiters.deliver(partition, first, outcomes));
    return new PartitionProcessor(
      claimed.partition,
      core,
      topics,
      clock,
      claimed.committed,
      hash,
      onOutcomes,
    );
  }

  /**
   * Other fold parameters than the checkpoint's, which stands exactly at the committed position: open
   * windows are fired under the old ones, the stock goes on under the new ones.
   */
  async #changeParameters(
    old: PartitionProcessor,
    claimed: ClaimedPartition,
    hash: string,
  ): Promise<PartitionProcessor> {
    log.warn("Fold parameters of partition {partition} have changed: open windows are fired now", {
      partition: claimed.partition,
    });
    await old.fireIdle();
    const core = rebuild(old.core, this.job.coreOptions(claimed.partition));
    const next = this.#processor(core, {
      ...claimed,
      committed: { ...claimed.committed, start: null },
    }, hash);
    next.lastBatch = old.lastBatch;
    next.adopt(old);
    return next;
  }

  async #tellRestored(
    { partition, committed }: ClaimedPartition,
    manifest: Manifest | null,
    { core, position }: PartitionProcessor,
    durationMs: number,
  ): Promise<void> {
    const { store, clock } = this.job;
    const from = manifest ? positionOf(manifest).offset : committed.start ?? 0;
    if (!manifest && position === 0) return;
    const items = Number(core.state.items);
    const sequence = manifest?.sequence ?? 0;
    log.info(
      "Partition {partition}: {items} items from checkpoint {sequence}, {replayed} records folded again, {ms} ms",
      { partition, items, sequence, replayed: position - from, ms: Math.round(durationMs) },
    );
    const offset = committed.offset;
    await store.history.add({
      kind: "restored",
      at: clock.now(),
      partition,
      sequence,
      offset,
      durationMs,
      items,
    });
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
    const { clock, settings } = this.job;
    const { processor } = member;
    let idleSince: number | null = null;
    let turn = clock.monotonic();
    while (!signal.aborted) {
      await committer.room(signal);
      const { batches, highWatermark } = await session.read(
        processor.partition,
        processor.position,
        { maxBytes: READ_BYTES, waitMs: READ_WAIT_MS, signal },
      );
      if (batches.length === 0) {
        if (signal.aborted || processor.position !== highWatermark) continue;
        idleSince ??= clock.monotonic();
        if (clock.monotonic() - idleSince < settings.idleTimeoutMs) continue;
        if (processor.core.info.openWindows > 0) await processor.fireIdle();
        continue;
      }
      idleSince = null;
      for (const batch of batches) {
        await processor.fold(batch);
        this.#lookReady(member);
        if (signal.aborted) break;
        if (clock.monotonic() - turn < TURN_MS) continue;
        await clock.yield();
        turn = clock.monotonic();
      }
    }
  }

  async #checkpointLoop(stop: AbortSignal, failed: AbortSignal): Promise<void> {
    const { clock } = this.job;
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

  #sourceOf({ processor, checkpointer }: Member) {
    return {
      partition: processor.partition,
      get pendingBytes() {
        return processor.pendingBytes;
      },
      take: () => processor.take(),
      acknowledge: (pending: PendingTransactions) => {
        processor.acknowledge(pending);
        this.commits++;
        this.lastCommitAt = this.job.clock.now();
        checkpointer.onCommitted();
        this.#deliver(pending);
      },
    };
  }

  /** Gives the committed values to the sinks in this process. */
  #deliver({ results, summaries }: PendingTransactions): void {
    const { wiring, codec } = this.job;
    if (wiring.results.hasCallbacks && results.length > 0) {
      wiring.results.deliver(valuesOf(results).map((v) => codec.parseTransactionResult(v)));
    }
    if (wiring.summaries.hasCallbacks && summaries.length > 0) {
      wiring.summaries.deliver(valuesOf(summaries).map((v) => codec.parseSummary(v)));
    }
  }
}

const NEVER = new AbortController().signal;

function valuesOf(batches: readonly Uint8Array[]): string[] {
  return batches.flatMap((batch) => decodeBatch(batch)).map((record) => decodeUtf8(record.value!)!);
}

/** Aborted when both are. */
function all(a: AbortSignal, b: AbortSignal): AbortSignal {
  const both = new AbortController();
  const look = () => a.aborted && b.aborted && both.abort();
  a.addEventListener("abort", look);
  b.addEventListener("abort", look);
  look();
  return both.signal;
}

function lostIfFenced(error: unknown): never {
  if (error instanceof FencedError) throw new LostError(error.message, { cause: error });
  throw error;
}
