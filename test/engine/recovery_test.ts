import { assert, assertEquals } from "@std/assert";
import { StopError } from "../../src/log/mod.ts";
import { decodeUtf8 } from "../../src/types/mod.ts";
import { Partitioner, partitionOf } from "../../src/types/mod.ts";
import { casesOfTest, Random } from "../../tools/kit/random.ts";
import { hashOfCore } from "../model/state_hash.ts";
import type { Fault } from "../kv/fault_kv.ts";
import { drain, feed } from "./feeding.ts";
import { livesWithFaults } from "./lives.ts";
import { line, PARTITIONS, World } from "./world.ts";
import { LossyLog } from "./lossy_log.ts";

Deno.test("job gives one result per record over a crash at every write", async () => {
  for (const [row, fault] of (["dies before", "dies after"] as const).entries()) {
    for (const [other, file] of (["log", "state"] as const).entries()) {
      // The two faults share the writes, so that one life meets one and the next the other.
      for (const pair of casesOfTest(0, 19, 12, 6 * other + 3 * row)) {
        const at = 1 + row + 2 * pair;
        const world = await World.open();
        // Two lives die, at writes that differ; the third goes on.
        const last = await livesWithFaults(world, [{ fault, file, at }, {
          fault,
          file,
          at: 41 - at,
        }], at);
        await world.assertExactlyOnce();
        last.kill();
        world.close();
      }
    }
  }
});

Deno.test("recovery from any checkpoint gives the state of the fold", async () => {
  const world = await World.open({ "checkpoint.retained": "100" });
  const random = new Random(3);
  const life = await world.start();
  for (let round = 0; round < 12; round++) {
    await feed(world, life, random, 40);
    await world.clock.advance(1500);
    await world.clock.advance(20_000);
  }
  await drain(world, life);
  await world.stop(life);
  await world.assertExactlyOnce();
  const listed = await Promise.all([0, 1].map((p) => life.job.store.list(p)));
  const expected = listed.map((l) => l[0]!.manifest!.stateHash);
  const most = Math.max(...listed.map((l) => l.length));
  assert(most >= 6, `${most} checkpoints`);
  // Drop the newest, one after the other, down to none: each time the same state comes out.
  for (let drop = 0; drop <= most; drop++) {
    const again = await world.start(() => null, { flags: { "checkpoint.interval.millis": "0" } });
    const hashes = again.worker.partitions.map((m) => hashOfCore(m.processor.core));
    assertEquals(hashes, expected, `without the ${drop} newest checkpoints`);
    again.kill();
    for (const [partition, list] of listed.entries()) {
      const newest = list[drop];
      if (newest) await world.stateKv.delete(["manifest", "test", partition, newest.sequence]);
    }
  }
  world.close();
});

Deno.test("summaries are published once over a crash at every commit", async () => {
  for (const eventTime of ["true", "false"]) {
    let [fired, worlds] = [0, 0];
    for (const at of casesOfTest(6, 30, 9)) {
      worlds++;
      const world = await World.open({
        "event.time": eventTime,
        "watermark.out.of.orderness.ms": "1000",
      });
      const fault: Fault = at % 2 === 0 ? "dies before" : "dies after";
      const last = await livesWithFaults(world, [{ fault, file: "log", at }, {
        fault,
        file: "log",
        at: at + 3,
      }], at);
      const models = await world.assertExactlyOnce();
      fired += models.reduce((n, m) => n + m.summaries.length, 0);
      last.kill();
      world.close();
    }
    assert(fired > 4 * worlds, `${fired} summaries`);
  }
});

/** Loses every third commit in the given way, and recovers each time. */
async function loseCommits(how: "happened" | "did not"): Promise<void> {
  const world = await World.open();
  const random = new Random(5);
  let lossy: LossyLog | null = null;
  const life = await world.start(() => null, {
    wrapLog: (log) => lossy = new LossyLog(log, (n) => n % 3 === 0 ? how : null),
  });
  for (let round = 0; round < 20; round++) {
    await feed(world, life, random, 30);
    await world.clock.advance(400);
    await world.clock.advance(15_000);
  }
  await drain(world, life);
  assert(lossy!.lost >= 5, `${lossy!.lost} commits lost`);
  assertEquals(life.worker.recoveries, lossy!.lost);
  await world.assertExactlyOnce();
  await world.stop(life);
  world.close();
}

