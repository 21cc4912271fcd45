import { assert, assertEquals } from "@std/assert";
import { Random } from "../../tools/kit/random.ts";
import { drain, feed } from "./feeding.ts";
import { World } from "./world.ts";

Deno.test("a checkpoint falls due by its records, however long its interval is: recovery folds few again", async () => {
  const most = 1000;
  const rounds = 7;
  const world = await World.open({
    "checkpoint.interval.millis": "86400000",
    "recovery.records.max": String(most),
  });
  const life = await world.start();
  const random = new Random(9);
  for (let round = 0; round < rounds; round++) {
    await feed(world, life, random, most);
    await drain(world, life);
    await world.clock.advance(1000); // it is looked four times a second whether one is due
  }
  life.kill();
  const next = await world.start();
  for (const { recovery } of next.worker.partitions) {
    assert(recovery !== null, "it was not recovered");
    assert(recovery.restored > 0, "no checkpoint was restored");
    // Two rounds bring it to be due, and one more may come before that is seen.
    assert(recovery.replayed <= 2 * most, `${recovery.replayed} records folded again`);
  }
  assertEquals(next.worker.partitions.length, 2);
  await world.assertExactlyOnce();
  next.kill();
  world.close();
});
