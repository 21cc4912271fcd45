// What the two sides of a worker's thread call of each other.

import type { CheckpointEvent } from "../../state/mod.ts";
import type { CoreOptions } from "../../wasm/mod.ts";
import type { HotItemFigures, WorkerFigures } from "../figures.ts";
import type { Progress } from "../progress.ts";
import type { ConditionCalls } from "./remote_conditions.ts";
import type { KvCalls } from "./remote_kv.ts";
import type { LogCalls } from "./remote_log.ts";
import type { WorkerSpec } from "./worker_spec.ts";

/** What a thread answers. */
export interface ThreadCalls {
  /** Compiles the core; what is to be folded comes later. */
  prepare(core: CoreOptions): void;
  /** Folds until it is asked to stop. */
  run(spec: WorkerSpec): void;
  stop(): void;
  assign(partition: number): void;
  revoke(partition: number): void;
  lookUp(partition: number, ids: readonly Uint8Array[]): (bigint | null)[];
  hotItems(count: number): HotItemFigures;
  checkpoint(partition: number): number | null;
}

/** What a worker reports to the control plane. */
export interface ReportCalls {
  addEvent(event: CheckpointEvent): void;
  progress(progress: Progress): void;
  figures(figures: WorkerFigures): void;
  /** It folds a partition, or no longer. */
  owner(partition: number, owned: boolean): void;
  ready(partition: number): void;
  offline(partition: number, reason: string): void;
}

/** What the control plane answers to every thread; one that opens a log of its own calls that log's instead. */
export type ControlCalls = KvCalls & ConditionCalls & ReportCalls & LogCalls;
