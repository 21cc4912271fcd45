import { getLogger } from "@logtape/logtape";
import type { ClaimedPartition, LogSession } from "../log/mod.ts";
import {
  CheckpointChain,
  type CheckpointStore,
  coreOptionsOf,
  foldParametersHash,
  type Manifest,
  type Owner,
} from "../state/mod.ts";
import { codecOf } from "../types/mod.ts";
import type { Core } from "../wasm/mod.ts";
import { Checkpointer } from "./checkpointer.ts";
import { LostError } from "../log/mod.ts";
import type { ProgressReporter } from "./progress.ts";
import { LocalOwner } from "./owners.ts";
import { PartitionProcessor } from "./partition_processor.ts";
import { StrayGuard } from "./stray_records.ts";
import type { WorkerContext } from "./worker_context.ts";
import { positionOf, rebuild, type RecoveryContext, replay, restore } from "./recovery.ts";

const log = getLogger(["stockflow", "job"]);

/** A partition that is owned and stands at its committed position. */
export interface Member {
  readonly claimed: ClaimedPartition;
  readonly processor: PartitionProcessor;
  readonly checkpointer: Checkpointer;
  readonly chain: CheckpointChain;
  readonly owner: LocalOwner;
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
  context: WorkerContext,
  session: LogSession,
  claimed: ClaimedPartition,
  stop: AbortSignal,
  progress: ProgressReporter,
): Promise<Member> {
  const { store, settings, clock, chance, parameters, coreOptions } = context;
  const { partition } = claimed;
  const from = clock.monotonic();
  const logId = context.log.id;
  const topicId = context.log.topicId ?? null;
  const restoredFrom = context.log.restoredFrom ?? null;
  const recovering: RecoveryContext = {
    store,
    session,
    logId,
    topicId,
    restoredFrom,
    parameters,
    coreOptions,
    clock,
    chance,
    progress,
    yieldTurn: async () => {
      await clock.yield();
      context.onStep?.("recovering", partition);
    },
    stop,
  };
  context.onStep?.("recovering", partition);
  const owner = await store.takeOver(partition);
  const { core, manifest, damaged } = await whileOwned(store, owner, async () => {
    const restored = await restore(recovering, claimed);
    if (restored.damaged.length === 0 || await store.owns(owner)) return restored;
    throw new LostError(`Partition ${partition} has another owner`);
  });
  for (const { sequence, reason } of damaged) {
    log.error("Checkpoint {sequence} of partition {partition} is damaged: {reason}", {
      sequence,
      partition,
      reason,
    });
    const offset = claimed.committed.offset;
    const at = clock.now();
    await store.addEvent({ kind: "damaged", at, partition, sequence, offset, reason });
  }
  const changed = manifest !== null &&
    foldParametersHash(manifest.parameters) !== foldParametersHash(parameters);
  const processor = changed
    ? await changeParameters(context, core, claimed)
    : newProcessor(context, core, claimed, manifest?.strays);
  if (session.producer) {
    const { id, epoch } = session.producer;
    processor.core.setProducer(id, epoch, 0);
  }
  processor.lastBatch = manifest?.lastBatch ?? null;
  const base = changed ? null : manifest;
  const chain = await whileOwned(
    store,
    owner,
    () => CheckpointChain.open(store, owner, settings.checkpointsRetained, base),
  );
  const checkpointer = new Checkpointer(processor, chain, {
    intervalMs: settings.checkpointIntervalMs,
    timeoutMs: settings.checkpointTimeoutMs,
    recordsMax: settings.recoveryRecordsMax,
    parameters,
    logId,
    topicId,
    clock,
  }, base ? { ...positionOf(base), sequence: base.sequence, publishedAt: base.publishedAt } : null);
  if (changed && !await checkpointer.take(stop, true, "parameters")) {
    throw new LostError("The checkpoint under the new fold parameters was not published");
  }
  await replay(recovering, claimed, processor, async () => {
    if (!stop.aborted && checkpointer.due) await checkpointer.take(stop);
  });
  const recovery = tell(claimed, manifest, processor, clock.monotonic() - from);
  if (manifest || recovery.replayed > 0) {
    await store.addEvent({
      kind: "restored",
      at: clock.now(),
      partition,
      sequence: manifest?.sequence ?? 0,
      offset: claimed.committed.offset,
      durationMs: recovery.durationMs,
      items: recovery.items,
    });
  }
  return { claimed, processor, checkpointer, chain, owner: new LocalOwner(processor), recovery };
}

/** What is told of a partition that needed no recovery. */
export const KEPT: Recovery = { items: 0, restored: 0, replayed: 0, durationMs: 0 };

/**
 * Goes on with the instance that the claim before has left, if all that it folded and fired, and its last
 * acknowledged commit, stand exactly where the claim does. Its checkpoints are published in the epoch that
 * it has, so one who took over meanwhile fences it off.
 *
 * @returns null when it is to be recovered
 */
export function keepPartition(
  session: LogSession,
  claimed: ClaimedPartition,
  before: Member,
): Member | null {
  const { processor } = before;
  if (!processor.standsAt(claimed.committed)) return null;
  processor.recordsIn = 0; // the worker has counted them
  if (session.producer) {
    const { id, epoch } = session.producer;
    processor.core.setProducer(id, epoch, 0);
  }
  return { ...before, claimed, owner: new LocalOwner(processor), recovery: KEPT };
}

/**
 * A step of the recovery. What looks damaged or missing to one who is fenced off was removed by the
 * next owner.
 *
 * @throws {LostError} when it failed and someone else owns the partition now
 */
async function whileOwned<T>(
  store: CheckpointStore,
  owner: Owner,
  step: () => Promise<T>,
): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (await store.owns(owner)) throw error;
    throw new LostError(`Partition ${owner.partition} has another owner`, { cause: error });
  }
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

function newProcessor(
  context: WorkerContext,
  core: Core,
  claimed: ClaimedPartition,
  strays: readonly number[] = [],
): PartitionProcessor {
  const { topics, clock, onOutcomes, parameters, settings } = context;
  const { partition, committed } = claimed;
  const hash = foldParametersHash(parameters);
  const { format, partitioner, partitions } = coreOptionsOf(parameters);
  const place = { topic: topics.input, codec: codecOf(format), partitioner, partition, partitions };
  const guard = new StrayGuard(place, settings.stopsAtStrays, strays);
  return new PartitionProcessor(partition, core, topics, clock, committed, hash, onOutcomes, guard);
}

/**
 * Other fold parameters than the checkpoint's, which stands exactly at the committed position: open
 * windows are fired under the old ones, the stock goes on under the new ones.
 */
async function changeParameters(
  context: WorkerContext,
  core: Core,
  claimed: ClaimedPartition,
): Promise<PartitionProcessor> {
  const { partition, committed } = claimed;
  log.warn("Fold parameters of partition {partition} have changed: open windows are fired now", {
    partition,
  });
  const before = newProcessor(context, core, claimed);
  await before.fireIdle();
  // The state did not begin in this log under these parameters.
  const after = newProcessor(context, await rebuild(context, core, partition), {
    ...claimed,
    committed: { ...committed, start: null },
  });
  after.adopt(before);
  return after;
}
