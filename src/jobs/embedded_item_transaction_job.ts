import type {
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "../types/mod.ts";
import type { Parameters } from "../parameters/parameters.ts";
import { generated } from "../service/generated_stream.ts";
import { ItemTransactionJob } from "../service/item_transaction_job.ts";
import { type InputStream, type LogKind, type OutputStream, topic } from "../service/streams.ts";

/** Topics of the embedded log. */
export const EMBEDDED_TOPICS = {
  transactions: "transactions",
  queries: "queries",
  results: "transaction-results",
  queryResults: "query-results",
  summaries: "summaries",
  deadLetters: "dead-letters",
} as const;

/** The default job: reads and writes the embedded log, which is fed by the HTTP API or by the generator. */
export class EmbeddedItemTransactionJob extends ItemTransactionJob {
  static override readonly jobName: string = "Transaction Processor Job";

  override log(): LogKind {
    return "embedded";
  }

  override readTransactionStream(params: Parameters): InputStream<ItemTransaction> {
    return params.get("generate.transactions") ? generated() : topic(EMBEDDED_TOPICS.transactions);
  }

  override readQueryStream(_: Parameters): InputStream<Query> {
    return topic(EMBEDDED_TOPICS.queries);
  }

  override writeTransactionResults(
    params: Parameters,
    results: OutputStream<TransactionResult>,
  ): void {
    if (params.get("generate.transactions") && !params.get("generate.results")) return;
    results.addSink(topic(EMBEDDED_TOPICS.results));
  }

  override writeQueryOutput(_: Parameters, results: OutputStream<QueryResult>): void {
    results.addSink(topic(EMBEDDED_TOPICS.queryResults));
  }

  override writeTransactionSummaries(
    _: Parameters,
    summaries: OutputStream<TransactionSummary>,
  ): void {
    summaries.addSink(topic(EMBEDDED_TOPICS.summaries));
  }

  override deadLetterTopic(): string {
    return EMBEDDED_TOPICS.deadLetters;
  }
}
