import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { ItemTransaction } from "../../src/types/mod.ts";
import { Client } from "../http/client.ts";
import { type Life, PARTITIONS, World } from "../engine/world.ts";

/** As in src/service/gateway.ts. */
const PIECE_RECORDS = 1000;
const SHARED_PIECE_RECORDS = 400;
/**
 * Pieces of two large requests that come to the log while a single record is on its way: those of the commit
 * under way and of its own, and those that are appended while it is folded.
 */
const PIECES_MEANWHILE_MAX = 8;

/** Records in the log. */
function appended({ log }: Life): number {
  return Array.from({ length: PARTITIONS }, (_, p) => log.bounds("transactions", p).end)
    .reduce((a, b) => a + b);
}

function add(id: number, itemId: string, quantity: number): ItemTransaction {
  return { transactionId: BigInt(id), ts: 0, itemId, quantity };
}

const ACCEPTED = { success: true, duplicate: false };

Deno.test("a request that is cut keeps the order of its records, and each has its outcome", async () => {
  const world = await World.open();
  const life = await world.start();
  const items = Array.from({ length: 7 }, (_, i) => `item_${i}`);
  const stocks = new Map<string, number>();
  // Whoever takes out what came just before is executed; whoever comes too early is not.
  const transactions = Array.from({ length: 5 * PIECE_RECORDS + 17 }, (_, i) => {
    const itemId = items[i % items.length]!;
    return add(i, itemId, i % 3 === 0 ? 4 : -3);
  });
  const expected = transactions.map(({ itemId, quantity }) => {
    const stock = (stocks.get(itemId) ?? 0) + quantity;
    if (stock < 0) return false;
    stocks.set(itemId, stock);
    return true;
  });
  assert(expected.includes(true) && expected.includes(false));
  const answers = await world.clock.run(
    life.job.gateway!.execute(transactions),
    "it is executed",
  );
  assertEquals(answers, expected.map((success) => ({ success, duplicate: false })));
  const queries = Array.from({ length: 3 * PIECE_RECORDS }, (_, i) => ({
    queryId: BigInt(i),
    itemId: items[i % items.length]!,
  }));
  const found = await world.clock.run(life.job.gateway!.ask(queries), "it is answered");
  assertEquals(
    found,
    queries.map(({ queryId, itemId }) => ({
      queryId,
      itemInfo: { itemId, quantity: BigInt(stocks.get(itemId)!) },
    })),
  );
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("a record that is posted beside a large request waits for a few of its pieces at the most", async () => {
  const world = await World.open();
  const life = await world.start();
  const gateway = life.job.gateway!;
  const many = Array.from({ length: 20 * PIECE_RECORDS }, (_, i) => add(i, `item_${i % 50}`, 1));
  let isOver = false;
  const meanwhile: number[] = [];
  const postSingles = async () => {
    while (!isOver) {
      const before = appended(life);
      const single = add(1_000_000 + meanwhile.length, "item_0", 0);
      assertEquals(await gateway.execute([single]), [ACCEPTED]);
      if (!isOver) meanwhile.push((appended(life) - before - 1) / PIECE_RECORDS);
    }
  };
  const singles = postSingles();
  // Two of them: large requests take turns as well.
  const large = Promise.all([gateway.execute(many), gateway.execute(many)])
    .then(() => isOver = true);
  await world.clock.run(Promise.all([singles, large]), "all are executed");
  assert(meanwhile.length >= 5, `${meanwhile.length} had their turn meanwhile`);
  assert(Math.max(...meanwhile) <= PIECES_MEANWHILE_MAX, `${meanwhile} pieces came before`);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

/** Sizes of the pieces that are appended to a log from now on, single records left out. */
function piecesOf({ log }: Life): number[] {
  const pieces: number[] = [];
  let open = 0;
  const append = log.append.bind(log);
  log.append = (topic, partition, records, options) => {
    // The parts of a piece are appended in one breath.
    if (open === 0) {
      queueMicrotask(() => {
        if (open > 1) pieces.push(open);
        open = 0;
      });
    }
    open += records.length;
    return append(topic, partition, records, options);
  };
  return pieces;
}

Deno.test("pieces of a large request are smaller while short ones are under way, and in its order", async () => {
  const world = await World.open();
  const life = await world.start();
  const gateway = life.job.gateway!;
  const pieces = piecesOf(life);
  // Whoever takes out comes just behind what is there for it: in another order some would be refused.
  const executeLarge = async (from: number) => {
    const answers = await gateway.execute(Array.from(
      { length: 5 * PIECE_RECORDS },
      (_, i) => add(from + i, `item_${i % 7}`, Math.floor(i / 7) % 2 === 0 ? 1 : -1),
    ));
    assert(answers.every((answer) => !(answer instanceof Error) && answer.success));
  };
  await world.clock.run(executeLarge(0), "it is executed alone");
  assertEquals(pieces.splice(0), new Array(5).fill(PIECE_RECORDS));

  // Two single posters: one of them is always under way.
  let isOver = false;
  const postSingles = async (itemId: string) => {
    while (!isOver) {
      assertEquals(await gateway.execute([add(1_000_000, itemId, 0)]), [
        ACCEPTED,
      ]);
    }
  };
  const singles = ["a", "b"].map(postSingles);
  const cut = executeLarge(10_000).then(() => isOver = true);
  await world.clock.run(Promise.all([...singles, cut]), "all are executed");
  // A single record may have been appended in the same breath as a piece.
  const shared = pieces.splice(0);
  assert(shared.reduce((a, b) => a + b) >= 5 * PIECE_RECORDS, `pieces: ${shared}`);
  assert(Math.max(...shared) <= SHARED_PIECE_RECORDS + 2, `pieces: ${shared}`);

  await world.clock.run(executeLarge(20_000), "it is executed alone again");
  assertEquals(pieces, new Array(5).fill(PIECE_RECORDS));
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("behind an error nothing of a request is appended, and what was is answered", async () => {
  for (const fault of ["fails", "hangs"] as const) {
    const world = await World.open({ "watchdog.timeout.ms": "1000" });
    const life = await world.start();
    const transactions = Array.from(
      { length: 6 * PIECE_RECORDS },
      (_, i) => add(i, `item_${i % 20}`, 1),
    );
    // From when two pieces are in the log.
    life.logKv.plan = () => appended(life) >= 2 * PIECE_RECORDS ? fault : null;
    const answers = await world.clock.run(
      life.job.gateway!.execute(transactions),
      "it is answered",
    );
    const executed = answers.indexOf(answers.find((answer) => answer instanceof Error)!);
    assert(executed >= 2 * PIECE_RECORDS, `${executed} executed`);
    assert(
      answers.slice(0, executed).every((answer) => !(answer instanceof Error) && answer.success),
    );
    assert(answers.slice(executed).every((answer) => answer instanceof Error));
    assertStringIncludes((answers.at(-1) as Error).message, "An earlier record of the request");
    life.logKv.plan = () => null;
    await world.clock.run(life.job.gateway!.execute([add(1, "item_0", 1)]), "it goes on");
    assertEquals(appended(life), executed + 1);
    await world.stop(life);
    await world.assertExactlyOnce();
    world.close();
  }
});

Deno.test("a record that waits for its turn longer than append.timeout.ms is refused, and never executed", async () => {
  const client = await Client.open({ "append.timeout.ms": "700" });
  const { world, life } = client;
  let release = Promise.withResolvers<void>();
  const atomic = life.logKv.atomic.bind(life.logKv);
  // A disk that does not answer for a while.
  life.logKv.atomic = () => {
    const held = atomic();
    const commit = held.commit.bind(held);
    held.commit = async () => {
      await release.promise;
      return await commit();
    };
    return held;
  };
  const first = client.post("/transactions", "text/plain", "1\t5\ta\t1");
  await world.clock.settle();
  const late = client.post("/transactions", "text/plain", "2\t5\ta\t1\n3\t5\tb\t1");
  const cut = client.post(
    "/transactions",
    "text/plain",
    Array.from({ length: 2 * PIECE_RECORDS }, (_, i) => `${10 + i}\t5\tc\t1\n`).join(""),
  );
  for (const answer of [await late, await cut]) {
    assertEquals([answer.status, answer.headers.get("retry-after")], [503, "1"]);
    assertStringIncludes(answer.text, "700 ms");
    assertStringIncludes(answer.text, "append.timeout.ms");
  }
  assert(life.log.appendTimeouts >= 2);
  const metrics = (await client.request("GET", "/metrics")).text;
  assert(/^stockflow_append_timeouts_total [1-9]/m.test(metrics));
  release.resolve();
  // What was being written already has its outcome, however long it takes.
  assertEquals((await first).text, "1\t5\ta\t1\ttrue\n");
  release = Promise.withResolvers();
  release.resolve();
  assertEquals((await client.post("/transactions", "text/plain", "4\t5\ta\t1")).status, 200);
  assertEquals(appended(life), 2);
  assertEquals(life.log.waitingBytes, 0);
  await client.close();
});
