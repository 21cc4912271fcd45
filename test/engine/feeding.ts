import { Partitioner, partitionOf } from "../../src/types/mod.ts";
import type { Random } from "../../tools/kit/random.ts";
import { type Life, line, PARTITIONS, type World } from "./world.ts";

/** Appends transactions of a few items, or of others, some of them invalid, at the clock's time. */
export async function feed(
  world: World,
  life: Life,
  random: Random,
  n: number,
  itemOf = () => `item_${random.below(30)}`,
): Promise<void> {
  const lines = Array.from(
    { length: n },
    (_, i) => line(i, itemOf(), random.below(100) - 55, world.clock.now()),
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
    const { partitions } = worker;
    return partitions.length === PARTITIONS && partitions.every(({ processor }) => {
      const { end } = log.bounds("transactions", processor.partition);
      return processor.acknowledged.offset === end;
    });
  }, "everything is committed");
}
