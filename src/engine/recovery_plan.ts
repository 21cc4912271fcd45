// From a claim and the checkpoints that there are to what is to be loaded and folded. Pure: who executes it
// (recover.ts) reads and writes.
//
//   the newest usable checkpoint at or below (offset, watermark), else the start of the partition

import { type ClaimedPartition, type RestoredFrom, StopError } from "../log/mod.ts";
import {
  earlierVersionOf,
  type FoldParameters,
  foldParametersDiff,
  foldParametersHash,
  type ListedCheckpoint,
  type Manifest,
} from "../state/mod.ts";

const BACK_TO_OLD_PARAMETERS =
  "start with the old parameters, stop by SIGTERM, which leaves a checkpoint, and change them then";

/** What a plan depends on, beside the claim. */
export interface RecoveryFacts {
  readonly logId: string;
  /** Id of the topic, where topics have one. */
  readonly topicId: string | null;
  /** The savepoint that the log was created from, if any. */
  readonly restoredFrom: RestoredFrom | null;
  readonly parameters: FoldParameters;
  /** A claim behind the newest checkpoint is not gone on from: nobody has looked at that before. */
  readonly refusesSetBack?: boolean;
}

/** A checkpoint that does not serve, and why. */
export interface Unusable {
  readonly sequence: number;
  readonly reason: string;
}

/** One that is tried, one that is damaged, or one at which only a person can decide. */
export type Candidate =
  | { readonly kind: "load"; readonly manifest: Manifest }
  | { readonly kind: "damaged"; readonly of: Unusable }
  | { readonly kind: "stop"; readonly error: StopError };

/** Where folding begins without a checkpoint, or why it cannot. */
export type Start =
  | {
    readonly kind: "offset";
    readonly offset: number;
    /** What was committed is folded under these. */
    readonly parameters: FoldParameters;
  }
  | { readonly kind: "none"; readonly reason: string; readonly remedy: string };

export interface RecoveryPlan {
  /** Tried one after the other, the newest first, until one can be loaded. */
  readonly candidates: readonly Candidate[];
  /** When none could. */
  readonly start: Start;
  /** Checkpoints that are left out. */
  readonly unusable: readonly Unusable[];
  /** One of them is ahead of the claim: someone else may have committed since. */
  readonly isBehind: boolean;
}

/**
 * What leads to the committed position of a claim.
 *
 * @param listed the checkpoints of the partition, the newest first
 */
export function planRecovery(
  claimed: ClaimedPartition,
  listed: readonly ListedCheckpoint[],
  facts: RecoveryFacts,
): RecoveryPlan {
  const impossible = whyImpossible(claimed);
  if (impossible) {
    const candidates = [{ kind: "stop", error: impossible }] as const;
    return { candidates, start: startOf(claimed, facts), unusable: [], isBehind: false };
  }
  const setBack = facts.refusesSetBack ? whySetBack(claimed, listed, facts) : null;
  if (setBack) return { candidates: [], start: setBack, unusable: [], isBehind: true };
  const candidates: Candidate[] = [];
  const unusable: Unusable[] = [];
  let isBehind = false;
  for (const { sequence, manifest, damage } of listed) {
    if (!manifest) {
      candidates.push({ kind: "damaged", of: { sequence, reason: damage! } });
      continue;
    }
    const why = whyNot(claimed, manifest, facts);
    if (why === null) candidates.push({ kind: "load", manifest });
    else if (typeof why === "string") unusable.push({ sequence, reason: why });
    else candidates.push({ kind: "stop", error: why });
    isBehind ||= typeof why === "string" && isAhead(manifest, claimed);
  }
  return { candidates, start: startOf(claimed, facts), unusable, isBehind };
}

/** Why the job cannot go on from a claim, whatever checkpoints or memory hold: the log has lost records. */
export function whyImpossible(
  { partition, committed, logStart, logEnd }: ClaimedPartition,
): StopError | null {
  if (committed.offset > logEnd) {
    return new StopError(
      `Partition ${partition} was committed up to offset ${committed.offset}, but its log ends at ${logEnd}`,
      "the log lost records: restore it from a copy, or start with --accept-offset (Kafka), which goes on " +
        "at its end",
    );
  }
  if (logStart <= committed.offset) return null;
  return new StopError(
    `The records of partition ${partition} from offset ${committed.offset} to ${
      logStart - 1
    } were removed ` +
      `from the log before they were read: it begins at ${logStart} now`,
    "restore the log from a copy that has them, or give them up: start with an empty file for the state and, " +
      "on Kafka, another kafka.group.id; raise the log's retention above the longest time for which the job stands",
  );
}

/**
 * A checkpoint is published when its offset is committed: one ahead of a claim shows that somebody else has committed
 * since; or that the offset was set back, and what was written since would be written again.
 */
