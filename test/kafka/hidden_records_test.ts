// Logs whose leaders do not show all that they hold, as for a moment after an election, and such that really end before
// what was read or committed: the one is waited for, the other is not.

import { assertEquals, assertRejects } from "@std/assert";
import { logEnds } from "../../src/kafka/claimed_partitions.ts";
import { isUnavailable } from "../../src/kafka/client/errors.ts";
import { endingBefore } from "../../src/kafka/look_at_log.ts";
import type { FetchAnswer } from "../../src/kafka/protocol/fetch.ts";
import { ErrorCode } from "../../src/kafka/client/errors.ts";
import { LostError } from "../../src/log/mod.ts";
import { type Clock, systemClock } from "../../src/types/mod.ts";
import { fetcherOf, named, READ, readAll, Topic } from "./small_topic.ts";

/** Nobody waits by it. */
const hastyClock: Clock = { ...systemClock, sleep: () => Promise.resolve() };

const endsOf = (client: Topic, committed: number) =>
  logEnds(client, hastyClock, named, new Map([[0, committed]]));

Deno.test("a claim waits for a leader that hides what was committed, however long that takes, and says so", async () => {
  const client = new Topic();
  client.values = ["a", "b", "c", "d"];
  client.hidden = 2;
  for (let claims = 0; claims < 20; claims++) {
    const error = await assertRejects(() => endsOf(client, 4), LostError);
    assertEquals(
      error.message,
      "The leaders of t show partition 0 up to 2 alone, where 4 was committed: they have the records, and will show " +
        "them when their followers have them, too",
    );
  }
  assertEquals(await endsOf(client, 2), new Map([[0, 2]]));
  client.hidden = 0;
  assertEquals(await endsOf(client, 4), new Map([[0, 4]]));
});

Deno.test("a claim does not wait for a log that ends before what was committed", async () => {
  const client = new Topic();
  client.values = ["a", "b"];
  client.heldBack = 2; // which says nothing of the log
  assertEquals(await endsOf(client, 3), new Map([[0, 2]]));
});

Deno.test("a leader whose epoch is over does not say where a log ends", async () => {
  const client = new Topic();
  client.values = ["a", "b"];
  client.leaderEpoch = 3;
  const describe = client.describe.bind(client);
  client.describe = async (topics) => {
    const found = await describe(topics);
    client.leaderEpoch = 4; // elected meanwhile
    return found;
  };
  const error = await assertRejects(() => endsOf(client, 3));
  assertEquals(isUnavailable(error), true);
});

Deno.test("a log reaches an offset that its leader does not show; where it ends, nothing is missing", async () => {
  const client = new Topic();
  client.values = ["a", "b", "c"];
  client.hidden = 2;
  const ending = async (offset: number) =>
    (await endingBefore(client, named, [{ partition: 0, offset }])).has(0);
  assertEquals([await ending(1), await ending(2), await ending(3), await ending(4)], [
    false,
    false,
    false,
    true,
  ]);
});

Deno.test("a log that ends before what was shown of it ends the session: nobody waits for what is gone", async () => {
  const client = new Topic();
  client.values = ["a", "b"];
  const ends = new Map([[0, 5]]);
  const fetcher = fetcherOf(client, { ends });
  const error = await assertRejects(() => readAll(fetcher, 3), LostError);
  assertEquals(error.message, "The log of t-0 ends before offset 5, up to which it was shown");
  fetcher.close(new Error("over"));
});

Deno.test("records that are hidden again are waited for by who reads them", async () => {
  const client = new Topic();
  client.values = ["a", "b", "c", "d", "e"];
  client.hidden = 3;
  const ends = new Map([[0, 5]]);
  const fetcher = fetcherOf(client, { ends });
  await readAll(fetcher, 2);
  const reading = fetcher.read(0, 2, { ...READ, waitMs: 1 });
  const before = client.asked.length;
  while (client.asked.length < before + 6) await new Promise((resolve) => setTimeout(resolve, 5));
  client.hidden = 0;
  assertEquals((await reading).batches.length, 1);
  fetcher.close(new Error("over"));
});

