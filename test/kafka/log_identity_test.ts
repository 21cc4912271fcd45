import { assertEquals, assertRejects } from "@std/assert";
import { LostError, OffsetOutOfRangeError, StopError } from "../../src/log/mod.ts";
import { ErrorCode, isUnavailable } from "../../src/kafka/client/errors.ts";
import {
  checkBatch,
  checkBatches,
  LastBatches,
  type ReadBatch,
} from "../../src/kafka/log_identity.ts";
import { NO_EPOCH } from "../../src/kafka/protocol/fetch.ts";
import { batchInfo } from "../../src/types/mod.ts";
import { batchAt, fetcherOf, named, READ, readAll, Topic } from "./small_topic.ts";

const ID = "AAAAAAAAAAAAAAAAAAAAAQ";
const NEXT_ID = "AAAAAAAAAAAAAAAAAAAAAg";

/** A batch that was read of partition 0, of which nothing was committed. */
const readAs = (batch: ReadBatch["batch"]): ReadBatch => ({ partition: 0, batch, committed: null });

Deno.test("without topic ids, a log that holds another batch than was read, behind a failure, is not read on", async () => {
  const client = new Topic();
  client.values = ["a", "b"];
  const fetcher = fetcherOf(client);
  await readAll(fetcher, 2);
  client.values = ["A", "B", "C"];
  client.failures = [ErrorCode.UnknownTopicOrPartition];
  const error = await assertRejects(() => fetcher.read(0, 2, READ), StopError);
  assertEquals(error.message.includes("holds another batch at offset 1 than was read there"), true);
  fetcher.close(new Error("over"));
});

Deno.test("a log that is compacted is read on behind a failure, though its batches are not as they were", async () => {
  const client = new Topic();
  client.values = ["a", "b"];
  const fetcher = fetcherOf(client, { topic: { ...named, isCompacted: true } });
  await readAll(fetcher, 2);
  client.values = ["A", "B", "c"];
  client.failures = [ErrorCode.NotLeader];
  assertEquals((await fetcher.read(0, 2, READ)).batches, [batchAt(2, "c")]);
  fetcher.close(new Error("over"));
});

Deno.test("without topic ids, a log that holds the same batch is read on behind a failure", async () => {
  const client = new Topic();
  client.values = ["a", "b"];
  const fetcher = fetcherOf(client);
  await readAll(fetcher, 2);
  client.values = ["a", "b", "c"];
  client.failures = [ErrorCode.NotLeader];
  assertEquals((await fetcher.read(0, 2, READ)).batches, [batchAt(2, "c")]);
  fetcher.close(new Error("over"));
});

Deno.test("with ids in metadata alone, another id behind a failure is noticed before anything is read", async () => {
  const client = new Topic();
  client.id = ID;
  client.values = ["a"];
  const topic = { ...named, id: ID };
  const fetcher = fetcherOf(client, { topic });
  await readAll(fetcher, 1);
  client.id = NEXT_ID;
  client.values = ["A", "B"];
  client.failures = [ErrorCode.NotLeader];
  await assertRejects(() => fetcher.read(0, 1, READ), StopError, `its id is ${NEXT_ID} now`);
  fetcher.close(new Error("over"));
});

Deno.test("a topic that stays away ends the session: the next claim waits for it, and says so", async () => {
  const client = new Topic();
  client.failures = new Array(20).fill(ErrorCode.UnknownTopicId);
  const topic = { ...named, id: ID };
  const ends = new Map([[0, 1]]);
  const fetcher = fetcherOf(client, { topic, ends });
  await assertRejects(() => fetcher.read(0, 0, READ), LostError, "Topic t is not there");
  fetcher.close(new Error("over"));
});

Deno.test("checkBatch says nothing of a batch that retention has removed; one that the log does not reach any more was lost", async () => {
  const client = new Topic();
  client.values = ["a"];
  const { crc } = batchInfo(batchAt(0, "a"));
  await checkBatch(client, named, readAs({ baseOffset: 0, crc }));
  await assertRejects(
    () => checkBatch(client, named, readAs({ baseOffset: 0, crc: 7 })),
    StopError,
  );
  const beyond = { baseOffset: 5, crc: 7 };
  const text = "The log of t-0 ends before offset 5, of which a batch was read";
  await assertRejects(() => checkBatch(client, named, readAs(beyond)), LostError, text);
  await assertRejects(
    () => checkBatches(client, named, [{ partition: 0, batch: beyond, committed: 6 }]),
    LostError,
    text,
  );
  client.values = ["a", "b", "c", "d", "e", "f", "g", "h"];
  client.start = 6;
  await checkBatch(client, named, readAs(beyond));
});

