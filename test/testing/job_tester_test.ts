import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  CollectingSink,
  JobEndedError,
  JobFailedError,
  TimeoutError,
} from "../../src/testing/mod.ts";
import type { TransactionSummary } from "../../src/types/mod.ts";
import { ManualClock } from "../engine/manual_clock.ts";
import { KitJob, purchase } from "./kit.ts";

const MINUTE_MS = 60_000;

function summary(n: number, failed: number, itemId = "item_1"): TransactionSummary {
  return {
    itemId,
    windowStart: n * MINUTE_MS,
    windowEnd: (n + 1) * MINUTE_MS,
    numSuccessfulTransactions: 0,
    numFailedTransactions: failed,
    totalVolume: BigInt(failed),
  };
}

Deno.test("poll rejects with a TimeoutError when nothing comes in time", async () => {
  const clock = new ManualClock();
  const sink = new CollectingSink<number>({ clock });
  sink.accept([1]);
  assertEquals(await sink.poll(50), 1);
  const polled = assertRejects(
    () => sink.poll(50),
    TimeoutError,
    "Nothing came within 50 ms, after 1 values before",
  );
  await clock.advance(49);
  await clock.advance(1);
  await polled;
  // Who gave up takes nothing away from the next one.
  sink.accept([2]);
  assertEquals(await sink.poll(50), 2);
});

Deno.test("polls are answered in their order", async () => {
  const sink = new CollectingSink<number>();
  const polls = [sink.poll(), sink.poll(), sink.poll()];
  sink.accept([1, 2]);
  assert(sink.isEmpty());
  sink.accept([3, 4]);
  assertEquals(await Promise.all(polls), [1, 2, 3]);
  assert(!sink.isEmpty());
  assertEquals(await sink.poll(), 4);
});

Deno.test("records take effect in the order of the calls, awaited or not", async () => {
  const job = new KitJob();
  await using tester = await job.start();
  const transactions = Array.from({ length: 300 }, (_, i) => purchase(i, i, `item_${i % 7}`));
  for (const transaction of transactions) void job.transactions.sendRecord(transaction);
  for (const transaction of transactions) {
    assertEquals(await job.results.poll(), { transaction, success: false });
  }
  await tester.stop();
});

Deno.test("items of a source with several partitions keep their order, and queries find them all", async () => {
  const job = new KitJob(3);
  await using tester = await job.start();
  const partitions = new Set<number>();
  for (let i = 0; i < 60; i++) {
    const itemId = `item_${i % 12}`;
    partitions.add(tester.job.context.owners.partitionOf(itemId));
    await job.transactions.sendRecord({ transactionId: BigInt(i), ts: i, itemId, quantity: 1 });
  }
  assertEquals(partitions.size, 3);
  const seen = new Map<string, bigint[]>();
  for (let i = 0; i < 60; i++) {
    const { transaction: { itemId, transactionId }, success } = await job.results.poll();
    assert(success);
    seen.set(itemId, [...seen.get(itemId) ?? [], transactionId]);
  }
  for (const ids of seen.values()) assertEquals(ids, ids.toSorted((a, b) => Number(a - b)));
  for (let i = 0; i < 12; i++) {
    const itemId = `item_${i}`;
    await job.queries.sendRecord({ queryId: BigInt(i), itemId });
    const itemInfo = { itemId, quantity: 5n };
    assertEquals(await job.queryResults.poll(), { queryId: BigInt(i), itemInfo });
  }
  await tester.stop();
});

for (const eventTime of ["true", "false"]) {
  Deno.test(`sendWatermark fires the windows up to it, between the records around it (event.time=${eventTime})`, async () => {
    const job = new KitJob(2);
    await using tester = await job.start({ "event.time": eventTime });
    void job.transactions.sendRecord(purchase(1, 10));
    void job.transactions.sendRecord(purchase(2, MINUTE_MS - 1));
    void job.transactions.sendWatermark(MINUTE_MS - 1);
    void job.transactions.sendRecord(purchase(3, MINUTE_MS - 1));
    void job.transactions.sendWatermark(MINUTE_MS);
    // Its window is fired: it executes, but is summed up no more.
    void job.transactions.sendRecord(purchase(4, MINUTE_MS - 1));
    void job.transactions.sendRecord(purchase(5, MINUTE_MS));
    assertEquals(await job.summaries.poll(), summary(0, 3));
    for (let i = 1; i <= 5; i++) {
      assertEquals((await job.results.poll()).transaction.transactionId, BigInt(i));
    }
    assert(job.summaries.isEmpty());
    await job.transactions.sendWatermark(2 * MINUTE_MS);
    assertEquals(await job.summaries.poll(), summary(1, 1));
    const late = tester.job.figures()[0]!.partitions.reduce((n, p) => n + p.late, 0);
    assertEquals(late, 1);
    await tester.stop();
    assert(job.summaries.isEmpty());
  });
}

