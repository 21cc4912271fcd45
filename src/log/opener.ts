import type { FileDisk } from "../kv/mod.ts";
import type { PartitionerName } from "../types/mod.ts";
import type { CommittedPosition, Log, Restoration, RestoredFrom } from "./port.ts";

/** Opens a log when the job starts, and closes it when the job has ended. */
export interface LogOpener<L extends Log = Log> {
  /**
   * @param restoration creates the log at the positions of a savepoint; its `restoredFrom` says so
   * @throws {StopError} when it cannot be opened, or is to be created and is there already
   */
  open(user: LogUser, restoration: Restoration | null): Promise<L>;
  /**
   * Before open: what a log that is there already was created from; null = there is none, or it cannot be created
   * from a savepoint.
   */
  existing(): Promise<{ readonly restoredFrom: RestoredFrom | null } | null>;
  /** Before open: moves the log away; answers where it is now, null where that cannot be done. */
  moveAway(): Promise<string | null>;
  close(): Promise<void>;
}

/**
 * The ids of topics that a job has read, kept beside its checkpoints; topics are named as logs are.
 *
 * @throws {LostError} when the store does not answer
 */
export interface ReadTopicIds {
  /** Null: none was read under the name, or by a version that did not keep it. */
  idOf(name: string): Promise<string | null>;
  keep(name: string, id: string): Promise<void>;
}

/** What a log may ask of the job that opens it. */
export interface LogUser {
  /** The disk of log.kv, for a log that is kept there; null = it is not watched. */
  readonly logDisk: FileDisk | null;
  /** Whether the job has a checkpoint. */
  hasCheckpoints(): Promise<boolean>;
  /** Where the newest checkpoints of a log stand, by partition. */
  newestCheckpoints(
    logId: string,
    topicId: string | null,
  ): Promise<ReadonlyMap<number, CommittedPosition>>;
  /** Records of a partition of transactions that were folded here a second lately; null = not known. */
  loadOf(partition: number): number | null;
  /** Which partitioner the checkpoints of a log were made with; null if there are none. */
  partitionerOf(logId: string): Promise<PartitionerName | null>;
  /** Which topics the job has read. */
  readonly readTopics: ReadTopicIds;
}
