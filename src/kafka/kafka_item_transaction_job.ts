import type {
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "../types/mod.ts";
import { ParameterError, type Parameters } from "../parameters/mod.ts";
import { ItemTransactionJob } from "../service/item_transaction_job.ts";
import { type InputStream, type LogKind, type OutputStream, topic } from "../service/streams.ts";

/** Reads and writes topics of Apache Kafka that parameters name. */
export class KafkaItemTransactionJob extends ItemTransactionJob {
  static override readonly jobName: string = "Transaction Processor Job";

  override log(): LogKind {
    return "kafka";
  }

  /** @throws {ParameterError} when transactions are to be generated, which come from the topic */
  override readTransactionStream(params: Parameters): InputStream<ItemTransaction> {
    if (params.get("generate.transactions")) {
      throw new ParameterError(
        "generate.transactions=true does not go with job=kafka: its transactions come from " +
          "transaction.input.topic",
      );
    }
    return topic(params.get("transaction.input.topic"));
  }

  override readQueryStream(params: Parameters): InputStream<Query> {
    return topic(params.get("query.input.topic"));
  }

  override writeTransactionResults(
    params: Parameters,
    results: OutputStream<TransactionResult>,
  ): void {
    const name = params.get("transaction.output.topic");
    if (name) results.addSink(topic(name));
  }

  override writeQueryOutput(params: Parameters, results: OutputStream<QueryResult>): void {
    results.addSink(topic(params.get("query.output.topic")));
  }

  override writeTransactionSummaries(
    params: Parameters,
    summaries: OutputStream<TransactionSummary>,
  ): void {
    const name = params.get("summary.output.topic");
    if (name) summaries.addSink(topic(name));
  }

  override deadLetterTopic(params: Parameters): string | null {
    return params.get("deadletter.topic") || null;
  }
}
