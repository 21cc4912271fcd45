// What is in memory of a partition that is recovered: a processor around a loaded core, and the checkpoints that go on
// from it, under the fold parameters that count now.

import { getLogger } from "@logtape/logtape";
import { type LogSession, LostError, outcomesOf } from "../log/mod.ts";
import {
  CheckpointChain,
  coreOptionsOf,
  type FoldParameters,
  foldParametersDiff,
  foldParametersHash,
  foldParametersOf,
  haveSameWindows,
  type Manifest,
  type StoreEpoch,
} from "../state/mod.ts";
import { codecOf } from "../types/mod.ts";
import { Code, Core, CoreError, SEGMENTS } from "../wasm/mod.ts";
import { Checkpointer } from "./checkpoint.ts";
import { secretOf } from "./log_secret.ts";
import type { Partition } from "./partition.ts";
import { PartitionProcessor } from "./partition_processor.ts";
import { isRaised, positionOf, type RecoveryFacts } from "./recovery_plan.ts";
import { StrayGuard } from "./stray_records.ts";
import { throwIfGivenUp } from "./turns.ts";
import type { WorkerContext } from "./worker_context.ts";

const log = getLogger(["stockflow", "job"]);

/** Surroundings of a partition that is recovered. */
export interface Holding {
  readonly context: WorkerContext;
  readonly session: LogSession;
  readonly partition: Partition;
  readonly facts: RecoveryFacts;
  /** Gives the recovery up: nothing of it counts from then on. */
  readonly signal: AbortSignal;
}

/** A core with the state of a checkpoint, or an empty one at the start of the partition. */
export interface Loaded {
  readonly core: Core;
  /** What was committed is folded under these. */
  readonly parameters: FoldParameters;
  readonly manifest: Manifest | null;
}

/** Puts processor and checkpoints around a loaded core; from here on the partition is replayed. */
export async function hold(
  { context, session, partition, facts, signal }: Holding,
  epoch: StoreEpoch,
  { core, manifest, parameters: under }: Loaded,
): Promise<void> {
  const { store, settings, clock, parameters } = context;
  const { claimed } = partition;
  const hash = foldParametersHash(under);
  // A newer version of the fold alone begins within the replay, or where it ends.
  const isRaisedLater = isRaised(hash, parameters);
  const changed = hash !== foldParametersHash(parameters) && !isRaisedLater;
  if (changed) {
    log.warn("Fold parameters of partition {partition} have changed: {difference}", {
      partition: claimed.partition,
      difference: foldParametersDiff(under, parameters),
    });
  }
  const now = isRaisedLater ? under : parameters;
  const make = (core: Core, strays?: readonly number[]) =>
    newProcessor(context, core, partition, now, strays);
  const processor = changed
    ? await changeParameters(context, make(core), (rebuilt) => make(rebuilt), signal)
    : make(core, manifest?.strays);
  await produceFor(processor, session);
  throwIfGivenUp(signal);
  processor.lastBatch = manifest?.lastBatch ?? null;
  // What the state began with is known to the checkpoint: nothing may be committed under its parameters yet.
  if (manifest) processor.raisedAt = manifest.raisedAt ?? null;
  if (manifest?.start === null) processor.forgetStart();
  const base = changed ? null : manifest;
  const chain = await store.whileOwned(
    epoch,
    () => CheckpointChain.open(store, epoch, settings.checkpointsRetained, base),
  );
  throwIfGivenUp(signal);
  const checkpointer = new Checkpointer(
    processor,
    chain,
    {
      intervalMs: settings.checkpointIntervalMs,
      timeoutMs: settings.checkpointTimeoutMs,
      recordsMax: settings.recoveryRecordsMax,
      logId: facts.logId,
      topicId: facts.topicId,
      clock,
      tracing: context.tracing ?? null,
    },
    now,
    base ? { ...positionOf(base), sequence: base.sequence, publishedAt: base.publishedAt } : null,
  );
  // What is committed is that of the one before: without it, who dies ahead of the next commit would leave nothing.
  const ahead = changed && manifest ? { base: manifest.sequence } : null;
  if (ahead && !await checkpointer.take(signal, ahead, "parameters")) {
    throw new LostError("The checkpoint under the new fold parameters was not published");
  }
  throwIfGivenUp(signal);
  partition.replay(processor, checkpointer);
}

