import { assertEquals, assertRejects } from "@std/assert";
import { LostError } from "../../src/log/mod.ts";
import { Random } from "../../tools/kit/random.ts";
import { drain, feed } from "./feeding.ts";
import { LossyLog } from "./lossy_log.ts";
import { World } from "./world.ts";

/** A log that says whether it answers. */
class SilentLog extends LossyLog {
  readonly word = { isAvailable: true, isClaimed: true };

  override get isAvailable(): boolean {
    return this.word.isAvailable;
  }

  override get isClaimed(): boolean {
    return this.word.isClaimed;
  }
}

async function waitsWhileNot(key: "isAvailable" | "isClaimed"): Promise<void> {
  const world = await World.open();
  let log: SilentLog | null = null;
  const life = await world.start(() => null, {
    wrapLog: (inner) => log = new SilentLog(inner, () => null),
  });
  await feed(world, life, new Random(31), 60);
  await drain(world, life);
  const { job } = life;
  const signal = new AbortController().signal;
  const before = await job.lookUp(["item_1"], signal);
  log!.word[key] = false;
  assertEquals(job.isReady, false);
  let answered = false;
  const waiting = job.lookUp(["item_1"], signal).finally(() => answered = true);
  await world.clock.run(world.clock.sleep(10_000), "time passes");
  assertEquals(answered, false);
  const given = new AbortController();
  const givenUp = assertRejects(() => job.lookUp(["item_1"], given.signal), LostError);
  given.abort();
  await world.clock.run(givenUp, "it is given up");
  log!.word[key] = true;
  assertEquals(await world.clock.run(waiting, "it is answered"), before);
  await world.stop(life);
  world.close();
}

Deno.test("a look-up waits while the log does not answer: another may own the item", () =>
  waitsWhileNot("isAvailable"));

Deno.test("a look-up waits until all partitions are claimed again: another may have owned the item meanwhile", () =>
  waitsWhileNot("isClaimed"));
