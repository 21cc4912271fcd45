import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Frames } from "../../src/kafka/client/frames.ts";
import { Fetcher } from "../../src/kafka/fetcher.ts";
import type {
  FetchAnswer,
  FetchedFrom,
  FetchedTopic,
  FetchOptions,
} from "../../src/kafka/protocol/fetch.ts";
import type { TopicMetadata } from "../../src/kafka/protocol/metadata.ts";
import { Conditions, Waits } from "../../src/engine/mod.ts";
import { DamagedBatchError } from "../../src/log/mod.ts";
import { encodeBatch, encodeUtf8, setBaseOffset, systemClock } from "../../src/types/mod.ts";
import { ManualClock } from "../engine/manual_clock.ts";

const LEADER = "1";
const TOPIC = { name: "t", id: null, groupId: "group", isQueries: false };

/** A broker whose partitions each hold one record, at offset 0, and get no more. */
class QuietBroker {
  /** Partitions of each request. */
  readonly requests: number[][] = [];
  /** Requests that wait for records, as those at the ends of all their logs do. */
  waiting = 0;
  readonly isBroken = false;
  /** Given once each instead of the record at offset 0. */
  readonly instead: Uint8Array[] = [];

  describe(): Promise<Map<string, TopicMetadata>> {
    const facts = { errorCode: 0, id: null, partitions: 4, offline: [], leaderEpochs: [] };
    return Promise.resolve(new Map([[TOPIC.name, { topic: TOPIC.name, ...facts }]]));
  }

  offsets(): Promise<never> {
    return Promise.reject(new Error("Nobody asks"));
  }

  leaderOf(): string {
    return LEADER;
  }

  refresh(): Promise<void> {
    return Promise.resolve();
  }

  fetch(
    _node: string,
    _topic: FetchedTopic,
    from: readonly FetchedFrom[],
    _options: FetchOptions,
  ): Promise<FetchAnswer> {
    this.requests.push(from.map((f) => f.partition).toSorted());
    if (from.every((f) => f.offset > 0)) {
      this.waiting++;
      return new Promise(() => {});
    }
    const partitions = from.map(({ partition, offset }) => ({
      partition,
      errorCode: 0,
      highWatermark: 1,
      lastStableOffset: 1,
      logStart: 0,
      aborted: [],
      records: offset === 0 ? this.instead.shift() ?? batchAt0() : new Uint8Array(),
    }));
    return Promise.resolve({ clientSideThrottleTime: 0, errorCode: 0, partitions });
  }
}

function batchAt0(): Uint8Array {
  const batch = encodeBatch([{ timestamp: 1, key: null, value: encodeUtf8("x") }]);
  setBaseOffset(batch, 0);
  return batch;
}

const OPTIONS = { maxBytes: 1024, waitMs: 500 };

Deno.test("a batch that cannot be separated from what follows is damage, which its reader hears of, and may read again", async () => {
  const broker = new QuietBroker();
  const damaged = batchAt0();
  new DataView(damaged.buffer, damaged.byteOffset).setInt8(16, 0);
  broker.instead.push(damaged);
  const ends = new Map([[0, 1]]);
  const fetcher = new Fetcher({ client: broker, topic: TOPIC, clock: systemClock, ends });
  const error = await assertRejects(() => fetcher.read(0, 0, OPTIONS), DamagedBatchError);
  assertStringIncludes(error.message, "cannot read t-0 at offset 0");
  assertEquals((await fetcher.read(0, 0, OPTIONS)).batches.length, 1);
  fetcher.close(new Error("over"));
});

Deno.test("a partition that is asked for later does not wait at the end of another, which is known", async () => {
  const broker = new QuietBroker();
  const ends = new Map([0, 1, 2].map((p) => [p, 1]));
  const fetcher = new Fetcher({ client: broker, topic: TOPIC, clock: systemClock, ends });
  // One after the other, as who recovers them reads: each gets its record at once, and nobody waits for more.
  for (const partition of [0, 1, 2]) {
    assertEquals((await fetcher.read(partition, 0, OPTIONS)).batches.length, 1);
    assertEquals(broker.waiting, 0);
  }
  fetcher.close(new Error("over"));
});

