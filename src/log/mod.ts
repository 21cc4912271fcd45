// log: where records come from and where results go.
//
// What lives here: the port of a log (claim, read, commit), where one comes from (opener.ts), what some can do besides
// (capabilities.ts), its errors; the embedded log, which keeps topics in Deno KV for a job without Kafka; the generator,
// a log that is computed.
// What may not: the fold, checkpoints, HTTP, Kafka (src/kafka implements the same port).
//
// Records enter by EmbeddedLog.append, which answers when they are durable; a session of the port reads
// them in batches and commits positions together with outputs.

export * from "./port.ts";
export type { EmbeddedLogOptions } from "./embedded_topics.ts";
export * from "./consumer.ts";
export * from "./opener.ts";
export * from "./capabilities.ts";
export { PlainLog, PlainSession } from "./plain.ts";
export { ForwardingLog, ForwardingSession } from "./forwarding.ts";
export type { ThreadedLog } from "./threaded_log.ts";
export * from "./calls.ts";
export { EmbeddedLog, LogExistsError, LogFormatError } from "./embedded_log.ts";
export type { GeneratorFacts, GeneratorSpan } from "./generator_facts.ts";
export { GeneratorLog } from "./generator_log.ts";
export type { RetentionLimits } from "./log_writer.ts";
export { AppendTimeoutError } from "./write_queue.ts";
export {
  DamagedBatchError,
  LostError,
  OtherLogError,
  RefusedError,
  StandByError,
  StopError,
  UnavailableError,
} from "./errors.ts";
