// service: the control plane.
//
// What lives here: the streams that a job wires, the pipeline that is made of them, the running job, the way in for
// callers in the process (gateway), queries, savepoints, disks.
// What may not: HTTP, and any kind of job.
//
// Transactions and queries come in as values, go into a log, and are answered when they are folded.

export { MemoryFullError } from "./admission.ts";
export {
  ConflictError,
  type Executed,
  type Gateway,
  IdConflictError,
  OverloadedError,
} from "./gateway.ts";
export {
  generated,
  generatorOptionsOf,
  openGeneratorLog,
  QUERY_INTERVAL_MS,
  randomQuery,
  rateOf,
  shareOf,
} from "./generated_stream.ts";
export { DataGeneratorJob, type FilledTopics, type GeneratorClass } from "./data_generator_job.ts";
export { addressOf, isWildcard, LIFE_HEADER, ProcessLife } from "./process_life.ts";
export { ItemTransactionJob, type JobClass } from "./item_transaction_job.ts";
export { JOB_NAME } from "./job_names.ts";
export { newestRecords } from "./log_reader.ts";
export { foldParametersFor } from "./core_options.ts";
export { embeddedLogOpener } from "./embedded_opener.ts";
export type { RecordWriter } from "./feeds.ts";
export { Pipeline } from "./pipeline.ts";
export type { LogOpener, LogUser } from "../log/mod.ts";
export type { RunningJob } from "./running_job.ts";
export type * from "./status.ts";
export {
  checkDifferent,
  type Delivery,
  type Feed,
  type FeedTarget,
  forEach,
  type ForEachOptions,
  type InputStream,
  type LogKind,
  OutputStream,
  type ProcessSink,
  type Sink,
  topic,
  type TopicSink,
  topicsOf,
  type WiredInput,
  type WiredTopics,
  type Wiring,
} from "./streams.ts";
export { print } from "./print.ts";
export { fromLines, type FromOptions } from "./sources/from_lines.ts";
export { fromRecords } from "./sources/from_records.ts";
export { type LineEndpoint, tcp } from "./sources/tcp.ts";
export type { SinkFigures } from "./sink_worker.ts";
export { type LogRequest, MACHINE, machineMemory, type Surroundings } from "./surroundings.ts";
export { VERSION } from "./version.ts";
export { Cluster, type OwnerOfItem } from "./cluster.ts";
export { checkpointHere } from "./cluster_checkpoints.ts";
export { PEER_IDS_MAX, type PeerRequest } from "./peer.ts";
export { PEER_PATHS } from "./peer_request.ts";
export { checkRemoteStore, useStoreToken } from "./remote_store.ts";
export { checkRestore, checkSavepoint } from "./restore.ts";
export { threadsMax } from "./thread_count.ts";