Deno.test("readers at the ends of their logs that come together wait in one request", async () => {
  const broker = new QuietBroker();
  const clock = new ManualClock();
  const ends = new Map([0, 1, 2].map((p) => [p, 1]));
  const fetcher = new Fetcher({ client: broker, topic: TOPIC, clock, ends });
  const answers = Promise.all([0, 1, 2].map((p) => fetcher.read(p, 1, OPTIONS)));
  await clock.settle();
  assertEquals(broker.requests, [[0, 1, 2]]);
  await clock.advance(OPTIONS.waitMs);
  assertEquals((await answers).map((a) => a.batches.length), [0, 0, 0]);
  fetcher.close(new Error("over"));
});

Deno.test("a partition that is asked for while its leader's last one goes is fetched", async () => {
  // So many promises lie between both.
  for (let hops = 0; hops < 8; hops++) {
    const broker = new QuietBroker();
    const clock = new ManualClock();
    const ends = new Map([0, 1].map((p) => [p, 1]));
    const fetcher = new Fetcher({ client: broker, topic: TOPIC, clock, ends });
    const first = fetcher.read(0, 0, OPTIONS);
    await clock.settle();
    assertEquals((await first).batches.length, 1);
    fetcher.remove(0);
    for (let hop = 0; hop < hops; hop++) await null;
    const second = fetcher.read(1, 0, OPTIONS);
    await clock.settle();
    assertEquals(broker.requests, [[0], [1]], `${hops} promises later`);
    assertEquals((await second).batches.length, 1);
    fetcher.close(new Error("over"));
  }
});

/** Its partitions lose their leader, and get one again. */
class LeaderlessBroker extends QuietBroker {
  leader = "-1";

  constructor(readonly waits: Waits) {
    super();
  }

  override leaderOf(): string {
    return this.leader;
  }

  override fetch(
    ...[node, ...rest]: Parameters<QuietBroker["fetch"]>
  ): Promise<FetchAnswer> {
    if (node !== "-1") return super.fetch(node, ...rest);
    return Promise.reject(
      Object.assign(new Error("Broker -1 not found"), { name: "KafkaJSBrokerNotFound" }),
    );
  }
}

Deno.test("a partition without a leader is reported once that has lasted, and no more once it has one", async () => {
  const clock = new ManualClock();
  const conditions = new Conditions(clock);
  const broker = new LeaderlessBroker(new Waits(conditions, clock));
  const fetcher = new Fetcher({ client: broker, topic: TOPIC, clock, ends: new Map([[3, 1]]) });
  const reading = fetcher.read(3, 0, { maxBytes: 1024, waitMs: 60_000 });
  await clock.settle();
  assertEquals(conditions.list(), []);
  for (let ms = 0; ms < 5000; ms += 100) await clock.advance(100);
  assertEquals(
    conditions.list().map(({ what, reason, blocks }) => [what, reason, blocks]),
    [["input", "Nothing can be read from partitions 3 of t: they have no leader", "nothing"]],
  );
  broker.leader = LEADER;
  for (let ms = 0; ms < 5000; ms += 100) await clock.advance(100);
  assertEquals((await reading).batches.length, 1);
  assertEquals(conditions.list(), []);
  fetcher.close(new Error("over"));
});

/** Answers when a test says so. */
class FedBroker extends QuietBroker {
  readonly #asked: ((records: Uint8Array) => void)[] = [];
  /** The log is shown up to here, and to what was answered. */
  end = 0;

