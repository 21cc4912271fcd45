import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnavailableError } from "../../src/log/mod.ts";
import type { Commit, CommitOutcome, Log } from "../../src/log/mod.ts";
import { type Savepoint, SavepointExistsError } from "../../src/state/mod.ts";
import { OtherSessions } from "../log/log_doubles.ts";
import { Random } from "../../tools/kit/random.ts";
import { drain, feed } from "../engine/feeding.ts";
import { NAME, take } from "./savepoint_fixture.ts";
import { World } from "../engine/world.ts";

Deno.test("a savepoint holds all that was answered, also without checkpoints by time", async () => {
  const world = await World.open({ "checkpoint.interval.millis": "0" });
  const life = await world.start();
  for (let i = 1; i <= 5; i++) {
    let answered = false;
    void life.job.gateway!.execute([
      { transactionId: 1n, ts: 0, itemId: "item_2", quantity: 10 },
    ]).then(() => answered = true);
    await world.clock.until(() => answered, "the answer comes");
    const savepoint = await take(world, life, `at-${i}`);
    const offsets = savepoint.partitions.map((m) => m?.offset ?? 0);
    assertEquals(offsets.reduce((a, b) => a + b), i);
  }
  // What did not change is not written again.
  const [before] = await life.job.store.savepoints.list();
  const again = await take(world, life, "again");
  assertEquals(again.partitions, before!.partitions);
  await assertRejects(() => take(world, life, "again"), SavepointExistsError);
  await assertRejects(() => take(world, life, "a/b"), RangeError, '"a/b"');
  await world.stop(life);
  world.close();
});

Deno.test("savepoints and checkpoints by time take their turns", async () => {
  const world = await World.open({ "checkpoint.interval.millis": "1", "checkpoint.retained": "1" });
  const life = await world.start();
  const random = new Random(4);
  const taken: Promise<Savepoint>[] = [];
  const folded: number[] = [];
  for (let round = 0; round < 12; round++) {
    await feed(world, life, random, 20);
    folded.push(life.worker.partitions[0]!.processor.position);
    taken.push(life.job.takeSavepoint(`s${round}`));
    await world.clock.advance(300);
  }
  const savepoints = await world.clock.run(Promise.all(taken), "all are taken");
  await drain(world, life);
  await world.clock.advance(5000);
  for (const savepoint of savepoints) {
    for (const manifest of await life.job.store.savepoints.manifests(savepoint)) {
      for await (const _ of life.job.store.segments(manifest!));
    }
  }
  // Each has all that was folded when it was asked for; which of two is taken first is open.
  savepoints.forEach((s, i) => assert(s.partitions[0]!.offset >= folded[i]!, s.name));
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("a savepoint that cannot be written is refused, and its name stays free", async () => {
  const world = await World.open({ "checkpoint.interval.millis": "0" });
  const life = await world.start();
  await feed(world, life, new Random(9), 20);
  await drain(world, life);
  life.stateKv.plan = () => "fails";
  await assertRejects(() => take(world, life), UnavailableError, "database is locked");
  life.stateKv.plan = () => null;
  assertEquals((await take(world, life)).name, NAME);
  life.kill();
  world.close();
});

Deno.test("a savepoint is given up when its partitions are lost, and taken when they are back", async () => {
  const world = await World.open({ "checkpoint.interval.millis": "0" });
  let lose = false;
  const wrapLog = (log: Log): Log =>
    new OtherSessions(log, (session) => ({
      commit: (commit: Commit): Promise<CommitOutcome> =>
        lose && session.input === "transactions" ? Promise.resolve("lost") : session.commit(commit),
    }));
  const life = await world.start(() => null, { wrapLog });
  lose = true;
  await feed(world, life, new Random(9), 20);
  await world.clock.until(() => life.worker.recoveries > 0, "a commit is lost");
  for (let i = 0; i < 5; i++) {
    await assertRejects(() => take(world, life), UnavailableError);
    await world.clock.advance(333);
  }
  lose = false;
  await world.clock.until(() => life.job.isReady, "it is ready again");
  const savepoint = await take(world, life);
  assertEquals(savepoint.partitions.reduce((n, m) => n + m!.offset, 0), 20);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});
