// The one recovery path: from a claim to a processor that stands at the committed position.
//
//   newest usable checkpoint at or below (offset, watermark), else the start of the partition
//   -> load -> drop windows fired since -> fold silently up to the committed offset

import {
  type ClaimedPartition,
  type LogSession,
  OffsetOutOfRangeError,
  type RestoredFrom,
} from "../log/mod.ts";
import {
  type CheckpointStore,
  coreOptionsOf,
  DamagedCheckpointError,
  type FoldParameters,
  foldParametersDiff,
  foldParametersHash,
  type Manifest,
} from "../state/mod.ts";
import { batchInfo, type Chance, type Clock } from "../types/mod.ts";
import { Code, Core, CoreError, type CoreOptions, SEGMENTS } from "../wasm/mod.ts";
import { LostError, StopError } from "../log/mod.ts";
import type { ProgressReporter } from "./progress.ts";
import type { PartitionProcessor } from "./partition_processor.ts";

/** Bytes that are read at a time to fold again. */
const REPLAY_READ_BYTES = 1024 * 1024;
/** How often, and how long each time, the log is asked for what it holds. */
const READ_ATTEMPTS = 20;
const READ_WAIT_MS = 500;
/** How long folding goes on before others have their turn. */
const TURN_MS = 8;
const STOPPING =
  "The recovery was given up: the job stops, or another partition could not be recovered";

export interface RecoveryContext {
  readonly store: CheckpointStore;
  readonly session: LogSession;
  readonly logId: string;
  /** Id of the topic, where topics have one. */
  readonly topicId: string | null;
  /** The savepoint that the log was created from, if any. */
  readonly restoredFrom: RestoredFrom | null;
  readonly parameters: FoldParameters;
  readonly coreOptions: (partition: number) => CoreOptions;
  readonly clock: Clock;
  readonly chance: Chance;
  readonly progress: ProgressReporter;
  /** Lets the other events of the thread have their turn; partitions are recovered side by side. */
  readonly yieldTurn: () => Promise<void>;
  /** Aborted when the job is to stop, or another partition failed: what is folded again is not waited for. */
  readonly stop: AbortSignal;
}

export interface Damage {
  readonly sequence: number;
  readonly reason: string;
}

/** A core with the state of a checkpoint, or an empty one at the start of the partition. */
export interface Restored {
  readonly core: Core;
  readonly manifest: Manifest | null;
  /** Checkpoints that were damaged. */
  readonly damaged: readonly Damage[];
}

/**
 * Finds and loads the newest checkpoint that may serve a claim.
 *
 * @throws {StaleClaimError} when there are checkpoints ahead of the claim, and nothing leads to it
 * @throws {StopError} when neither a checkpoint nor the log's start leads to the committed position
 */
export async function restore(
  context: RecoveryContext,
  claimed: ClaimedPartition,
): Promise<Restored> {
  const { partition, committed, logStart, logEnd } = claimed;
  if (committed.offset > logEnd) {
    throw new StopError(
      `Partition ${partition} was committed up to offset ${committed.offset}, but its log ends at ${logEnd}`,
      "the log lost records: restore it from a copy, or start with --accept-offset (Kafka), which goes on " +
        "at its end",
    );
  }
  if (logStart > committed.offset) {
    throw new StopError(
      `The records of partition ${partition} from offset ${committed.offset} to ${
        logStart - 1
      } were removed ` +
        `from the log before they were read: it begins at ${logStart} now`,
      "restore the log from a copy that has them, or give them up: start with an empty file for the state and, " +
        "on Kafka, another kafka.group.id; raise the log's retention above the longest time for which the job stands",
    );
  }
  const damaged: Damage[] = [];
  const unusable: Damage[] = [];
  let ahead = false;
  for (const { sequence, manifest, damage } of await context.store.list(partition)) {
    if (!manifest) {
      damaged.push({ sequence, reason: damage! });
      continue;
    }
    const reason = whyNot(context, claimed, manifest);
    if (reason !== null) {
      unusable.push({ sequence, reason });
      ahead ||= isAhead(manifest, claimed);
      continue;
    }
    try {
      await checkLastBatch(context, claimed, manifest);
      return { core: await load(context, manifest), manifest, damaged };
    } catch (error) {
      if (!(error instanceof DamagedCheckpointError) && !(error instanceof CoreError)) throw error;
      damaged.push({ sequence, reason: error.message });
    }
  }
  try {
    return { core: atStart(context, claimed, [...unusable, ...damaged]), manifest: null, damaged };
  } catch (error) {
    if (!ahead || !(error instanceof StopError)) throw error;
    throw new StaleClaimError(error.message, error.remedy, { cause: error });
  }
}

