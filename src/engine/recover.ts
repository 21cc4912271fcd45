// The one recovery path: brings a claimed partition to its committed position.
//
//   take the store's epoch over -> plan (recovery_plan.ts) -> load -> drop windows fired since
//   -> fold silently up to the committed offset

import { getLogger } from "@logtape/logtape";
import {
  type LogSession,
  LostError,
  OffsetOutOfRangeError,
  outcomesOf,
  StopError,
} from "../log/mod.ts";
import {
  CheckpointChain,
  type CheckpointStore,
  coreOptionsOf,
  DamagedCheckpointError,
  type FoldParameters,
  foldParametersDiff,
  foldParametersHash,
  type Manifest,
  type StoreEpoch,
} from "../state/mod.ts";
import { batchInfo, codecOf } from "../types/mod.ts";
import { Core, CoreError } from "../wasm/mod.ts";
import { changeParameters } from "./change_parameters.ts";
import { Checkpointer } from "./checkpoint.ts";
import { loadCore } from "./load_core.ts";
import { secretOf } from "./log_secret.ts";
import type { Partition, Recovery } from "./partition.ts";
import { PartitionProcessor } from "./partition_processor.ts";
import type { ProgressReporter } from "./progress.ts";
import {
  isRaised,
  planRecovery,
  positionOf,
  type RecoveryFacts,
  type RecoveryPlan,
  type Unusable,
} from "./recovery_plan.ts";
import { StrayGuard } from "./stray_records.ts";
import { givenUp, RecoveryTurns } from "./turns.ts";
import type { WorkerContext } from "./worker_context.ts";

const log = getLogger(["stockflow", "job"]);

/** Bytes that are read at a time to fold again. */
const REPLAY_READ_BYTES = 1024 * 1024;
/** How often, and how long each time, the log is asked for what it holds. */
const READ_ATTEMPTS = 20;
const READ_WAIT_MS = 500;

/**
 * A claim that nothing leads to, while there are checkpoints ahead of it: those are published behind their
 * commit, so someone else may have committed since the claim.
 */
export class StaleClaimError extends StopError {}

/** Surroundings of the recovery of one partition. */
interface Recovering {
  readonly context: WorkerContext;
  readonly session: LogSession;
  readonly partition: Partition;
  readonly facts: RecoveryFacts;
  readonly progress: ProgressReporter;
  /** Aborted when the job is to stop, or another partition failed: what is folded again is not waited for. */
  readonly signal: AbortSignal;
}

/** A core with the state of a checkpoint, or an empty one at the start of the partition. */
interface Loaded {
  readonly core: Core;
  /** What was committed is folded under these. */
  readonly parameters: FoldParameters;
  readonly manifest: Manifest | null;
  /** Checkpoints that turned out to be damaged. */
  readonly damaged: readonly Unusable[];
}

/**
 * Executes the plan for a partition that was claimed, which runs afterwards.
 *
 * @param signal gives it up
 * @throws {StaleClaimError} when there are checkpoints ahead of the claim, and nothing leads to it
 * @throws {StopError} when neither a checkpoint nor the log's start leads to the committed position
 * @throws {LostError} when someone else owns the partition, or it was given up
 */
export async function recover(
  context: WorkerContext,
  session: LogSession,
  partition: Partition,
  signal: AbortSignal,
  progress: ProgressReporter,
): Promise<void> {
  const { store, clock, parameters, log: { id, topicId, restoredFrom } } = context;
  const facts: RecoveryFacts = {
    logId: id,
    topicId,
    restoredFrom,
    parameters,
  };
  const recovering: Recovering = { context, session, partition, facts, progress, signal };
  const from = clock.monotonic();
  context.onStep?.("recovering", partition.partition);
  partition.restore();
  const epoch = await store.takeOver(partition.partition);
  const loaded = await whileOwned(store, epoch, async () => {
    const listed = await store.list(partition.partition);
    const loaded = await load(recovering, planRecovery(partition.claimed, listed, facts));
    if (loaded.damaged.length === 0 || await store.isCurrent(epoch)) return loaded;
    throw new LostError(`Partition ${partition.partition} has another owner`);
  });
  await reportDamage(recovering, loaded.damaged);
  await build(recovering, epoch, loaded);
  await replay(recovering);
  const recovery = recoveryOf(partition, loaded.manifest, clock.monotonic() - from);
  await reportRecovery(recovering, loaded.manifest, recovery);
  partition.run(recovery);
}

