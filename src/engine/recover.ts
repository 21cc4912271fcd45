// From a claim to where its partitions run. What stands where the claim does goes on with what the claim before has left;
// all else takes the one recovery path:
//
//   take the store's epoch over -> plan (recovery_plan.ts) -> load -> drop windows fired since
//   -> fold silently up to the committed offset

import { getLogger } from "@logtape/logtape";
import {
  type ClaimedPartition,
  type LogSession,
  LostError,
  OffsetOutOfRangeError,
  StopError,
} from "../log/mod.ts";
import {
  coreOptionsOf,
  DamagedCheckpointError,
  foldParametersHash,
  type Manifest,
} from "../state/mod.ts";
import { batchInfo, BrokenPromiseError, TracedQueue } from "../types/mod.ts";
import { Core, CoreError } from "../wasm/mod.ts";
import { lostIfFenced } from "./checkpoints_due.ts";
import { loadCore } from "./load_core.ts";
import { hold, type Holding, type Loaded, produceFor } from "./held_state.ts";
import { secretOf } from "./log_secret.ts";
import { Partition } from "./partition.ts";
import type { PendingTransactions } from "./pending.ts";
import type { ProgressReporter } from "./progress.ts";
import {
  planRecovery,
  type RecoveryFacts,
  type RecoveryPlan,
  type Unusable,
  whyImpossible,
} from "./recovery_plan.ts";
import { addRecovery, recoveryOf, reportDamage } from "./report_recovered.ts";
import { together } from "./supervise.ts";
import { RecoveryTurns, throwIfGivenUp } from "./turns.ts";
import { orAborted } from "./waiters.ts";
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
class StaleClaimError extends StopError {}

export interface ClaimRecoveryOptions {
  readonly context: WorkerContext;
  /** Is given what was committed of a partition. */
  readonly onAcknowledged: (pending: PendingTransactions) => void;
  /** A partition runs. */
  readonly onRuns: (partition: Partition) => void;
}

/** Partitions of a claim that are to be recovered. */
export interface ToRecover {
  readonly session: LogSession;
  readonly lost: readonly ClaimedPartition[];
  readonly progress: ProgressReporter;
}

/** Begins the partitions of a worker, claim after claim. */
export class ClaimRecovery {
  /** Those of the claim before: what stands at the next one is kept. */
  #left: readonly Partition[] = [];
  /** By partition: settles when what was dropped of it has left the memory. */
  readonly #dropped = new Map<number, Promise<void>>();
  /** What was left while the store was being read or written: each settles when that has ended. */
  readonly #behind = new Set<Promise<void>>();
  /** Positions of claims that recovery found older than a checkpoint, by partition. */
  readonly #doubted = new Map<number, number>();

  constructor(readonly options: ClaimRecoveryOptions) {}

  /** What the claim before has left, and no later one has kept or dropped. */
  get left(): readonly Partition[] {
    return this.#left;
  }

  /** A claim is over: the next one may keep these, once they are released. */
  leave(partitions: readonly Partition[]): void {
    this.#left = [...this.#left, ...partitions];
  }

