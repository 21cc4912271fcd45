import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { StopError } from "../../../src/log/mod.ts";
import { openKvInMemory } from "../../../src/kv/mod.ts";
import { integer, ParameterError, Parameters } from "../../../src/parameters/mod.ts";
import {
  type FeedTarget,
  forEach,
  fromRecords,
  type InputStream,
  ItemTransactionJob,
  type OutputStream,
  topic,
} from "../../../src/service/mod.ts";
import {
  type ItemTransaction,
  type Query,
  systemChance,
  systemClock,
  type TransactionResult,
} from "../../../src/types/mod.ts";

/** Takes what a feed brings; a test says when it is durable. */
function target(append: (records: readonly number[]) => Promise<void>): FeedTarget<number> {
  return {
    append,
    what: "number",
    parseLine: () => 0,
    clock: systemClock,
    chance: systemChance,
  };
}

Deno.test("fromRecords asks for the next record when the one before is durable", async () => {
  const events: string[] = [];
  function* numbers() {
    for (const n of [1, [2, 3], 4]) {
      events.push(`yields ${n}`);
      yield n;
    }
  }
  const { feed } = fromRecords<number>(numbers());
  await feed!.run(
    target(async (records) => {
      await systemClock.yield();
      events.push(`durable ${records}`);
    }),
    new AbortController().signal,
  );
  assertEquals(events, [
    "yields 1",
    "durable 1",
    "yields 2,3",
    "durable 2,3",
    "yields 4",
    "durable 4",
  ]);
});

Deno.test("fromRecords does not wait for an iterable when the job stops, and closes it", async () => {
  let closed = false;
  const stop = new AbortController();
  const never: AsyncIterable<number> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: () => {
        closed = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
  const running = fromRecords(never).feed!.run(target(() => Promise.resolve()), stop.signal);
  stop.abort();
  await running;
  assert(closed);
});

async function assertFails(
  broken: Iterable<number> | AsyncIterable<number>,
  reason: string,
): Promise<void> {
  const { signal } = new AbortController();
  const run = fromRecords(broken).feed!.run(target(() => Promise.resolve()), signal);
  await assertRejects(() => run, StopError, `What brings the number records failed: ${reason}`);
}

Deno.test("an iterable that throws stops the job, and says so", async () => {
  // deno-lint-ignore require-yield -- it fails first
  async function* broken(): AsyncGenerator<number> {
    await Promise.resolve();
    throw new Error("The queue is gone");
  }
  await assertFails(broken(), "The queue");
});

Deno.test("an iterable that is not asynchronous and throws stops the job, and says so", async () => {
  function* broken(): Generator<number> {
    yield 1;
    throw new Error("The file is gone");
  }
  await assertFails(broken(), "The file");
});

Deno.test("fromRecords leaves nothing of a record with what lives as long as the job", async () => {
  const raced = new Map<unknown, number>();
  const { race } = Promise;
  // A promise that is never settled keeps the outcome of each race that it was in.
  Promise.race = ((promises: Iterable<unknown>) => {
    const all = [...promises];
    for (const one of all) raced.set(one, (raced.get(one) ?? 0) + 1);
    return race.call(Promise, all);
  }) as typeof Promise.race;
  const taken: number[] = [];
  try {
    await fromRecords([1, 2, 3]).feed!.run(
      target((records) => {
        taken.push(...records);
        return Promise.resolve();
      }),
      new AbortController().signal,
    );
  } finally {
    Promise.race = race;
  }
  assertEquals(taken, [1, 2, 3]);
  assertEquals([...raced.values()].filter((times) => times > 1), []);
});

/** Runs a job in memory, in this thread. */
async function run(job: ItemTransactionJob, flags: Record<string, string> = {}) {
  const log = await openKvInMemory();
  const state = await openKvInMemory();
  const surroundings = {
    clock: systemClock,
    chance: systemChance,
    openKv: (path: string) => Promise.resolve(path.includes("log") ? log : state),
  };
  const params = Parameters.of({ "commit.interval.ms": "1", ...flags });
  return await job.createApplicationPipeline(params).start("own", surroundings);
}

class Orders extends ItemTransactionJob {
  readonly results: [bigint, boolean][] = [];
  readonly all = Promise.withResolvers<void>();

  constructor(readonly count: number) {
    super();
  }

  *#orders(): Generator<ItemTransaction | ItemTransaction[]> {
    for (let i = 0; i < this.count; i += 3) {
      const order = (id: number) => ({
        transactionId: BigInt(id),
        ts: id,
        itemId: `item_${id % 4}`,
        quantity: id % 4 === 3 ? -1 : 1,
      });
      yield [order(i), order(i + 1)];
      yield order(i + 2);
    }
  }

  override readTransactionStream(): InputStream<ItemTransaction> {
    return fromRecords(this.#orders());
  }

  override readQueryStream(): InputStream<Query> {
    return topic("questions");
  }

  override writeTransactionResults(_: Parameters, results: OutputStream<TransactionResult>) {
    results.addSink(forEach((values) => {
      for (const { transaction: { transactionId }, success } of values) {
        this.results.push([transactionId, success]);
      }
      if (this.results.length === this.count) this.all.resolve();
    }));
  }
}

Deno.test("records that a job brings are executed in their order per item, with an internal topic for its sink", async () => {
  const job = new Orders(300);
  const running = await run(job);
  await job.all.promise;
  assertEquals((await running.logs!.topics()).map(({ topic }) => topic).toSorted(), [
    "internal-transaction-results",
    "questions",
    "transactions",
  ]);
  await running.stop();
  assertEquals(running.failure, null);
  assertEquals(new Set(job.results.map(([id]) => id)).size, 300);
  for (let item = 0n; item < 4n; item++) {
    const ids = job.results.map(([id]) => id).filter((id) => id % 4n === item);
    assertEquals(ids, ids.toSorted((a, b) => Number(a - b)));
  }
  assertEquals(job.results.filter(([, success]) => !success).length, 75);
});

Deno.test("a topic is used once by a job, and has a topic's name", async () => {
  class Twice extends Orders {
    override deadLetterTopic() {
      return "questions";
    }
  }
  await assertRejects(
    () => run(new Twice(3)),
    ParameterError,
    "Topic questions is given as queries and as deadLetters",
  );
  let message = "";
  try {
    topic("a b");
  } catch (error) {
    message = (error as RangeError).message;
  }
  assertStringIncludes(message, 'not "a b"');
});

Deno.test("parameters of a job's own are read, typed and checked beside the others", () => {
  const own = { "shop.limit": integer(1, 100, 10, "orders at a time") };
  const params = Parameters.of({ "shop.limit": "7", "http.port": "1" }, own);
  const limit: number = params.get("shop.limit");
  assertEquals([limit, params.get("http.port")], [7, 1]);
  assertEquals(Parameters.of({}, own).get("shop.limit"), 10);
  const messageOf = (make: () => unknown) => {
    try {
      make();
    } catch (error) {
      assert(error instanceof ParameterError);
      return error.message;
    }
    return "";
  };
  assertStringIncludes(
    messageOf(() => Parameters.of({ "shop.limit": "0" }, own)),
    '--shop.limit must be an integer from 1 to 100, not "0"',
  );
  assertStringIncludes(
    messageOf(() => Parameters.of({}, { "http.port": own["shop.limit"] })),
    "http.port is one of the program already",
  );
  assertStringIncludes(
    messageOf(() => Parameters.of({}, { limit: own["shop.limit"] })),
    "words with dots between them",
  );
});
