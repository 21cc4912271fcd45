import type { Log } from "../log/mod.ts";
import type { CheckpointStore } from "../state/mod.ts";
import type { Chance, Clock, Codec, Tracing } from "../types/mod.ts";
import type { Conditions } from "../engine/conditions.ts";
import type { Cluster } from "./cluster.ts";
import type { Disk } from "./disk.ts";
import type { OffsetWaiters } from "./offset_waiters.ts";
import type { StateMemory } from "../engine/state_memory.ts";
import type { QueryOutcome } from "./query_processor.ts";
import type { SinkWorker } from "./sink_worker.ts";
import type { CoreOptions } from "../wasm/mod.ts";
import type { Parameters } from "../parameters/parameters.ts";
import type { Wiring } from "./streams.ts";
import type { Owners } from "../engine/owners.ts";
import type { OutputTopics } from "../engine/partition_processor.ts";
import type { JobSettings } from "../engine/worker_context.ts";

/** What the parts of a job on the control plane share. */
export interface JobContext {
  readonly settings: JobSettings;
  /** As they count: what the log showed is filled in. */
  readonly params: Parameters;
  /** Options of the cores; the partition is replaced by whoever folds it. */
  readonly core: CoreOptions;
  readonly wiring: Wiring;
  readonly transactionLog: Log;
  readonly queryLog: Log;
  readonly store: CheckpointStore;
  readonly codec: Codec;
  readonly topics: OutputTopics;
  readonly owners: Owners;
  /** The processes that share the partitions with this one; null = they are not shared. */
  readonly cluster: Cluster | null;
  /** The topic of the answers to queries; null = they are not written. */
  readonly queryResults: string | null;
  /** What is not as it should be now. */
  readonly conditions: Conditions;
  /** The disks of the files that the job writes. */
  readonly disks: readonly Disk[];
  /** Memory of all partitions. */
  readonly memory: StateMemory;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Null: nothing is traced. */
  readonly tracing: Tracing | null;
  readonly queryWaiters: OffsetWaiters<QueryOutcome> | null;
  /** Sinks in this process. */
  readonly sinks: readonly SinkWorker[];
  /** How long a stop waits for them. */
  readonly sinkDrainMs: number;
}