  /** Goes on with what the claim before has left, which is forgotten then. Answers what has to be recovered. */
  async keepAll(session: LogSession): Promise<readonly ClaimedPartition[]> {
    const lost: ClaimedPartition[] = [];
    for (const claimed of session.partitions) {
      if (!await this.#keep(session, claimed)) lost.push(claimed);
    }
    for (const left of this.#left) this.drop(left);
    this.#left = [];
    return lost;
  }

  /**
   * Forgets one that was released.
   *
   * @param behind of a recovery that was left: settles when it has ended, and needs its state no more
   */
  drop(partition: Partition, behind: Promise<void> | null = null): void {
    const { partition: number } = partition;
    const left = behind ? behind.then(() => partition.drop()) : partition.drop();
    // What was dropped before may still be there.
    this.#dropped.set(number, Promise.all([this.#dropped.get(number), left]).then(() => {}));
  }

  /** What runs is left as it is; of what does not, nothing counts any more, and what is under way ends by itself. */
  #leave(partition: Partition, executing: Promise<void>): void {
    const behind: Promise<void> = executing.catch((error) => {
      if (!(error instanceof LostError)) reportBehind(partition, error);
    }).finally(() => this.#behind.delete(behind));
    this.#behind.add(behind);
    const { isRunning } = partition;
    partition.release();
    if (isRunning) this.leave([partition]);
    else this.drop(partition, behind);
  }

  /** Resolves when nothing of the store is under way of what was left: neither a recovery nor a checkpoint. */
  async atRest(): Promise<void> {
    await Promise.all([
      ...this.#behind,
      ...this.#dropped.values(),
      ...this.#left.map(({ checkpointer }) => checkpointer.atRest()),
    ]);
  }

  /**
   * Recovers partitions side by side: while one waits for the store or the log, another folds. Where the claim is about
   * to be over, they are left to the next one, at once, whatever the store still does.
   *
   * @param stop gives it up
   * @param runs is called with each that runs
   */
  async recoverAll(
    { session, lost, progress }: ToRecover,
    stop: AbortSignal,
    runs: (partition: Partition) => void = () => {},
  ): Promise<void> {
    const { ending } = session;
    await together(lost.map((claimed) => async (failed) => {
      const signal = AbortSignal.any([stop, failed, ending]);
      try {
        const partition = await this.recover(session, claimed, signal, progress);
        if (partition) runs(partition);
      } catch (error) {
        const isLeft = error instanceof LostError && ending.aborted && !stop.aborted;
        if (!isLeft) throw error;
      }
    }));
  }

  /**
   * Recovers a claimed partition, which runs then; null when the signal is aborted before. Nothing is waited for then:
   * what is under way of the store ends behind that.
   */
  async recover(
    session: LogSession,
    claimed: ClaimedPartition,
    signal: AbortSignal,
    progress: ProgressReporter,
  ): Promise<Partition | null> {
    const { context, onRuns } = this.options;
    const partition = this.#newPartition(claimed);
    // Its state is not to be in memory twice for as long as the store takes to end a checkpoint.
    await orAborted(this.#dropped.get(claimed.partition) ?? null, signal);
    const executing = execute(context, session, partition, signal, progress);
    await orAborted(executing, signal).catch((error) => {
      partition.release();
      this.drop(partition);
      this.#again(error, claimed);
    });
    if (signal.aborted) {
      this.#leave(partition, executing);
      return null;
    }
    onRuns(partition);
    return partition;
  }

  #newPartition(claimed: ClaimedPartition): Partition {
    const { context: { tracing }, onAcknowledged } = this.options;
    return new Partition(claimed, onAcknowledged, tracing ? new TracedQueue() : null);
  }

  /** Whether a partition goes on with what the claim before has left of it; else that is forgotten. */
  async #keep(session: LogSession, claimed: ClaimedPartition): Promise<boolean> {
    const left = this.#left.find((p) => p.partition === claimed.partition);
    if (!left) return false;
    this.#left = this.#left.filter((p) => p !== left);
    const partition = this.#newPartition(claimed);
    // A log that lost records is found by the recovery, which says so.
    if (whyImpossible(claimed) === null && partition.keep(left)) {
      await produceFor(partition.processor, session);
      this.options.onRuns(partition);
      return true;
    }
    partition.release();
    this.drop(left);
    return false;
  }

  /** A claim that is behind a checkpoint is made again, once: if the next one is not newer, the error stands. */
  #again(error: unknown, { partition, committed }: ClaimedPartition): never {
    if (!(error instanceof StaleClaimError)) throw error;
    if (this.#doubted.get(partition) === committed.offset) throw error;
    this.#doubted.set(partition, committed.offset);
    throw new LostError(error.message, { cause: error });
  }
}

/** What was left is recovered by somebody else. Only what the code promises itself must hold. */
function reportBehind({ partition }: Partition, error: Error): void {
  const text =
    "A recovery of partition {partition} did not end in good order behind its claim: {reason}";
  const facts = { partition, reason: error.message };
  if (error instanceof BrokenPromiseError) log.error(text, facts);
  else log.warn(text, facts);
}

// ---- one partition ----

/** Surroundings of the recovery of one partition. */
interface Recovering extends Holding {
  readonly progress: ProgressReporter;
}

interface Restored extends Loaded {
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
async function execute(
  context: WorkerContext,
  session: LogSession,
  partition: Partition,
  signal: AbortSignal,
  progress: ProgressReporter,
): Promise<void> {
  const { store, clock, parameters, settings, log: { id, topicId, restoredFrom } } = context;
  const facts: RecoveryFacts = {
    logId: id,
    topicId,
    restoredFrom,
    parameters,
    // Where one process takes all partitions over, it has looked at that before anyone claims.
    refusesSetBack: context.partitionsAreGiven === true && !settings.acceptsOffset,
  };
  const recovering: Recovering = { context, session, partition, facts, progress, signal };
  const from = clock.monotonic();
  throwIfGivenUp(signal); // a late one would fence the next owner off
  context.onStep?.("recovering", partition.partition);
  partition.restore();
  const epoch = await store.takeOver(partition.partition, signal);
  throwIfGivenUp(signal);
  const loaded = await store.whileOwned(epoch, async () => {
    const listed = await store.list(partition.partition);
    throwIfGivenUp(signal);
    const loaded = await load(recovering, planRecovery(partition.claimed, listed, facts));
    throwIfGivenUp(signal);
    if (loaded.damaged.length === 0 || await store.isCurrent(epoch)) return loaded;
    throw new LostError(`Partition ${partition.partition} has another owner`);
  });
  throwIfGivenUp(signal);
  await reportDamage(context, partition, loaded.damaged);
  throwIfGivenUp(signal);
  await hold(recovering, epoch, loaded);
  await replay(recovering);
  throwIfGivenUp(signal);
  const recovery = recoveryOf(partition, loaded.manifest, clock.monotonic() - from);
  // Whoever leaves it while its history is written leaves it as it stands.
  partition.run(recovery);
  await addRecovery(context, partition, loaded.manifest, recovery);
}

// ---- restoring ----

/** Loads the first of the candidates that can be loaded. */
async function load(recovering: Recovering, plan: RecoveryPlan): Promise<Restored> {
  const { context, partition: { partition, claimed }, progress, signal } = recovering;
  const damaged: Unusable[] = [];
  for (const candidate of plan.candidates) {
    throwIfGivenUp(signal); // the next owner may have removed what the one before needs
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
  throwIfGivenUp(signal);
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
    throwIfGivenUp(signal);
    if (batches.length > 0) return batches;
  }
  throw new Error(`The log gives nothing from offset ${offset} of partition ${partition} on`);
}

// ---- replaying ----

/**
 * Folds again, silently, up to the committed position, each record by the version of the fold that folded it. Checkpoints
 * are taken as they fall due.
 */
async function replay(recovering: Recovering): Promise<void> {
  const { partition, progress, context: { parameters }, signal } = recovering;
  const { processor, claimed: { committed } } = partition;
  await processor.dropFired(committed.watermark);
  throwIfGivenUp(signal);
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
  const turns = new RecoveryTurns(context, partition, signal);
  while (processor.position < end) {
    const batches = await readSome(recovering, processor.position, REPLAY_READ_BYTES);
    for (const batch of batches) {
      await processor.replay(batch, end);
      replayed(processor.position);
      if (!signal.aborted && checkpointer.isDue()) {
        // One that is given up ends behind the recovery.
        await orAborted(checkpointer.take(signal).catch(lostIfFenced), signal);
      }
      await turns.next();
    }
  }
}