/**
 * A claim that nothing leads to, while there are checkpoints ahead of it: those are published behind their
 * commit, so someone else may have committed since the claim.
 */
export class StaleClaimError extends StopError {}

/** Offset and watermark of a checkpoint. */
export function positionOf(manifest: Manifest): { offset: number; watermark: bigint } {
  return { offset: Number(manifest.scalars.position), watermark: manifest.scalars.watermark };
}

function isAhead(manifest: Manifest, { committed }: ClaimedPartition): boolean {
  const { offset, watermark } = positionOf(manifest);
  return offset > committed.offset || watermark > committed.watermark;
}

/** Whether a checkpoint stands exactly where a claim does. */
export function standsAt(manifest: Manifest, { committed }: ClaimedPartition): boolean {
  const { offset, watermark } = positionOf(manifest);
  return offset === committed.offset && watermark === committed.watermark;
}

/**
 * Whether a checkpoint is of a log's past: it was made from the log, or the log was created from it.
 * Other checkpoints of the store that a savepoint came from tell another future, at the same offsets.
 */
export function isOfLog(
  manifest: Manifest,
  logId: string,
  restoredFrom: RestoredFrom | null,
): boolean {
  if (manifest.logId === logId) return true;
  const base = restoredFrom?.checkpoints[manifest.partition];
  return base?.sequence === manifest.sequence && base.stateHash === manifest.stateHash;
}

/**
 * A topic that was created anew has another id than the one that a checkpoint was made from.
 *
 * @throws {StopError}
 */
export function checkTopicId(
  { topicId, logId, sequence, partition }: Manifest,
  now: string | null,
): void {
  if (!topicId || now === null || topicId === now) return;
  throw new StopError(
    `The topic of ${logId} was deleted and created anew: its id is ${now}, and checkpoint ${sequence} of ` +
      `partition ${partition} was made from ${topicId}`,
    "start with another kafka.group.id and an empty file for the state (state.kv), which folds the new topic " +
      "from its first record",
  );
}

/** Why a checkpoint may not serve, or null; throws where only a person can decide. */
function whyNot(
  context: RecoveryContext,
  claimed: ClaimedPartition,
  manifest: Manifest,
): string | null {
  const { partition, committed } = claimed;
  const { offset } = positionOf(manifest);
  if (!isOfLog(manifest, context.logId, context.restoredFrom)) {
    if (context.restoredFrom) return "it belongs to another log";
    throw new StopError(
      `Checkpoint ${manifest.sequence} of partition ${partition} belongs to another log ` +
        `(${manifest.logId}; this one is ${context.logId})`,
      "put the log's file back, or start with empty files for both log and state",
    );
  }
  checkTopicId(manifest, context.topicId);
  if (isAhead(manifest, claimed)) {
    return `its offset ${offset} is ahead of the committed ${committed.offset}`;
  }
  if (offset < claimed.logStart) {
    return `the log begins at ${claimed.logStart}, behind its offset ${offset}`;
  }
  const same = foldParametersHash(manifest.parameters) === foldParametersHash(context.parameters);
  if (same || standsAt(manifest, claimed)) return null;
  throw new StopError(
    `The fold parameters differ from those of checkpoint ${manifest.sequence} of partition ${partition}: ` +
      foldParametersDiff(manifest.parameters, context.parameters),
    "start with the old parameters, stop by SIGTERM, which leaves a checkpoint, and change them then",
  );
}

/**
 * While the log holds the batch that was folded last, it must be the same batch. A savepoint's batch lies
 * before the start of the log that was created from it.
 */
