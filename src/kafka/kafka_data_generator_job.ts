import type { ItemTransaction, Query } from "../types/mod.ts";
import type { Parameters } from "../parameters/mod.ts";
import { DataGeneratorJob } from "../service/data_generator_job.ts";
import { type OutputStream, topic } from "../service/streams.ts";

/** Fills the topics of Kafka that KafkaItemTransactionJob reads. */
export class KafkaDataGeneratorJob extends DataGeneratorJob {
  override writeTransactions(
    params: Parameters,
    transactions: OutputStream<ItemTransaction>,
  ): void {
    transactions.addSink(topic(params.get("transaction.input.topic")));
  }

  override writeQueries(params: Parameters, queries: OutputStream<Query>): void {
    if (params.get("generate.queries")) queries.addSink(topic(params.get("query.input.topic")));
  }
}
