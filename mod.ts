// stockflow for jobs of one's own (docs/jobs.md): the base class, what its methods return, and what runs it. What is not
// exported here or by ./src/testing/mod.ts may change with any version.

export {
  DataGeneratorJob,
  type Delivery,
  type Feed,
  type FeedTarget,
  forEach,
  type ForEachOptions,
  fromLines,
  type FromOptions,
  fromRecords,
  generated,
  type GeneratorClass,
  type InputStream,
  ItemTransactionJob,
  type JobClass,
  type LineEndpoint,
  type LogKind,
  OutputStream,
  print,
  type ProcessSink,
  type Sink,
  tcp,
  topic,
  type TopicSink,
} from "./src/service/mod.ts";
export { EmbeddedItemTransactionJob, SocketItemTransactionJob } from "./src/jobs/mod.ts";
export { KafkaDataGeneratorJob } from "./src/kafka/kafka_data_generator_job.ts";
export { KafkaItemTransactionJob } from "./src/kafka/kafka_item_transaction_job.ts";
export { run } from "./src/cli/run.ts";
export {
  boolean,
  decimal,
  integer,
  list,
  oneOf,
  optional,
  type Parameter,
  ParameterError,
  Parameters,
  type ParameterTable,
  secret,
  text,
} from "./src/parameters/mod.ts";
export { StopError } from "./src/log/mod.ts";
export {
  type ItemInfo,
  type ItemTransaction,
  type Query,
  type QueryResult,
  showQueryResult,
  type TransactionResult,
  type TransactionSummary,
} from "./src/types/mod.ts";
