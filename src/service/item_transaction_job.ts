import type {
  ItemTransaction,
  Query,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "../types/mod.ts";
import type { Parameters } from "../parameters/parameters.ts";
import { Pipeline } from "./pipeline.ts";
import { type InputStream, OutputStream } from "./streams.ts";

/**
 * The item management job: validates and executes transactions, answers queries, sums up every item per
 * window. Subclasses say where its streams come from and go to.
 */
export abstract class ItemTransactionJob {
  /** Where transactions come from. */
  abstract readTransactionStream(params: Parameters): InputStream<ItemTransaction>;
  /** Where queries come from. */
  abstract readQueryStream(params: Parameters): InputStream<Query>;
  /** Adds sinks for what became of transactions. */
  abstract writeTransactionResults(
    params: Parameters,
    results: OutputStream<TransactionResult>,
  ): void;
  /** Adds sinks for the answers to queries. */
  abstract writeQueryOutput(params: Parameters, results: OutputStream<QueryResult>): void;
  /** Adds sinks for the summaries that pass the alert filter. */
  abstract writeTransactionSummaries(
    params: Parameters,
    summaries: OutputStream<TransactionSummary>,
  ): void;

  /** Topic for invalid records; null = they are counted and logged. */
  deadLetterTopic(_params: Parameters): string | null {
    return null;
  }

  /** Wires the job; nothing runs before `execute`. */
  createApplicationPipeline(params: Parameters): Pipeline {
    const wiring = {
      transactions: this.readTransactionStream(params),
      queries: this.readQueryStream(params),
      results: new OutputStream<TransactionResult>("transaction-results"),
      queryResults: new OutputStream<QueryResult>("query-results"),
      summaries: new OutputStream<TransactionSummary>("summaries"),
      deadLetterTopic: this.deadLetterTopic(params),
    };
    this.writeTransactionResults(params, wiring.results);
    this.writeQueryOutput(params, wiring.queryResults);
    this.writeTransactionSummaries(params, wiring.summaries);
    return new Pipeline(params, wiring);
  }
}
