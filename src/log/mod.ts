// log: where records come from and where results go.
//
// What lives here: the port of a log (claim, read, commit), and the embedded log, which keeps topics in
// Deno KV for a job without Kafka; the generator, a log that is computed.
// What may not: the fold, checkpoints, HTTP, Kafka (src/kafka implements the same port).
//
// Records enter by EmbeddedLog.append, which answers when they are durable; a session of the port reads
// them in batches and commits positions together with outputs.

export * from "./port.ts";
export {
  EmbeddedLog,
  type EmbeddedLogOptions,
  LogExistsError,
  LogFormatError,
} from "./embedded_log.ts";
export { type GeneratorFacts, GeneratorLog, type GeneratorSpan } from "./generator_log.ts";
export {
  type Kv,
  KV_COMMIT_CHECKS_MAX,
  KV_VALUE_BYTES_MAX,
  type KvLimits,
  limitsOf,
  toKv,
} from "./kv.ts";
export type { RetentionLimits } from "./log_writer.ts";
export { isNoRoom, NoRoomError, WriteFailedError } from "./write_errors.ts";
export { AppendTimeoutError } from "./write_queue.ts";
export { HungError, watchKv } from "./watched_kv.ts";
export {
  KvFileError,
  lookAtKvFile,
  moveKvFile,
  openKvFile,
  openKvFileToRead,
  openKvInMemory,
  unusedBytes,
} from "./kv_file.ts";