  override fetch(...[, , from]: Parameters<QuietBroker["fetch"]>): Promise<FetchAnswer> {
    this.requests.push(from.map((f) => f.partition));
    const { promise, resolve } = Promise.withResolvers<FetchAnswer>();
    this.#asked.push((records) => {
      const logStart = 0;
      const shown = Math.max(this.end, from[0]!.offset + 1);
      const ends = { highWatermark: shown, lastStableOffset: shown };
      const facts = { errorCode: 0, ...ends, logStart, aborted: [] };
      const partitions = from.map(({ partition }) => ({ ...facts, partition, records }));
      resolve({ clientSideThrottleTime: 0, errorCode: 0, partitions });
    });
    return promise;
  }

  /** Answers the request under way with a batch of one record for each partition. */
  answer(offset: number, valueBytes = 1): void {
    const value = new Uint8Array(valueBytes);
    const batch = encodeBatch([{ timestamp: 1, key: null, value }]);
    setBaseOffset(batch, offset);
    this.#asked.shift()!(batch);
  }
}

Deno.test("at the end of a log a fetch that brings little is followed by the next one after a moment, one that has waited so long at once", async () => {
  const broker = new FedBroker();
  const clock = new ManualClock();
  const paceMs = 10;
  const fetcher = new Fetcher({ client: broker, topic: TOPIC, clock, paceMs, ends: new Map() });
  const first = fetcher.read(0, 0, OPTIONS);
  await clock.settle();
  await clock.advance(3);
  broker.answer(0);
  await clock.settle();
  assertEquals((await first).batches.length, 1, "its reader does not wait");
  const second = fetcher.read(0, 1, OPTIONS);
  await clock.advance(paceMs - 4);
  assertEquals(broker.requests.length, 1);
  await clock.advance(1);
  assertEquals(broker.requests.length, 2);
  await clock.advance(paceMs);
  broker.answer(1);
  await clock.settle();
  assertEquals((await second).batches.length, 1);
  assertEquals(broker.requests.length, 3);
  const third = fetcher.read(0, 2, OPTIONS);
  await clock.settle();
  broker.answer(2, 1024 * 1024);
  assertEquals((await third).batches.length, 1);
  await clock.settle();
  assertEquals(broker.requests.length, 4, "where much comes, more may be there");
  fetcher.close(new Error("over"));
});

Deno.test("who reads what a log holds for certain does not wait between fetches", async () => {
  const broker = new FedBroker();
  broker.end = 3;
  const clock = new ManualClock();
  const ends = new Map([[0, 3]]);
  const fetcher = new Fetcher({ client: broker, topic: TOPIC, clock, paceMs: 10, ends });
  for (let offset = 0; offset < 3; offset++) {
    const reading = fetcher.read(0, offset, OPTIONS);
    await clock.settle();
    broker.answer(offset);
    assertEquals((await reading).batches.length, 1);
    await clock.settle();
  }
  assertEquals(broker.requests.length, 3);
  fetcher.close(new Error("over"));
});

Deno.test("batches that a reader borrows are given back by its next read, others stay", async () => {
  for (const borrows of [true, false]) {
    const frames = new Frames();
    const broker = Object.assign(new QuietBroker(), { frames });
    // A frame that holds the batches of two partitions, as an answer does.
    const batch = batchAt0();
    const frame = frames.take(300_000);
    const at = [1000, 2000].map((from) => frame.subarray(from, from + batch.length));
    for (const bytes of at) {
      bytes.set(batch);
      broker.instead.push(bytes);
    }
    const ends = new Map([[0, 1], [1, 1]]);
    const fetcher = new Fetcher({ client: broker, topic: TOPIC, clock: systemClock, ends });
    const options = { ...OPTIONS, borrows, waitMs: 0 };
    const answers = await Promise.all([0, 1].map((p) => fetcher.read(p, 0, options)));
    const batches = answers.flatMap((answer) => answer.batches);
    assertEquals(batches.map((bytes) => bytes.length), [batch.length, batch.length]);
    await fetcher.read(0, 1, options);
    assertEquals(batches[1]!.length, batch.length, "the other partition still holds the frame");
    await fetcher.read(1, 1, options);
    const length = borrows ? 0 : batch.length;
    assertEquals(batches.map((bytes) => bytes.length), [length, length]);
    fetcher.close(new Error("over"));
  }
});
