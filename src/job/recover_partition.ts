import { getLogger } from "@logtape/logtape";
import type { ClaimedPartition, LogSession } from "../log/mod.ts";
import { CheckpointChain, foldParametersHash, type Manifest } from "../state/mod.ts";
import type { Core } from "../wasm/mod.ts";
import { Checkpointer } from "./checkpointer.ts";
import { LostError } from "./errors.ts";
import type { JobContext } from "./job_context.ts";
import { Owner } from "./owners.ts";
import { PartitionProcessor } from "./partition_processor.ts";
import { positionOf, rebuild, type RecoveryContext, replay, restore } from "./recovery.ts";

const log = getLogger(["stockflow", "job"]);

/** A partition that is owned and stands at its committed position. */
export interface Member {
  readonly claimed: ClaimedPartition;
  readonly processor: PartitionProcessor;
  readonly checkpointer: Checkpointer;
  readonly chain: CheckpointChain;
  readonly owner: Owner;
  readonly recovery: Recovery;
}

/** What a partition was recovered from. */
export interface Recovery {
  readonly items: number;
  /** Items that came from a checkpoint. */
  readonly restored: number;
  /** Records folded again. */
  readonly replayed: number;
  readonly durationMs: number;
}

/**
 * Takes a claimed partition over: checkpoint, drop what was fired since, fold again silently.
 *
 * @throws {StopError} when nothing leads to the committed position
 */
export async function recoverPartition(
  job: JobContext,
  session: LogSession,
  claimed: ClaimedPartition,
  stop: AbortSignal,
): Promise<Member> {
  const { store, settings, clock, parameters } = job;
  const { partition } = claimed;
  const from = clock.monotonic();
  const context: RecoveryContext = {
    store,
    session,
    logId: job.transactionLog.id,
    parameters,
    coreOptions: job.coreOptions,
    clock,
  };
  const epoch = await store.takeOver(partition);
  const { core, manifest, damaged } = await restore(context, claimed);
  for (const { sequence, reason } of damaged) {
    const offset = claimed.committed.offset;
    const at = clock.now();
    await store.history.add({ kind: "damaged", at, partition, sequence, offset, reason });
  }
  const changed = manifest !== null &&
    foldParametersHash(manifest.parameters) !== foldParametersHash(parameters);
  const processor = changed
    ? await changeParameters(job, core, claimed)
    : newProcessor(job, core, claimed);
  processor.lastBatch = manifest?.lastBatch ?? null;
  const base = changed ? null : manifest;
  const chain = await CheckpointChain.open(store, epoch, settings.checkpointsRetained, base);
  const checkpointer = new Checkpointer(processor, chain, {
    intervalMs: settings.checkpointIntervalMs,
    timeoutMs: settings.checkpointTimeoutMs,
    recordsMax: settings.recoveryRecordsMax,
    parameters,
    logId: job.transactionLog.id,
    clock,
  }, base ? positionOf(base) : null);
  if (changed && !await checkpointer.take(stop, true)) {
    throw new LostError("The checkpoint under the new fold parameters was not published");
  }
  await replay(context, claimed, processor, async () => {
    if (!stop.aborted && checkpointer.due) await checkpointer.take(stop);
  });
  const recovery = tell(claimed, manifest, processor, clock.monotonic() - from);
  if (manifest || recovery.replayed > 0) {
    await store.history.add({
      kind: "restored",
      at: clock.now(),
      partition,
      sequence: manifest?.sequence ?? 0,
      offset: claimed.committed.offset,
      durationMs: recovery.durationMs,
      items: recovery.items,
    });
  }
  const owner = new Owner(processor);
  return { claimed, processor, checkpointer, chain, owner, recovery };
}

function tell(
  { committed }: ClaimedPartition,
  manifest: Manifest | null,
  { core, position }: PartitionProcessor,
  durationMs: number,
): Recovery {
  const from = manifest ? positionOf(manifest).offset : committed.start ?? 0;
  return {
    items: Number(core.state.items),
    restored: manifest ? Number(manifest.scalars.items) : 0,
    replayed: position - from,
    durationMs,
  };
}

function newProcessor(job: JobContext, core: Core, claimed: ClaimedPartition): PartitionProcessor {
  const { topics, clock, transactionWaiters: waiters, parameters } = job;
  const { partition, committed } = claimed;
  const onOutcomes = waiters &&
    ((p: number, first: number, outcomes: Uint8Array) => waiters.deliver(p, first, outcomes));
  const hash = foldParametersHash(parameters);
  return new PartitionProcessor(partition, core, topics, clock, committed, hash, onOutcomes);
}

/**
 * Other fold parameters than the checkpoint's, which stands exactly at the committed position: open
 * windows are fired under the old ones, the stock goes on under the new ones.
 */
async function changeParameters(
  job: JobContext,
  core: Core,
  claimed: ClaimedPartition,
): Promise<PartitionProcessor> {
  const { partition, committed } = claimed;
  log.warn("Fold parameters of partition {partition} have changed: open windows are fired now", {
    partition,
  });
  const before = newProcessor(job, core, claimed);
  await before.fireIdle();
  // The state did not begin in this log under these parameters.
  const after = newProcessor(job, rebuild(core, job.coreOptions(partition)), {
    ...claimed,
    committed: { ...committed, start: null },
  });
  after.adopt(before);
  return after;
}
