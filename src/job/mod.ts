// job: what runs.
//
// What lives here: ItemTransactionJob and its kinds, the pipeline that a job wires, workers (claim,
// recover, fold, commit), the one recovery path, when checkpoints are taken, the way in for callers in
// the process (gateway), parameters.
// What may not: HTTP, Deno KV itself (src/log and src/state), WebAssembly (src/wasm), kafkajs.
//
// Record batches come from a log's session, go through a core, and their outputs go back into a commit
// of the same session.

export {
  type Blocked,
  type Condition,
  type ConditionFacts,
  type ConditionReporter,
  Conditions,
} from "./conditions.ts";
export { MemoryFullError } from "./admission.ts";
export { ConflictError, type Gateway, OverloadedError } from "./gateway.ts";
export * from "./errors.ts";
export { WAIT_MS_MIN, Waits } from "./waits.ts";
export { readSmallBytes, readSmallFile, SMALL_FILE_BYTES_MAX } from "./files.ts";
export { FOREIGN_KEYS } from "./foreign_keys.ts";
export * from "./parameters.ts";
export * from "./parameter_table.ts";
export * from "./streams.ts";
export { Instance, INSTANCE_HEADER } from "./instance.ts";
export { ItemTransactionJob } from "./item_transaction_job.ts";
export {
  EMBEDDED_TOPICS,
  EmbeddedItemTransactionJob,
  embeddedTopics,
} from "./embedded_item_transaction_job.ts";
export {
  generatorOptionsOf,
  openGeneratorLog,
  QUERY_INTERVAL_MS,
  randomQuery,
  rateOf,
  shareOf,
} from "./generated_stream.ts";
export { JOB_NAME, SOCKET_JOB_NAME } from "./job_names.ts";
export { SocketItemTransactionJob, type SocketMachine } from "./socket_item_transaction_job.ts";
export { addressOf } from "./socket/dial.ts";
export { isJobKind, JOB_KINDS, type JobKind, jobName } from "./job_kinds.ts";
export { KafkaItemTransactionJob } from "./kafka_item_transaction_job.ts";
export { foldParametersFor, Pipeline } from "./pipeline.ts";
export type { LogPage, LogReader } from "./log_reader.ts";
export type { RunningJob } from "./running_job.ts";
export { addDurations, DURATION_BOUNDS_SECONDS, type DurationCounts } from "./worker/durations.ts";
export type { PartitionFigures, Shares, WorkerFigures } from "./worker/figures.ts";
export { type OnProgress, type Progress, ProgressReporter, type Work } from "./progress.ts";
export { flushOutputs, standardError, standardOutput } from "./line_output.ts";
export { lookAtFiles, MACHINE, machineMemory, type Surroundings } from "./surroundings.ts";