Deno.test("checkBatch waits for a batch at the very end of the log: its leader may not show it yet", async () => {
  const client = new Topic();
  client.values = ["a"];
  const at = (baseOffset: number) => checkBatch(client, named, readAs({ baseOffset, crc: 7 }));
  assertEquals(isUnavailable(await assertRejects(() => at(1))), true);
});

Deno.test("a check that a quota holds back is asked again, and never left out", async () => {
  const client = new Topic();
  client.values = ["a"];
  const at = (crc: number) => checkBatch(client, named, readAs({ baseOffset: 0, crc }));
  client.heldBack = 3;
  await assertRejects(() => at(7), StopError);
  assertEquals(client.asked.length, 4);
  client.heldBack = 1000;
  assertEquals(isUnavailable(await assertRejects(() => at(7))), true);
});

Deno.test("a log that was cut to before what was fetched of it is not read on from where its reader stands", async () => {
  const client = new Topic();
  client.values = ["a", "b", "c", "d"];
  const fetcher = fetcherOf(client);
  await readAll(fetcher, 4);
  client.values = ["A", "B"];
  client.failures = [ErrorCode.NotLeader];
  const error = await assertRejects(() => fetcher.read(0, 1, READ), LostError);
  assertEquals(error.message, "The log of t-0 ends before offset 3, of which a batch was read");
  fetcher.close(new Error("over"));
});

Deno.test("a batch that its leader does not show is waited for, and nothing is read meanwhile", async () => {
  const client = new Topic();
  client.values = ["a", "b"];
  const fetcher = fetcherOf(client);
  await readAll(fetcher, 2);
  client.hidden = 1;
  client.failures = [ErrorCode.NotLeader];
  let isRead = false;
  const reading = fetcher.read(0, 0, READ).finally(() => isRead = true);
  const before = client.asked.length;
  while (client.asked.length < before + 4) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(isRead, false);
  client.hidden = 0;
  assertEquals((await reading).batches, [batchAt(0, "a")]);
  fetcher.close(new Error("over"));
});

Deno.test("a log that was cut while it is folded again, to behind what was fetched since, is known by what the claim knows", async () => {
  const client = new Topic();
  client.values = ["a", "b", "c", "d"];
  const fetcher = fetcherOf(client);
  fetcher.add(0, 4, NO_EPOCH, { baseOffset: 3, crc: batchInfo(batchAt(3, "d")).crc });
  client.failures = [0, ErrorCode.NotLeader];
  assertEquals((await fetcher.read(0, 0, READ)).batches, [batchAt(0, "a")]);
  client.values = ["a", "B", "C", "D", "E"];
  await assertRejects(
    () => fetcher.read(0, 1, READ),
    StopError,
    "holds another batch at offset 3 than was read there",
  );
  fetcher.close(new Error("over"));
});

Deno.test("who reads outside of a log is given its bounds, which brokers do not say with the refusal", async () => {
  const client = new Topic();
  client.values = ["a", "b", "c"];
  client.start = 2;
  const fetcher = fetcherOf(client);
  const error = await assertRejects(() => fetcher.read(0, 0, READ), OffsetOutOfRangeError);
  assertEquals([error.start, error.end], [2, 3]);
  fetcher.close(new Error("over"));
});

Deno.test("a log of which nothing was fetched since its claim is known by what the claim knows, behind a failure", async () => {
  const client = new Topic();
  client.values = ["A", "B", "C"];
  const fetcher = fetcherOf(client);
  fetcher.add(0, 2, NO_EPOCH, { baseOffset: 1, crc: batchInfo(batchAt(1, "b")).crc });
  client.failures = [ErrorCode.NotLeader];
  await assertRejects(
    () => fetcher.read(0, 2, READ),
    StopError,
    "holds another batch at offset 1 than was read there",
  );
  fetcher.close(new Error("over"));
});

Deno.test("an election that no fetch has failed by is noticed by the leader's epoch before anything is read", async () => {
  const client = new Topic();
  client.id = ID;
  client.values = ["a", "b"];
  const topic = { ...named, id: ID };
  const fetcher = fetcherOf(client, { topic });
  fetcher.add(0, 0, client.leaderEpoch);
  await readAll(fetcher, 2);
  client.leaderEpoch++;
  client.values = ["a", "b", "c"];
  assertEquals((await fetcher.read(0, 2, READ)).batches, [batchAt(2, "c")]);
  client.leaderEpoch++;
  client.values = ["a", "B", "C", "D"];
  await assertRejects(() => fetcher.read(0, 3, READ), StopError, "has lost records");
  fetcher.close(new Error("over"));
});

