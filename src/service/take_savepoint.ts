import { getLogger } from "@logtape/logtape";
import {
  CheckpointGoneError,
  isSavepointName,
  type Savepoint,
  SAVEPOINT_NAME_RULE,
  SavepointExistsError,
} from "../state/mod.ts";
import { UnavailableError } from "../log/mod.ts";
import type { JobContext } from "./job_context.ts";

const log = getLogger(["stockflow", "job"]);

/** How often checkpoints are taken again, because one was retired before it was pinned. */
const ATTEMPTS = 5;

/** What has checkpoints of all partitions. */
interface Checkpointed {
  readonly context: JobContext;
  /** Whether every partition has an owner that can take one. */
  readonly isReady: boolean;
  checkpointNow(partition: number): Promise<number | null>;
  /** Takes those of partitions that other processes have, too; null = this one has all of them. */
  readonly checkpointEverywhere: (() => Promise<(number | null)[]>) | null;
}

/**
 * Takes a checkpoint of every partition and pins them under a name. Each partition is cut at a moment of
 * its own; everything answered before the call is in.
 *
 * @throws {RangeError} when the name is not allowed
 * @throws {SavepointExistsError}
 * @throws {UnavailableError} when a partition is being recovered, or its checkpoint could not be written
 */
export async function takeSavepoint(job: Checkpointed, name: string): Promise<Savepoint> {
  const { savepoints } = job.context.store;
  if (!isSavepointName(name)) {
    throw new RangeError(
      `The name of a savepoint has ${SAVEPOINT_NAME_RULE}, not ${JSON.stringify(name)}`,
    );
  }
  if (await savepoints.get(name)) {
    throw new SavepointExistsError(`There is a savepoint ${name} already`);
  }
  for (let attempt = 1;; attempt++) {
    const sequences = await (job.checkpointEverywhere?.() ?? checkpointAll(job));
    try {
      const savepoint = await savepoints.pin(name, job.context.clock.now(), sequences);
      const items = savepoint.partitions.reduce((n, member) => n + (member?.items ?? 0), 0);
      log.info("Savepoint {name}: {items} items", { name, items });
      return savepoint;
    } catch (error) {
      if (!(error instanceof CheckpointGoneError) || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Sequences of checkpoints of what is folded by now, by partition; null = nothing ever was. */
async function checkpointAll(job: Checkpointed): Promise<(number | null)[]> {
  if (!job.isReady) throw new UnavailableError("Partitions are being recovered");
  const { transactionLog, topics } = job.context;
  const partitions = transactionLog.partitionsOf(topics.input);
  try {
    return await Promise.all(
      Array.from({ length: partitions }, (_, p) => job.checkpointNow(p)),
    );
  } catch (error) {
    throw new UnavailableError((error as Error).message, { cause: error });
  }
}
