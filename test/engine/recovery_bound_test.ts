import { assert, assertEquals } from "@std/assert";
import { Random } from "../../tools/kit/random.ts";
import { Code } from "../../src/wasm/mod.ts";
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

Deno.test("a checkpoint for which a core has no memory is one that failed, and is tried again in its interval", async () => {
  const intervalMs = 1000;
  const world = await World.open({ "checkpoint.interval.millis": String(intervalMs) });
  const life = await world.start();
  const { processor, checkpointer, partition } = life.worker.partitions[0]!;
  const cut = processor.core.cut.bind(processor.core);
  let refused = 0;
  processor.core.cut = () => (refused++, Code.OutOfMemory);
  await feed(world, life, new Random(9), 100);
  await drain(world, life);
  const rounds = 4;
  for (let ms = 0; ms < rounds * intervalMs; ms += 250) await world.clock.advance(250);
  assert(refused > 0 && refused <= rounds, `it was tried ${refused} times`);
  const figures = () => life.worker.figures().partitions.find((p) => p.partition === partition)!;
  assertEquals(figures().checkpointFailures, refused);
  assertEquals(figures().checkpointFailure, "Cannot freeze the state: OutOfMemory");
  processor.core.cut = cut;
  for (let ms = 0; ms < 2 * intervalMs; ms += 250) await world.clock.advance(250);
  assertEquals(figures().checkpointFailure, null);
  assertEquals(checkpointer.newest?.offset, processor.position);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});
