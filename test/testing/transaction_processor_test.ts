// How a test of a pipeline is written with the kit: docs/testing.md explains it.

import { assert, assertEquals } from "@std/assert";
import { ItemTransactionJob, type OutputStream } from "../../src/service/mod.ts";
import { Parameters } from "../../src/parameters/mod.ts";
import { CollectingSink, JobTester, ManualSource } from "../../src/testing/mod.ts";
import type { QueryResult, TransactionResult } from "../../src/types/mod.ts";

/** The job with the test's own sources and sinks; all between them is that of production. */
class TransactionProcessorTestJob extends ItemTransactionJob {
  readonly transactions = ManualSource.ofTransactions();
  readonly queries = ManualSource.ofQueries();
  readonly results = new CollectingSink<TransactionResult>();
  readonly queryResults = new CollectingSink<QueryResult>();

  override readTransactionStream() {
    return this.transactions.stream;
  }

  override readQueryStream() {
    return this.queries.stream;
  }

  override writeTransactionResults(_: Parameters, results: OutputStream<TransactionResult>) {
    results.addSink(this.results);
  }

  override writeQueryOutput(_: Parameters, results: OutputStream<QueryResult>) {
    results.addSink(this.queryResults);
  }

  override writeTransactionSummaries() {}
}

Deno.test("a query sees the stock that the transactions before it left", async () => {
  const job = new TransactionProcessorTestJob();
  await using tester = await JobTester.start(job.createApplicationPipeline(Parameters.of()));

  const delivery = { transactionId: 1n, ts: 2, itemId: "item_1", quantity: 100 };
  await job.transactions.sendRecord(delivery);
  assertEquals(await job.results.poll(), { transaction: delivery, success: true });

  await job.queries.sendRecord({ queryId: 0n, itemId: "item_1" });
  const stock = { itemId: "item_1", quantity: 100n };
  assertEquals(await job.queryResults.poll(), { queryId: 0n, itemInfo: stock });

  const tooLarge = { transactionId: 2n, ts: 3, itemId: "item_1", quantity: -101 };
  await job.transactions.sendRecord(tooLarge);
  assertEquals(await job.results.poll(), { transaction: tooLarge, success: false });

  await job.queries.sendRecord({ queryId: 1n, itemId: "item_1" });
  assertEquals(await job.queryResults.poll(), { queryId: 1n, itemInfo: stock });

  await job.queries.sendRecord({ queryId: 2n, itemId: "item_2" });
  assertEquals(await job.queryResults.poll(), { queryId: 2n, itemInfo: null });

  await tester.stop();
  assert(job.results.isEmpty());
  assert(job.queryResults.isEmpty());
});