function whySetBack(
  { partition, committed }: ClaimedPartition,
  listed: readonly ListedCheckpoint[],
  { logId, topicId }: RecoveryFacts,
): Extract<Start, { kind: "none" }> | null {
  const newest = listed.find(({ manifest }) => manifest?.logId === logId)?.manifest;
  if (!newest || whyOtherTopic(newest, topicId)) return null;
  const { offset } = positionOf(newest);
  if (offset <= committed.offset) return null;
  return {
    kind: "none",
    reason:
      `The committed offset ${committed.offset} of partition ${partition} lies before ${offset}, where the newest ` +
      "checkpoint stands: a tool has set it back, the brokers have lost it, or the log lost records since and that was " +
      "accepted by another process",
    remedy:
      `set it to where the job stood; or start all processes with --accept-offset, which goes on at ${committed.offset}: ` +
      "results from there on are written again",
  };
}

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
 * Other checkpoints of the store that a savepoint came from describe another future, at the same offsets.
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
export function checkTopicId(manifest: Manifest, now: string | null): void {
  const error = whyOtherTopic(manifest, now);
  if (error) throw error;
}

function whyOtherTopic(
  { topicId, logId, sequence, partition }: Manifest,
  now: string | null,
): StopError | null {
  if (!topicId || now === null || topicId === now) return null;
  return new StopError(
    `The topic of ${logId} was deleted and created anew: its id is ${now}, and checkpoint ${sequence} of ` +
      `partition ${partition} was made from ${topicId}`,
    "start with another kafka.group.id and an empty file for the state (state.kv), which folds the new topic " +
      "from its first record",
  );
}

/** Why a checkpoint may not serve; an error where only a person can decide; null = it may. */
function whyNot(
  claimed: ClaimedPartition,
  manifest: Manifest,
  { logId, topicId, restoredFrom, parameters }: RecoveryFacts,
): string | StopError | null {
  const { partition, committed } = claimed;
  const { offset } = positionOf(manifest);
  if (!isOfLog(manifest, logId, restoredFrom)) {
    if (restoredFrom) return "it belongs to another log";
    return new StopError(
      `Checkpoint ${manifest.sequence} of partition ${partition} belongs to another log ` +
        `(${manifest.logId}; this one is ${logId})`,
      "put the log's file back, or start with empty files for both log and state",
    );
  }
  const otherTopic = whyOtherTopic(manifest, topicId);
  if (otherTopic) return otherTopic;
  if (isAhead(manifest, claimed)) {
    return `its offset ${offset} is ahead of the committed ${committed.offset}`;
  }
  if (offset < claimed.logStart) {
    return `the log begins at ${claimed.logStart}, behind its offset ${offset}`;
  }
  if (standsAt(manifest, claimed)) return null;
  const hash = foldParametersHash(manifest.parameters);
  const now = foldParametersHash(parameters);
  const raised = isRaised(hash, parameters);
  // Folded by the version before up to where it was raised, and on from there.
  const leads = raised && committed.parametersHash === now && committed.raisedAt !== null &&
    offset <= committed.raisedAt;
  // Otherwise they were changed somewhere between the two, and it is not known where.
  if (!leads && committed.parametersHash !== "" && committed.parametersHash !== hash) {
    return `what was committed behind it was folded with other fold parameters`;
  }
  if (hash === now || raised) return null;
  return new StopError(
    `The fold parameters differ from those of checkpoint ${manifest.sequence} of partition ${partition}: ` +
      foldParametersDiff(manifest.parameters, parameters),
    BACK_TO_OLD_PARAMETERS,
  );
}

/** Whether fold parameters differ from those of a hash in that they are of a newer version of the fold, and in nothing else. */
export function isRaised(hash: string, parameters: FoldParameters): boolean {
  const earlier = earlierVersionOf(parameters);
  return earlier !== null && foldParametersHash(earlier) === hash;
}

/** The start of the partition, if the log still holds every record from there. */
function startOf(
  { partition, committed, logStart }: ClaimedPartition,
  facts: RecoveryFacts,
): Start {
  const { start, offset, parametersHash, raisedAt } = committed;
  const remedy = "put a copy of the state's file back";
  const none = `Partition ${partition} has no usable checkpoint, and`;
  if (start === null) {
    return { kind: "none", reason: `${none} its state did not begin in this log`, remedy };
  }
  if (logStart > start) {
    const reason =
      `${none} its log begins at offset ${logStart}, behind ${start} where its state began`;
    return { kind: "none", reason, remedy };
  }
  const isLater = isRaised(parametersHash, facts.parameters);
  if (offset > start && (isLater || (raisedAt !== null && raisedAt > start))) {
    const earlier = earlierVersionOf(facts.parameters);
    if (earlier && (isLater || parametersHash === foldParametersHash(facts.parameters))) {
      return { kind: "offset", offset: start, parameters: earlier };
    }
  }
  if (offset > start && parametersHash !== foldParametersHash(facts.parameters)) {
    const reason = `${none} was folded with other fold parameters before`;
    return { kind: "none", reason, remedy: BACK_TO_OLD_PARAMETERS };
  }
  return { kind: "offset", offset: start, parameters: facts.parameters };
}