/**
 * A step of the recovery. What looks damaged or missing to one who is fenced off was removed by the
 * next owner.
 *
 * @throws {LostError} when it failed and someone else owns the partition now
 */
async function whileOwned<T>(
  store: CheckpointStore,
  epoch: StoreEpoch,
  step: () => Promise<T>,
): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (await store.isCurrent(epoch)) throw error;
    throw new LostError(`Partition ${epoch.partition} has another owner`, { cause: error });
  }
}

// ---- restoring ----

/** Loads the first of the candidates that can be loaded. */
async function load(recovering: Recovering, plan: RecoveryPlan): Promise<Loaded> {
  const { context, partition: { partition, claimed }, progress } = recovering;
  const damaged: Unusable[] = [];
  for (const candidate of plan.candidates) {
    if (candidate.kind === "stop") throw candidate.error;
    if (candidate.kind === "damaged") {
      damaged.push(candidate.of);
      continue;
    }
    const { manifest } = candidate;
    try {
      await checkLastBatch(recovering, manifest);
      const core = await loadCore(recovering, manifest);
      return { core, parameters: manifest.parameters, manifest, damaged };
    } catch (error) {
      if (!(error instanceof DamagedCheckpointError) && !(error instanceof CoreError)) throw error;
      damaged.push({ sequence: manifest.sequence, reason: error.message });
    }
  }
  const { start, unusable, isBehind } = plan;
  if (start.kind === "none") {
    const why = [...unusable, ...damaged].map((u) => `; checkpoint ${u.sequence}: ${u.reason}`);
    const Kind = isBehind ? StaleClaimError : StopError;
    throw new Kind(`${start.reason}${why.join("")}`, start.remedy);
  }
  const { parameters } = start;
  const secret = secretOf(claimed.committed.secret, context.chance);
  const own = coreOptionsOf(parameters, secret);
  const core = new Core({ ...context.coreOptions(partition), ...own }, context.chance);
  core.position = BigInt(start.offset);
  progress.begin("restore", 0);
  return { core, parameters, manifest: null, damaged };
}

/**
 * While the log holds the batch that was folded last, it must be the same batch. A savepoint's batch lies
 * before the start of the log that was created from it.
 */
async function checkLastBatch(
  recovering: Recovering,
  { lastBatch: mark, sequence, topicId }: Manifest,
): Promise<void> {
  const { claimed: { partition, logStart, logEnd } } = recovering.partition;
  if (!mark || mark.baseOffset < logStart || mark.baseOffset >= logEnd) return;
  let batches: readonly Uint8Array[];
  try {
    batches = await readSome(recovering, mark.baseOffset, 1);
  } catch (error) {
    if (error instanceof OffsetOutOfRangeError) return; // removed since the claim
    throw error;
  }
  const found = batches.map((b) => batchInfo(b)).find((b) => b.baseOffset === mark.baseOffset);
  if (found?.crc === mark.crc) return;
  // Checkpoints of earlier versions know nothing of a marker or an aborted batch but its place.
  if (topicId === undefined && found?.records === 0) return;
  throw new StopError(
    `The log of partition ${partition} holds another batch at offset ${mark.baseOffset} than the one ` +
      `that checkpoint ${sequence} was made from`,
    "the topic was created anew: start with an empty file for the state",
  );
}

/**
 * Batches from an offset below the log's end. One answer without any says nothing: a fetch may come
 * back empty.
 *
 * @throws {LostError} when the job is to stop
 */