async function checkLastBatch(
  context: RecoveryContext,
  { partition, logStart, logEnd }: ClaimedPartition,
  { lastBatch: mark, sequence, topicId }: Manifest,
): Promise<void> {
  if (!mark || mark.baseOffset < logStart || mark.baseOffset >= logEnd) return;
  let batches: readonly Uint8Array[];
  try {
    batches = await readSome(context, partition, mark.baseOffset, 1);
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
 * Batches from an offset below the log's end. One answer without any tells nothing: a fetch may come
 * back empty.
 *
 * @throws {LostError} when the job is to stop
 */
async function readSome(
  { session, stop }: RecoveryContext,
  partition: number,
  offset: number,
  maxBytes: number,
): Promise<readonly Uint8Array[]> {
  for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
    const options = { maxBytes, waitMs: READ_WAIT_MS, signal: stop };
    const { batches } = await session.read(partition, offset, options);
    if (stop.aborted) throw new LostError(STOPPING);
    if (batches.length > 0) return batches;
  }
  throw new Error(`The log gives nothing from offset ${offset} of partition ${partition} on`);
}

async function load(context: RecoveryContext, manifest: Manifest): Promise<Core> {
  // A core of the checkpoint's own parameters, which its open windows need.
  const { store, clock, stop } = context;
  const own = coreOptionsOf(manifest.parameters);
  const core = new Core({ ...context.coreOptions(manifest.partition), ...own }, context.chance);
  core.restoreScalars(manifest.scalars);
  const restored = context.progress.begin("restore", Number(manifest.scalars.items));
  let turn = clock.monotonic();
  for await (const { segment, bytes } of store.segments(manifest)) {
    for (const _slice of core.restoreInSlices(segment, bytes)) {
      if (clock.monotonic() - turn < TURN_MS) continue;
      await clock.yield();
      turn = clock.monotonic();
    }
    restored(Number(core.state.items));
    if (stop.aborted) throw new LostError(STOPPING);
    if (clock.monotonic() - turn < TURN_MS) continue;
    await context.yieldTurn();
    turn = clock.monotonic();
  }
  const { items } = core.state;
  if (items === manifest.scalars.items) return core;
  throw new DamagedCheckpointError(`It holds ${items} items, not ${manifest.scalars.items}`);
}

/** An empty core at the start of the partition, if the log still holds every record from there. */
function atStart(
  context: RecoveryContext,
  { partition, committed, logStart }: ClaimedPartition,
  unusable: readonly Damage[],
): Core {
  const { start, offset, parameters } = committed;
  const why = unusable.map((u) => `; checkpoint ${u.sequence}: ${u.reason}`).join("");
  const remedy = "put a copy of the state's file back";
  if (start === null) {
    throw new StopError(
      `Partition ${partition} has no usable checkpoint, and its state did not begin in this log${why}`,
      remedy,
    );
  }
  if (logStart > start) {
    throw new StopError(
      `Partition ${partition} has no usable checkpoint, and its log begins at offset ${logStart}, ` +
        `behind ${start} where its state began${why}`,
      remedy,
    );
  }
  if (offset > start && parameters !== foldParametersHash(context.parameters)) {
    throw new StopError(
      `Partition ${partition} has no usable checkpoint, and was folded with other fold parameters before${why}`,
      `start with the old parameters, or ${remedy}`,
    );
  }
  const core = new Core(context.coreOptions(partition), context.chance);
  core.position = BigInt(start);
  context.progress.begin("restore", 0);
  return core;
}

/**
 * Folds again, silently, up to the committed position.
 *
 * @param afterBatch is called between batches
 */
export async function replay(
  context: RecoveryContext,
  claimed: ClaimedPartition,
  processor: PartitionProcessor,
  afterBatch: () => Promise<void>,
): Promise<void> {
  const { partition, committed } = claimed;
  await processor.dropFired(committed.watermark);
  const { clock } = context;
  const from = processor.position;
  const replayed = context.progress.begin("replay", committed.offset - from);
  let turn = clock.monotonic();
  while (processor.position < committed.offset) {
    const batches = await readSome(context, partition, processor.position, REPLAY_READ_BYTES);
    for (const batch of batches) {
      await processor.replay(batch, committed.offset);
      replayed(processor.position - from);
      await afterBatch();
      if (clock.monotonic() - turn < TURN_MS) continue;
      await context.yieldTurn();
      turn = clock.monotonic();
    }
  }
}

/**
 * A core of other fold parameters with the same stock. Open windows must have been fired: they belong
 * to the old parameters.
 */
export async function rebuild(
  { coreOptions, clock, chance }: Pick<RecoveryContext, "coreOptions" | "clock" | "chance">,
  old: Core,
  partition: number,
): Promise<Core> {
  const core = new Core(coreOptions(partition), chance);
  core.restoreScalars(old.state);
  old.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  const code = old.cut();
  if (code !== Code.Done) throw new CoreError(code, "Cannot read the old state");
  for (let next = old.encodeSome(); next; next = old.encodeSome()) {
    await clock.yield();
    if (next === "more") continue;
    for (const _slice of core.restoreInSlices(next.segment, next.bytes)) await clock.yield();
  }
  core.markSegments(Array.from({ length: SEGMENTS }, (_, i) => i));
  return core;
}