/** Two partitions with a leader each. */
class TwoLeaders extends Topic {
  override id: string | null = "AAAAAAAAAAAAAAAAAAAAAQ";
  leaders = ["1", "2"];
  /** What its refresh finds. */
  next = ["1", "2"];
  /** The node whose next fetch fails. */
  failing: string | null = null;
  /** Offsets that were fetched, by partition. */
  readonly fetched: readonly number[][] = [[], []];

  constructor(readonly fetchesById: boolean) {
    super();
    this.values = ["a"];
  }

  override leaderOf(_topic?: string, partition = 0): string {
    return this.leaders[partition]!;
  }

  override refresh(): Promise<void> {
    this.leaders = this.next;
    return Promise.resolve();
  }

  override describe(topics: readonly string[]) {
    return super.describe(topics).then((found) =>
      new Map([...found].map(([name, facts]) => [name, { ...facts, leaderEpochs: [0, 0] }]))
    );
  }

  override fetch(...[node, topic, from]: Parameters<Topic["fetch"]>): Promise<FetchAnswer> {
    if (node === this.failing) {
      this.failing = null;
      this.failures = [ErrorCode.NotLeader];
    }
    for (const { partition, offset } of from) this.fetched[partition]!.push(offset);
    return super.fetch(node, topic, from);
  }
}

/** Whether the leader of partition 0 fails and partition 1 is looked at, at its last batch, before it is read on. */
async function isOtherLookedAt(client: TwoLeaders): Promise<boolean> {
  const topic = { ...named, id: client.id };
  const fetcher = fetcherOf(client, { topic });
  for (const partition of [0, 1]) fetcher.add(partition, 1, 0);
  await Promise.all([0, 1].map((p) => fetcher.read(p, 0, READ)));
  const reading = [0, 1].map((p) => fetcher.read(p, 1, READ));
  const looks = (partition: number) => client.fetched[partition]!.filter((o) => o === 0).length;
  client.failing = "1";
  while (looks(0) < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  client.values = ["a", "b"];
  for (const { batches } of await Promise.all(reading)) assertEquals(batches.length, 1);
  fetcher.close(new Error("over"));
  return looks(1) > 1;
}

Deno.test("behind a failure of one leader, a log of another is looked at if its own fetches would not show that it was cut", async () => {
  assertEquals(await isOtherLookedAt(new TwoLeaders(true)), false);
  // By name alone: epochs begin anew with a topic that is created anew.
  assertEquals(await isOtherLookedAt(new TwoLeaders(false)), true);
  const moving = new TwoLeaders(true);
  moving.next = ["1", "3"];
  assertEquals(await isOtherLookedAt(moving), true);
});

Deno.test("where a log ends is not known while a quota holds fetches back, nor when no answer has come for a while", async () => {
  const client = new Topic();
  client.values = ["a"];
  let isPaused = false;
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const answer = client.fetch.bind(client);
  client.fetch = (...args) => {
    if (!isPaused) return answer(...args);
    ask();
    return new Promise(() => {});
  };
  let now = 0;
  const clock: Clock = { ...systemClock, monotonic: () => now };
  const fetcher = fetcherOf(client, { clock });
  await readAll(fetcher, 1);
  const endOf = async () => (await fetcher.read(0, 1, { ...READ, waitMs: 5 })).endOffset;
  while (await endOf() !== 1);
  client.heldBack = Infinity;
  const before = client.asked.length;
  while (client.asked.length < before + 3) await endOf();
  assertEquals(await endOf(), -1);
  client.heldBack = 0;
  while (await endOf() !== 1);
  isPaused = true;
  await asked;
  now += 60_000;
  assertEquals(await endOf(), -1);
  fetcher.close(new Error("over"));
});

Deno.test("where a log ends was not known all the time if its leader failed, also if the next one has answered since", async () => {
  const client = new Topic();
  client.values = ["a"];
  const fetcher = fetcherOf(client);
  await readAll(fetcher, 1);
  const endOf = async () => (await fetcher.read(0, 1, { ...READ, waitMs: 5 })).endOffset;
  while (await endOf() !== 1);
  client.failures = [ErrorCode.NotLeader];
  const before = client.asked.length;
  // It fails, what was read is compared, and fetches find nothing again.
  while (client.asked.length < before + 6) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(await endOf(), -1);
  while (await endOf() !== 1);
  fetcher.close(new Error("over"));
});
