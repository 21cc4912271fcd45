import type { Log } from "../log/mod.ts";
import type { CheckpointStore, FoldParameters } from "../state/mod.ts";
import type { Chance, Clock, Tracing } from "../types/mod.ts";
import type { BufferPool, CoreOptions } from "../wasm/mod.ts";
import type { ConditionReporter } from "./conditions.ts";
import type { OnProgress } from "./progress.ts";
import type { StateMemory } from "./state_memory.ts";
import type { PendingLimits } from "./pending.ts";
import type { Partition } from "./partition.ts";
import type { OutputTopics } from "./partition_processor.ts";

/** Timing and limits, from the parameters. */
export interface JobSettings {
  readonly commitIntervalMs: number;
  /** The same for answers to queries. */
  readonly queryCommitIntervalMs: number;
  readonly checkpointIntervalMs: number;
  readonly checkpointTimeoutMs: number;
  readonly checkpointsRetained: number;
  readonly recoveryRecordsMax: number;
  readonly idleTimeoutMs: number;
  /** Recoveries in a row, without a commit between them, from errors that are not the loss of a session. */
  readonly restartAttempts: number;
  /** The same, from a log that refuses what it is asked. */
  readonly logRetries: number;
  /** Many records that belong to other partitions stop the job; else they are dead letters, however many. */
  readonly stopsAtStrays: boolean;
  /** Goes on from committed offsets that lie before a checkpoint. */
  readonly acceptsOffset: boolean;
}

/** What a transaction worker needs of its surroundings, in whatever thread it runs. */
export interface WorkerContext {
  readonly settings: JobSettings;
  readonly log: Log;
  readonly store: CheckpointStore;
  readonly parameters: FoldParameters;
  readonly coreOptions: (partition: number) => CoreOptions;
  readonly topics: OutputTopics;
  /** Gets the result batches back once they are committed; the cores take their buffers from it. */
  readonly buffers?: BufferPool | null;
  /** The partitions that this worker folds at first; all by default. */
  readonly partitions?: readonly number[];
  /** Whether the log says with each claim which partitions this worker has; then those above count for nothing. */
  readonly partitionsAreGiven?: boolean;
  /** Which of the process's workers it is; by default the number of its first partition. */
  readonly worker?: number;
  /** Bounds of what waits for a commit; those of Committer by default. */
  readonly pendingLimits?: PendingLimits;
  /** Where it reports what is not as it should be. */
  readonly conditions: ConditionReporter;
  /** Memory of all partitions; this worker's are reported there. */
  readonly memory: StateMemory;
  /** Whether new items are held back here when memory is full; else whoever appends does. */
  readonly holdsBack: boolean;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Null or left away: nothing is traced. */
  readonly tracing?: Tracing | null;
  /** Learns what the worker is busy with. */
  onStep?(step: "waiting" | "recovering" | "folding", partition: number): void;
  /** Learns how far works have come that can take long. */
  readonly onProgress?: OnProgress | undefined;
  /** Learns that a partition is owned, or no longer. */
  onOwner(partition: number, owner: Partition | null): void;
  /** Learns why a partition cannot be claimed now; holds until the next word of its owner. */
  onOffline?(partition: number, reason: string): void;
}