/** Hands the session's producer over, with the sequence number behind all that it has written for the partition. */
export async function produceFor(
  processor: PartitionProcessor,
  session: LogSession,
): Promise<void> {
  const { producer } = session;
  const output = processor.resultsTo;
  if (!producer) return;
  const next = output ? await session.nextSequence(output.topic, output.partition) : 0;
  processor.produceAs(producer, next);
}

function newProcessor(
  context: WorkerContext,
  core: Core,
  { claimed: { partition, committed } }: Partition,
  parameters: FoldParameters,
  strays: readonly number[] = [],
): PartitionProcessor {
  const { log, topics, clock, settings } = context;
  const hash = foldParametersHash(parameters);
  const { format, partitioner, partitions } = coreOptionsOf(parameters);
  const place = { topic: topics.input, codec: codecOf(format), partitioner, partition, partitions };
  const guard = new StrayGuard(place, settings.stopsAtStrays, strays);
  const reported = outcomesOf(log);
  return new PartitionProcessor(partition, core, topics, clock, committed, hash, reported, guard);
}

// ---- other fold parameters ----

type Context = Pick<WorkerContext, "coreOptions" | "parameters" | "clock" | "chance">;

/**
 * Goes on under other fold parameters than the checkpoint's, which stands exactly at the committed position: open windows
 * are fired under the old ones, unless the same windows are open under both; the stock, and what is remembered of
 * transactions, goes on under the new ones.
 *
 * @param before has the checkpoint's state, under its parameters; it is not used any more
 * @param make puts a processor around a core
 * @param signal gives it up
 * @returns a processor under the new parameters, with what the windows of the old one put out
 * @throws {LostError} when it was given up
 */
async function changeParameters(
  context: Context,
  before: PartitionProcessor,
  make: (core: Core) => PartitionProcessor,
  signal: AbortSignal,
): Promise<PartitionProcessor> {
  if (!haveSameWindows(foldParametersOf(before.core.options), context.parameters)) {
    await before.fireIdle();
  }
  const after = make(await rebuild(context, before, signal));
  // The state did not begin in this log under these parameters.
  after.forgetStart();
  after.adopt(before);
  return after;
}

/** A core of other fold parameters with the same stock, and with the same windows if both know the same. */
async function rebuild(
  { coreOptions, clock, chance }: Context,
  { core: old, partition, acknowledged }: PartitionProcessor,
  signal: AbortSignal,
): Promise<Core> {
  const goOn = async () => {
    await clock.yield();
    throwIfGivenUp(signal);
  };
  const options = coreOptions(partition);
  const remember = options.remember && {
    ...options.remember,
    secret: old.options.remember?.secret ?? secretOf(acknowledged.secret, chance),
  };
  old.raise();
  const core = new Core({ ...options, remember }, chance);
  core.restoreScalars(old.state);
  const goesOn = remember !== undefined && old.options.remember !== undefined;
  // Their count is a part of what is remembered, and ends with it.
  core.duplicatesBefore = goesOn ? old.duplicatesBefore : old.info.duplicates;
  if (remember) old.remembered.limit(remember.max);
  old.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  old.remembered.mark(0n);
  const code = old.cut();
  if (code !== Code.Done) throw new CoreError(code, "Cannot read the old state");
  for (let next = old.encodeSome(); next; next = old.encodeSome()) {
    await goOn();
    if (next === "more") continue;
    for (const _slice of core.restoreInSlices(next.segment, next.bytes)) await goOn();
  }
  if (goesOn) {
    core.remembered.restore(old.remembered.encode().header);
    for (let next; (next = old.remembered.encodeNext());) {
      core.remembered.restorePiece(next.bytes);
      await goOn();
    }
    for (const _slice of core.remembered.restoreIndex()) await goOn();
  }
  core.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  core.remembered.mark(0n);
  return core;
}
