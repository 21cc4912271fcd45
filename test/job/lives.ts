// Lives of a job in a world: fed, faulted, drained.

import { Partitioner, partitionOf } from "../../src/types/mod.ts";
import type { Fault } from "../log/fault_kv.ts";
import { Random } from "../model/random.ts";
import { type Life, line, PARTITIONS, World } from "./world.ts";

/** Appends transactions of a few items, some of them invalid, at the clock's time. */
export async function feed(world: World, life: Life, random: Random, n: number): Promise<void> {
  const lines = Array.from(
    { length: n },
    (_, i) => line(i, `item_${random.below(30)}`, random.below(100) - 55, world.clock.now()),
  );
  const groups = Map.groupBy(
    lines,
    ({ record }) => partitionOf(Partitioner.Murmur2, record.key, PARTITIONS),
  );
  await Promise.all([...groups].map(([partition, group]) => {
    const records = group.map((g, i) => i % 17 === 3 ? { ...g.record, value: null } : g.record);
    return life.log.append("transactions", partition, records);
  }));
}

/** Waits until everything in the log is folded and committed. */
export async function drain(world: World, { worker, log }: Life): Promise<void> {
  await world.clock.until(() => {
    const { members } = worker;
    return members.length === PARTITIONS && members.every(({ processor }) => {
      const { end } = log.bounds("transactions", processor.partition);
      return processor.acknowledged.offset === end;
    });
  }, "everything is committed");
}

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
