// engine: what folds.
//
// What lives here: workers (claim, recover, fold, commit), the one recovery path, when checkpoints are taken, the same
// across threads, and what is watched meanwhile.
// What may not: HTTP, parameters' texts, Deno KV itself (src/kv), WebAssembly (src/wasm), kafkajs.
//
// Record batches come from a log's session, go through a core, and their outputs go back into a commit of the same
// session.

export {
  type Blocked,
  type Condition,
  type ConditionFacts,
  type ConditionReporter,
  Conditions,
} from "./conditions.ts";
export {
  addDurations,
  DURATION_BOUNDS_SECONDS,
  type DurationCounts,
  NO_DURATIONS,
} from "./durations.ts";
export type {
  HotItem,
  HotItemFigures,
  PartitionFigures,
  RecoveryCause,
  Shares,
  StockCheck,
  WorkerFigures,
} from "./figures.ts";
export { hottestOf } from "./hot_items.ts";
export { flushOutputs, standardError, standardOutput } from "./line_output.ts";
export { type OnProgress, type Progress, ProgressReporter, type Work } from "./progress.ts";
export { loadCore } from "./load_core.ts";
export { WAIT_MS_MIN, Waits } from "./waits.ts";