async function readSome(
  { session, signal, partition: { partition } }: Recovering,
  offset: number,
  maxBytes: number,
): Promise<readonly Uint8Array[]> {
  for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
    const options = { maxBytes, waitMs: READ_WAIT_MS, signal };
    const { batches } = await session.read(partition, offset, options);
    if (signal.aborted) throw givenUp();
    if (batches.length > 0) return batches;
  }
  throw new Error(`The log gives nothing from offset ${offset} of partition ${partition} on`);
}

async function reportDamage(
  { context: { store, clock }, partition: { partition, claimed } }: Recovering,
  damaged: readonly Unusable[],
): Promise<void> {
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
}

/** Puts processor and checkpoints around a loaded core; from here on the partition is replayed. */
async function build(
  { context, session, partition, facts, signal }: Recovering,
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
    ? await changeParameters(context, make(core), (rebuilt) => make(rebuilt))
    : make(core, manifest?.strays);
  await produceFor(processor, session);
  processor.lastBatch = manifest?.lastBatch ?? null;
  // What the state began with is known to the checkpoint: nothing may be committed under its parameters yet.
  if (manifest) processor.raisedAt = manifest.raisedAt ?? null;
  if (manifest?.start === null) processor.forgetStart();
  const base = changed ? null : manifest;
  const chain = await whileOwned(
    store,
    epoch,
    () => CheckpointChain.open(store, epoch, settings.checkpointsRetained, base),
  );
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
  if (changed && !await checkpointer.take(signal, true, "parameters")) {
    throw new LostError("The checkpoint under the new fold parameters was not published");
  }
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

// ---- replaying ----

/**
 * Folds again, silently, up to the committed position, each record by the version of the fold that folded it. Checkpoints
 * are taken as they fall due.
 */
async function replay(recovering: Recovering): Promise<void> {
  const { partition, progress, context: { parameters } } = recovering;
  const { processor, claimed: { committed } } = partition;
  await processor.dropFired(committed.watermark);
  const from = processor.position;
  const replayed = progress.begin("replay", committed.offset - from);
  const replayTo = (offset: number) =>
    replaySome(recovering, offset, (position) => replayed(position - from));
  if (processor.parametersHash !== foldParametersHash(parameters)) {
    await replayTo(raisedAtOf(recovering));
    raise(recovering);
  }
  await replayTo(committed.offset);
}

/** Where the newest version of the fold began, or begins now: behind all that was committed before it. */
function raisedAtOf({ partition: { claimed: { committed } }, facts }: Recovering): number {
  const wasRaised = committed.parametersHash === foldParametersHash(facts.parameters);
  return (wasRaised ? committed.raisedAt : null) ?? committed.offset;
}

function raise({ context: { parameters }, partition }: Recovering): void {
  const { processor, checkpointer, partition: number } = partition;
  log.info(
    "Partition {partition} is folded by version {version} of the fold from offset {offset} on",
    {
      partition: number,
      version: parameters.foldVersion,
      offset: processor.position,
    },
  );
  processor.raiseFold(foldParametersHash(parameters));
  checkpointer.parameters = parameters;
}

async function replaySome(
  recovering: Recovering,
  end: number,
  replayed: (position: number) => void,
): Promise<void> {
  const { context, partition: { processor, checkpointer, partition }, signal } = recovering;
  const turns = new RecoveryTurns(context, partition);
  while (processor.position < end) {
    const batches = await readSome(recovering, processor.position, REPLAY_READ_BYTES);
    for (const batch of batches) {
      await processor.replay(batch, end);
      replayed(processor.position);
      if (!signal.aborted && checkpointer.due) await checkpointer.take(signal);
      await turns.next();
    }
  }
}

function recoveryOf(
  { processor: { core, position }, claimed: { committed } }: Partition,
  manifest: Manifest | null,
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

async function reportRecovery(
  { context: { store, clock }, partition: { partition, claimed } }: Recovering,
  manifest: Manifest | null,
  { replayed, durationMs, items }: Recovery,
): Promise<void> {
  if (!manifest && replayed === 0) return;
  await store.addEvent({
    kind: "restored",
    at: clock.now(),
    partition,
    sequence: manifest?.sequence ?? 0,
    offset: claimed.committed.offset,
    durationMs,
    items,
  });
}