Deno.test("a store that fails behind a checkpoint, while what lies about in it is looked for, ends no claim", async () => {
  const world = await World.open();
  const life = await world.start();
  const { stateKv } = life;
  const listKeys = stateKv.listKeys.bind(stateKv);
  let looks = 0;
  stateKv.listKeys = async function* (selector) {
    if (++looks <= PARTITIONS) throw new Error("The store does not answer");
    yield* listKeys(selector);
  };
  for (const seed of [1, 2]) {
    await feed(world, life, new Random(seed), 80);
    await drain(world, life);
    for (let ms = 0; ms < 5000; ms += 250) await world.clock.advance(250);
    assertEquals([looks, life.worker.recoveries], [seed * PARTITIONS, 0]);
  }
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("job recovers when a commit's answer is lost", async () => {
  await loseCommits("happened");
  await loseCommits("did not");
});

Deno.test("checkpoint is published after its offset is committed", async () => {
  // Commits do not happen: no checkpoint may appear, however due it is.
  const world = await World.open();
  const life = await world.start();
  const random = new Random(6);
  await feed(world, life, random, 50);
  await drain(world, life);
  await world.clock.until(
    async () =>
      (await life.job.store.list(0)).length > 0 && (await life.job.store.list(1)).length > 0,
    "a checkpoint is there",
  );
  life.kill();
  let blocked = true;
  const next = await world.start(() => null, {
    wrapLog: (log) => new LossyLog(log, () => blocked ? "did not" : null),
  });
  const count = async () =>
    (await Promise.all([0, 1].map((p) => next.job.store.list(p)))).flat().length;
  const before = await count();
  await feed(world, next, random, 50);
  for (let i = 0; i < 40; i++) await world.clock.advance(200);
  assert(next.worker.recoveries > 3);
  assertEquals(await count(), before);
  blocked = false;
  await drain(world, next);
  await world.clock.until(
    async () => await count() > before,
    "a checkpoint of the committed position",
  );
  await world.assertExactlyOnce();
  await world.stop(next);
  world.close();
});

Deno.test("an answered transaction is durable, and a query sees it", async () => {
  const world = await World.open();
  const life = await world.start();
  const done = world.clock;
  const gateway = life.job.gateway!;
  let answers: unknown = null;
  void gateway.execute([
    { transactionId: 1n, ts: 0, itemId: "item_2", quantity: 100 },
    { transactionId: 2n, ts: 0, itemId: "item_2", quantity: -500 },
    { transactionId: 3n, ts: 0, itemId: "item_3", quantity: 7 },
  ]).then((a) => answers = a);
  await done.until(() => answers !== null, "the answers come");
  assertEquals(
    answers,
    [true, false, true].map((success) => ({ success, duplicate: false })),
  );
  life.kill(); // nothing was committed but the records themselves
  const again = await world.start();
  let found: unknown = null;
  void again.job.gateway!.ask([{ queryId: 5n, itemId: "item_2" }, {
    queryId: 6n,
    itemId: "nothing",
  }])
    .then((a) => found = a);
  await done.until(() => found !== null, "the queries are answered");
  assertEquals(found, [
    { queryId: 5n, itemInfo: { itemId: "item_2", quantity: 100n } },
    { queryId: 6n, itemInfo: null },
  ]);
  await world.stop(again);
  const answered = [
    ...await world.values("query-results", 0),
    ...await world.values("query-results", 1),
  ];
  assertEquals(answered.toSorted(), ["5\titem_2\t100", "6\tMISSING"]);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("invalid records go to the dead letters with their origin, and stop nobody", async () => {
  const world = await World.open();
  const life = await world.start();
  const key = new TextEncoder().encode("a key");
  const header = { key: "trace", value: Uint8Array.of(1, 2) };
  const { record } = line(1, "item_1", 5, 1000);
  const partition = partitionOf(
    Partitioner.Murmur2,
    new TextEncoder().encode("item_1"),
    PARTITIONS,
  );
  await life.log.append("transactions", partition, [
    { timestamp: 1000, key, value: new TextEncoder().encode("broken"), headers: [header] },
    record,
    { timestamp: -1, key: null, value: null },
    { timestamp: 2000, key: null, value: new Uint8Array(63_000).fill(65) },
  ]);
  await drain(world, life);
  const letters = await world.read("dead-letters", partition);
  const facts = letters.map((l) =>
    Object.fromEntries(l.headers.map((h) => [h.key, decodeUtf8(h.value!)]))
  );
  assertEquals(letters[0]!.key, key);
  assertEquals(decodeUtf8(letters[0]!.value!), "broken");
  assertEquals(letters[0]!.headers[0], header);
  assertEquals(facts[0]!["stockflow.topic"], "transactions");
  assertEquals(facts[0]!["stockflow.partition"], String(partition));
  assertEquals(facts.map((t) => t["stockflow.offset"]), ["0", "2", "3"]);
  assertEquals(facts.map((t) => t["stockflow.timestamp"]), ["1000", "1000", "2000"]);
  assertEquals(facts.map((t) => t["stockflow.reason"]), ["malformed", "null_value", "malformed"]);
  assertEquals(facts[2]!["stockflow.original.length"], undefined);
  assertEquals(letters[2]!.value!.length, 63_000);
  await world.assertExactlyOnce();
  await world.stop(life);
  world.close();
});

// ---- what only a person can decide ----

/** Runs a life that leaves a checkpoint, then one that must stop; returns its error. */
async function mustStop(
  prepare: (world: World) => Promise<void>,
  flags: Record<string, string> = {},
  clean = false,
): Promise<StopError> {
  const world = await World.open();
  const life = await world.start();
  await feed(world, life, new Random(7), 60);
  await world.clock.advance(2000);
  await drain(world, life);
  await world.clock.until(
    async () => (await life.job.store.list(1)).length > 0,
    "a checkpoint is there",
  );
  if (clean) await world.stop(life);
  else {
    await feed(world, life, new Random(8), 60);
    await drain(world, life);
    life.kill();
  }
  await prepare(world);
  const next = await world.start(() => null, { flags });
  const { failure } = next.job;
  next.kill();
  world.close();
  assert(failure instanceof StopError, `It did not stop: ${failure}`);
  assert(failure.remedy.length > 20);
  return failure;
}

async function dropCheckpoints(world: World): Promise<void> {
  for await (const { key } of world.stateKv.list({ prefix: ["manifest"] })) {
    await world.stateKv.delete(key);
  }
}

Deno.test("job stops when the log is another one than the checkpoints'", async () => {
  const error = await mustStop(async (world) => {
    await world.logKv.set(["log"], { version: 1, id: "another" });
  });
  assert(error.message.includes("belongs to another log"), error.message);
});

Deno.test("job stops when the log ends before the committed offset", async () => {
  const error = await mustStop(async (world) => {
    await world.logKv.set(["end", "transactions", 0], 3);
  });
  assert(error.message.includes("its log ends at 3"), error.message);
});

Deno.test("job stops without a checkpoint when the log no longer holds the start", async () => {
  const error = await mustStop(async (world) => {
    await dropCheckpoints(world);
    await world.logKv.set(["start", "transactions", 0], 2);
  });
  assert(
    error.message.includes("its log begins at offset 2, behind 0 where its state began"),
    error.message,
  );
});

Deno.test("job stops when the log holds another batch than the one folded last", async () => {
  const error = await mustStop(async (world) => {
    for await (
      const { key, value } of world.logKv.list<Uint8Array>({ prefix: ["batch", "transactions", 0] })
    ) {
      const altered = value.slice();
      altered[17]! ^= 1;
      await world.logKv.set(key, altered);
    }
  });
  assert(error.message.includes("holds another batch at offset"), error.message);
});

Deno.test("job stops at other fold parameters, unless the checkpoint stands at the committed position", async () => {
  const flags = { "time.intervals.in.minutes": "5" };
  const error = await mustStop(() => Promise.resolve(), flags);
  assert(error.message.includes("time.intervals.in.minutes was 1, is 5"), error.message);
  const without = await mustStop(dropCheckpoints, flags);
  assert(without.message.includes("other fold parameters before"), without.message);
});

Deno.test("other fold parameters: as many crashes before the first commit as checkpoints are retained lose nothing", async () => {
  for (const retained of [1, 3]) {
    const world = await World.open({
      "time.intervals.in.minutes": "60",
      "checkpoint.retained": String(retained),
    });
    const life = await world.start();
    await feed(world, life, new Random(7), 80);
    await drain(world, life);
    await world.stop(life);
    const flags = { "time.intervals.in.minutes": "5" };
    // Each publishes checkpoints under the new parameters, ahead of the summaries that it does not come to commit.
    for (let crash = 0; crash < retained; crash++) {
      let isReady = false;
      const dying = await world.start((f) => f === "log" && isReady ? "dies before" : null, {
        flags,
      });
      isReady = true;
      await world.clock.advance(500);
      assert(dying.logKv.dead, String(dying.job.failure));
    }
    const last = await world.start(() => null, { flags });
    assertEquals(last.job.failure, null);
    await drain(world, last);
    await world.stop(last);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const summaries = await world.values("summaries", partition);
      assert(summaries.length > 0);
      assertEquals(new Set(summaries).size, summaries.length);
    }
    world.close();
  }
});

Deno.test("after a clean stop other fold parameters fire the open windows and go on, over crashes too", async () => {
  for (const at of casesOfTest(0, 12, 4)) {
    const world = await World.open({ "time.intervals.in.minutes": "60" });
    const life = await world.start();
    await feed(world, life, new Random(7), 80);
    await drain(world, life);
    await world.stop(life);
    assertEquals(await world.values("summaries", 0), []);
    // The second life may die while it changes the parameters.
    const flags = { "time.intervals.in.minutes": "5" };
    const second = await world.start((f, n) => f === "log" && n === 7 + at ? "dies before" : null, {
      flags,
    });
    if (!second.job.failure && !second.logKv.dead) await world.clock.advance(500);
    second.kill();
    const third = await world.start(() => null, { flags });
    await feed(world, third, new Random(8), 80);
    await drain(world, third);
    await world.stop(third);
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const results = await world.values("transaction-results", partition);
      const inputs = await world.read("transactions", partition);
      assertEquals(
        results.length + (await world.read("dead-letters", partition)).length,
        inputs.length,
      );
      const summaries = await world.values("summaries", partition);
      assert(summaries.length > 0);
      assertEquals(new Set(summaries).size, summaries.length, `at ${at}`);
    }
    // The way back needs a checkpoint too: the state did not begin in this log.
    await dropCheckpoints(world);
    const lost = await world.start(() => null, { flags });
    assert(
      lost.job.failure?.message.includes("did not begin in this log"),
      String(lost.job.failure),
    );
    lost.kill();
    world.close();
  }
});
