import type {
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "../types/mod.ts";
import { ItemTransactionJob } from "../service/item_transaction_job.ts";
import type { Parameters } from "../parameters/parameters.ts";
import type { LogSource } from "../log/mod.ts";
import type { InputStream, OutputStream } from "../service/streams.ts";

/** Reads and writes topics of Apache Kafka. Whoever creates it brings their log. */
export class KafkaItemTransactionJob extends ItemTransactionJob {
  #source: LogSource | null = null;

  /** @param openSource gives the log that parameters describe */
  constructor(readonly openSource: (params: Parameters) => LogSource) {
    super();
  }

  #log(params: Parameters): LogSource {
    return this.#source ??= this.openSource(params);
  }

  override readTransactionStream(params: Parameters): InputStream<ItemTransaction> {
    return { source: this.#log(params), topic: params.get("transaction.input.topic") };
  }

  override readQueryStream(params: Parameters): InputStream<Query> {
    return { source: this.#log(params), topic: params.get("query.input.topic") };
  }

  override writeTransactionResults(
    params: Parameters,
    results: OutputStream<TransactionResult>,
  ): void {
    const topic = params.get("transaction.output.topic");
    if (topic) results.addSink({ kind: "topic", topic });
  }

  override writeQueryOutput(params: Parameters, results: OutputStream<QueryResult>): void {
    results.addSink({ kind: "topic", topic: params.get("query.output.topic") });
  }

  override writeTransactionSummaries(
    params: Parameters,
    summaries: OutputStream<TransactionSummary>,
  ): void {
    const topic = params.get("summary.output.topic");
    if (topic) summaries.addSink({ kind: "topic", topic });
  }

  override deadLetterTopic(params: Parameters): string | null {
    return params.get("deadletter.topic") || null;
  }
}