Deno.test("a watermark that lies back changes nothing", async () => {
  const job = new KitJob();
  await using tester = await job.start({ "event.time": "true" });
  await job.transactions.sendWatermark(MINUTE_MS);
  await job.transactions.sendWatermark(5);
  await job.transactions.sendRecord(purchase(1, 10));
  await job.transactions.sendRecord(purchase(2, MINUTE_MS));
  await tester.stop();
  assertEquals(await job.summaries.poll(), summary(1, 1));
  assert(job.summaries.isEmpty());
});

Deno.test("markFinished fires what is open, and ends the job when all sources are finished", async () => {
  const job = new KitJob(2);
  await using tester = await job.start();
  await job.transactions.sendRecord(purchase(1, 10, "item_1"));
  await job.transactions.sendRecord(purchase(2, 10, "item_2"));
  await job.transactions.markFinished();
  const fired = [await job.summaries.poll(), await job.summaries.poll()];
  assertEquals(fired.toSorted((a, b) => a.itemId < b.itemId ? -1 : 1), [
    summary(0, 1, "item_1"),
    summary(0, 1, "item_2"),
  ]);
  await assertRejects(() => job.transactions.sendRecord(purchase(3, 20)), Error, "is finished");
  // The state is still there for queries.
  await job.queries.sendRecord({ queryId: 7n, itemId: "item_1" });
  await job.queries.markFinished();
  await tester.finished;
  assertEquals(await job.queryResults.poll(), { queryId: 7n, itemInfo: null });
  await assertRejects(() => job.queryResults.poll(), JobEndedError, "nothing more comes");
});

Deno.test("stop waits for everything that was sent", async () => {
  const job = new KitJob();
  await using tester = await job.start();
  for (let i = 0; i < 100; i++) void job.transactions.sendRecord(purchase(i, i));
  await tester.stop();
  for (let i = 0; i < 100; i++) {
    assertEquals((await job.results.poll()).transaction.transactionId, BigInt(i));
  }
  assert(job.results.isEmpty());
  assertEquals(await job.summaries.poll(), summary(0, 100));
});

Deno.test("a failure of the job is reported to whoever polls, and by stop", async () => {
  const job = new KitJob();
  job.onResults = () => {
    throw new Error("The sink broke");
  };
  await using tester = await job.start();
  const polled = assertRejects(() => job.queryResults.poll(), JobFailedError, "The sink broke");
  await job.transactions.sendRecord(purchase(1, 1));
  await polled;
  const { cause } = await assertRejects(() => job.summaries.poll(), JobFailedError);
  assertStringIncludes((cause as Error).message, "The sink broke");
  await assertRejects(() => tester.stop(), Error, "The sink broke");
});

Deno.test("a manual source says so when no test has started, and serves one test only", async () => {
  const job = new KitJob();
  await assertRejects(() => job.queries.sendRecord({ queryId: 1n, itemId: "a" }), Error, "start");
  const tester = await job.start();
  await tester.stop();
  await assertRejects(() => job.start(), Error, "was used by a job already");
});

Deno.test("a manual source works with values in JSON", async () => {
  const job = new KitJob();
  await using tester = await job.start({ format: "json" });
  const transaction = { transactionId: 2n ** 63n - 1n, ts: 5, itemId: '"ä', quantity: 3 };
  await job.transactions.sendRecord(transaction);
  assertEquals(await job.results.poll(), { transaction, success: true });
  await job.queries.sendRecord({ queryId: 1n, itemId: '"ä' });
  const itemInfo = { itemId: '"ä', quantity: 3n };
  assertEquals(await job.queryResults.poll(), { queryId: 1n, itemInfo });
  await tester.stop();
});

Deno.test("behind settle, what a sink does not have does not come", async () => {
  const job = new KitJob(2);
  await using tester = await job.start();
  await tester.settle();
  assert(job.results.isEmpty());
  for (let round = 0; round < 20; round++) {
    // Neither is awaited: settle waits for them.
    for (let i = 0; i < 5; i++) void job.transactions.sendRecord(purchase(i, round, `item_${i}`));
    void job.queries.sendRecord({ queryId: BigInt(round), itemId: "item_1" });
    await tester.settle();
    assertEquals([job.results.size, job.queryResults.size], [5, 1]);
    while (!job.results.isEmpty()) await job.results.poll();
    await job.queryResults.poll();
    assert(job.summaries.isEmpty());
  }
  void job.transactions.sendWatermark(MINUTE_MS);
  await tester.settle();
  assertEquals(job.summaries.size, 5);
  await tester.stop();
});

Deno.test("settle says so when a sink does not take what is committed, and when the job has failed", async () => {
  const hung = new KitJob();
  hung.onResults = () => new Promise(() => {});
  {
    await using tester = await hung.start({ "sink.drain.timeout.ms": "0" });
    await hung.transactions.sendRecord(purchase(1, 1));
    await assertRejects(() => tester.settle(20), TimeoutError, "within 20 ms");
  }
  const broken = new KitJob();
  broken.onResults = () => {
    throw new Error("The sink broke");
  };
  await using tester = await broken.start();
  await broken.transactions.sendRecord(purchase(1, 1));
  await assertRejects(() => tester.settle(), JobFailedError, "The sink broke");
});
