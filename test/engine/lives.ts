import type { Fault } from "../kv/fault_kv.ts";
import { Random } from "../../tools/kit/random.ts";
import { drain, feed } from "./feeding.ts";
import type { Life, World } from "./world.ts";

/** Lives of one process after the other, each ended by a fault at its own write; the last one drains. */
export async function livesWithFaults(
  world: World,
  faults: readonly { fault: Fault; file: "log" | "state"; at: number }[],
  seed: number,
): Promise<Life> {
  const random = new Random(seed);
  for (const { fault, file, at } of faults) {
    const life = await world.start((f, n) => f === file && n === at ? fault : null).catch(() =>
      null
    );
    if (!life) continue;
    for (let round = 0; round < 4; round++) {
      if (life.logKv.dead || life.job.failure) break;
      void feed(world, life, random, 25).catch(() => {});
      await world.clock.advance(700);
      await world.clock.advance(20_000);
    }
    life.kill();
  }
  const last = await world.start();
  await feed(world, last, random, 20);
  await drain(world, last);
  return last;
}
