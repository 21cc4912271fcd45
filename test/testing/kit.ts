// A job with manual sources and collecting sinks on all its streams.

import { ItemTransactionJob, type OutputStream, type ProcessSink } from "../../src/service/mod.ts";
import { type ParameterKey, Parameters } from "../../src/parameters/mod.ts";
import { CollectingSink, JobTester, ManualSource } from "../../src/testing/mod.ts";
import type {
  ItemTransaction,
  QueryResult,
  TransactionResult,
  TransactionSummary,
} from "../../src/types/mod.ts";

export class KitJob extends ItemTransactionJob {
  readonly transactions;
  readonly queries = ManualSource.ofQueries();
  readonly results = new CollectingSink<TransactionResult>();
  readonly queryResults = new CollectingSink<QueryResult>();
  readonly summaries = new CollectingSink<TransactionSummary>();
  /** A further sink for results. */
  onResults: ProcessSink<TransactionResult>["accept"] = () => {};

  constructor(partitions = 1) {
    super();
    this.transactions = ManualSource.ofTransactions({ partitions });
  }

  override readTransactionStream() {
    return this.transactions.stream;
  }

  override readQueryStream() {
    return this.queries.stream;
  }

  override writeTransactionResults(_: Parameters, results: OutputStream<TransactionResult>) {
    results.addSink({ kind: "process", accept: (values, at) => this.onResults(values, at) });
    results.addSink(this.results);
  }

  override writeQueryOutput(_: Parameters, results: OutputStream<QueryResult>) {
    results.addSink(this.queryResults);
  }

  override writeTransactionSummaries(_: Parameters, summaries: OutputStream<TransactionSummary>) {
    summaries.addSink(this.summaries);
  }

  /** Starts it with every summary passing the alert filter. */
  start(flags: Partial<Record<ParameterKey, string>> = {}): Promise<JobTester> {
    const all = { "transaction.num.min": "0", "transaction.failure.rate.min": "0", ...flags };
    return JobTester.start(this.createApplicationPipeline(Parameters.of(all)));
  }
}

/** A purchase, which fails without stock: a summary passes the filter only with a failure. */
export function purchase(id: number, ts: number, itemId = "item_1"): ItemTransaction {
  return { transactionId: BigInt(id), ts, itemId, quantity: -1 };
}