Deno.test("checkBatches asks once for the batches of all partitions, and alone for each that is too large for that", async () => {
  const client = new Topic();
  client.values = ["a", "b"];
  client.large = [3];
  const { crc } = batchInfo(batchAt(1, "b"));
  const read = (partition: number, last = crc): ReadBatch => ({
    partition,
    batch: { baseOffset: 1, crc: last },
    committed: 2,
  });
  await checkBatches(client, named, []);
  await checkBatches(client, named, [read(0), read(1), read(2), read(3)]);
  assertEquals(client.asked, [[0, 1, 2, 3], [3]]);
  for (const wrong of [2, 3]) {
    const all = [0, 1, 2, 3].map((p) => read(p, p === wrong ? 7 : crc));
    const error = await assertRejects(() => checkBatches(client, named, all), StopError);
    assertEquals(error.message.includes(`partition ${wrong} holds another batch`), true);
  }
  const moved = { ...read(1), committed: 1 };
  await assertRejects(() => checkBatches(client, named, [read(0), moved]), StopError, "was moved");
  client.hidden = 1;
  const hidden = await assertRejects(() => checkBatches(client, named, [read(0), read(1)]));
  assertEquals(isUnavailable(hidden), true);
});

Deno.test("checkBatch waits for a batch that lies below the end of the log and is not shown yet", async () => {
  const client = new Topic();
  client.values = ["a"];
  client.hidden = 1;
  const { crc } = batchInfo(batchAt(0, "a"));
  const error = await assertRejects(() =>
    checkBatch(client, named, readAs({ baseOffset: 0, crc }))
  );
  assertEquals(isUnavailable(error), true);
  client.hidden = 0;
  await checkBatch(client, named, readAs({ baseOffset: 0, crc }));
});

Deno.test("with topic ids, too, a log that lost records and grew again is not read on behind a failure", async () => {
  const client = new Topic();
  client.id = ID;
  client.values = ["a", "b"];
  const topic = { ...named, id: ID };
  const fetcher = fetcherOf(client, { topic });
  await readAll(fetcher, 2);
  client.values = ["a", "B", "C"];
  client.failures = [ErrorCode.NotLeader];
  await assertRejects(
    () => fetcher.read(0, 2, READ),
    StopError,
    "has lost records that were read",
  );
  fetcher.close(new Error("over"));
});

Deno.test("LastBatches gives the last batch that begins below an offset, also when batches are read again", () => {
  const last = new LastBatches();
  const add = (baseOffset: number, lastOffset: number, crc: number) =>
    last.add(0, { bytes: new Uint8Array(), baseOffset, lastOffset, crc });
  last.set(0, 5, { baseOffset: 3, crc: 1 });
  assertEquals(last.below(0, 5), { baseOffset: 3, crc: 1 });
  assertEquals(last.below(0, 4), { baseOffset: 3, crc: 1 }); // folded in part, as when memory is full
  assertEquals(last.below(0, 3), null);
  add(5, 9, 2);
  add(10, 10, 3);
  assertEquals(last.below(0, 10), { baseOffset: 5, crc: 2 });
  add(5, 9, 2);
  add(10, 12, 4);
  assertEquals(last.below(0, 13), { baseOffset: 10, crc: 4 });
  assertEquals(last.below(1, 13), null);
});

Deno.test("LastBatches keeps one batch of those that end below where it begins, however many are read again", () => {
  const last = new LastBatches();
  const add = (baseOffset: number, lastOffset: number) =>
    last.add(0, { bytes: new Uint8Array(), baseOffset, lastOffset, crc: baseOffset });
  last.begin(0, 1001, { baseOffset: 1000, crc: 1 });
  for (let offset = 0; offset < 1000; offset++) add(offset, offset);
  assertEquals(last.below(0, 999), null, "those before the last one are forgotten");
  assertEquals(last.below(0, 1001), { baseOffset: 999, crc: 999 });
  add(1000, 1004); // it is folded up to its first record
  add(1005, 1009);
  assertEquals(last.below(0, 1001), { baseOffset: 1000, crc: 1000 });
  assertEquals(last.below(0, 1010), { baseOffset: 1005, crc: 1005 });
  last.forget(0);
  add(0, 0);
  add(1, 1);
  assertEquals(last.below(0, 1), { baseOffset: 0, crc: 0 });
});
