// kafka: the port of a log on Apache Kafka.
//
// What lives here: connections and raw requests over kafkajs, membership of the consumer group, claims,
// fetches, transactions. The only room that knows kafkajs, and in it only client/ knows its insides.
// What may not: the fold, checkpoints, HTTP. The job's folder is imported for its errors, parameters and
// the way a worker thread is served; it never imports this one: main hands the opener of the log to the job.
//
// Fetched record batches go out as bytes by a session's read; results come in as finished batches with a
// commit, which is one transaction.

export { KafkaDataGenerator } from "./data_generator.ts";
export { KafkaDataGeneratorJob } from "./kafka_data_generator_job.ts";
export { KafkaLogOpener, parameterTopics } from "./kafka_log_opener.ts";
export { connectionOf, secretsOfFiles } from "./security.ts";
export { createTopicsAt } from "./topics.ts";
export { KafkaItemTransactionJob } from "./kafka_item_transaction_job.ts";
