import type { Log } from "../log/mod.ts";
import type { CheckpointStore, FoldParameters } from "../state/mod.ts";
import type { Chance, Clock, Codec } from "../types/mod.ts";
import type { CoreOptions } from "../wasm/mod.ts";
import type { OffsetWaiters } from "./offset_waiters.ts";
import type { Owners } from "./owners.ts";
import type { OutputTopics } from "./partition_processor.ts";
import type { QueryOutcome } from "./query_processor.ts";
import type { Wiring } from "./streams.ts";

/** Timing and limits of a running job, from its parameters. */
export interface JobSettings {
  readonly commitIntervalMs: number;
  readonly checkpointIntervalMs: number;
  readonly checkpointTimeoutMs: number;
  readonly checkpointsRetained: number;
  readonly recoveryRecordsMax: number;
  readonly idleTimeoutMs: number;
  /** Recoveries in a row, without a commit between them, from errors that are no loss of a session. */
  readonly restartAttempts: number;
}

/** What the workers of a job share. */
export interface JobContext {
  readonly settings: JobSettings;
  readonly wiring: Wiring;
  readonly transactionLog: Log;
  readonly queryLog: Log;
  readonly store: CheckpointStore;
  readonly codec: Codec;
  readonly parameters: FoldParameters;
  readonly coreOptions: (partition: number) => CoreOptions;
  readonly topics: OutputTopics;
  readonly owners: Owners;
  readonly clock: Clock;
  readonly chance: Chance;
  /** Who waits for outcomes of appended transactions; null if nobody can. */
  readonly transactionWaiters: OffsetWaiters<number> | null;
  readonly queryWaiters: OffsetWaiters<QueryOutcome> | null;
}
