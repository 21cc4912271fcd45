/** A partition moves to another worker for no less than this share of a worker's mean load, where loads are measured. */
const GAIN_MIN = 0.1;
/** A partition of which nothing comes counts so much of the mean: it may wake up. */
const IDLE_LOAD = 0.05;

/** How much is folded of a partition, in any unit that they have in common; null = it is not known. */
export type LoadOf = (partition: number) => number | null;

export const UNKNOWN_LOADS: LoadOf = () => null;

/**
 * The workers of a process that have its partitions in a generation. Sticky: a partition stays with the worker that has
 * had it, unless a move brings the loads of the workers closer. Balanced by load; where no load is known, by number: no
 * two workers differ by more than one partition then.
 *
 * @param before the workers of the generation before, by partition
 * @param partitions those that the process has now
 * @param workers how many there are, from 1 on
 */
export function shareAmongWorkers(
  before: ReadonlyMap<number, number>,
  partitions: readonly number[],
  workers: number,
  loadOf: LoadOf = UNKNOWN_LOADS,
): Map<number, number> {
  const { weights, isMeasured } = weightsOf(partitions, loadOf);
  const held: number[][] = Array.from({ length: workers }, () => []);
  const loads = new Array<number>(workers).fill(0);
  const put = (partition: number, worker: number, sign: 1 | -1 = 1) => {
    if (sign === 1) held[worker]!.push(partition);
    else held[worker]!.splice(held[worker]!.indexOf(partition), 1);
    loads[worker]! += sign * weights.get(partition)!;
  };
  const heaviestFirst = partitions.toSorted((a, b) => weights.get(b)! - weights.get(a)! || a - b);
  const stays = (p: number) => before.has(p) && before.get(p)! < workers;
  for (const partition of heaviestFirst.filter(stays)) put(partition, before.get(partition)!);
  for (const partition of heaviestFirst.filter((p) => !stays(p))) {
    put(partition, loads.indexOf(Math.min(...loads)));
  }
  const mean = loads.reduce((a, b) => a + b, 0) / workers;
  const gainMin = isMeasured ? GAIN_MIN * mean : 0;
  // Each move makes the heaviest of two workers lighter, so they come to an end.
  while (true) {
    const most = loads.indexOf(Math.max(...loads));
    const least = loads.indexOf(Math.min(...loads));
    const gap = loads[most]! - loads[least]!;
    const gainOf = (p: number) => Math.min(weights.get(p)!, gap - weights.get(p)!);
    const [best] = held[most]!.toSorted((a, b) => gainOf(b) - gainOf(a) || b - a);
    // A hair is left for sums of fractions, which are not exact.
    if (best === undefined || gainOf(best) <= Math.max(gainMin, 1e-9 * mean)) break;
    put(best, most, -1);
    put(best, least);
  }
  return new Map(
    held.flatMap((some, worker) => some.map((p) => [p, worker] as const)).toSorted(byPartition),
  );
}

const byPartition = ([a]: readonly [number, number], [b]: readonly [number, number]) => a - b;

/** What each partition counts: its load where that is known, the mean of the others where not; 1 where none is. */
function weightsOf(partitions: readonly number[], loadOf: LoadOf) {
  const known = partitions.map(loadOf).filter((load) => load !== null);
  const mean = known.reduce((a, b) => a + b, 0) / Math.max(1, known.length);
  const isMeasured = mean > 0;
  const weightOf = (partition: number) =>
    isMeasured ? Math.max(loadOf(partition) ?? mean, IDLE_LOAD * mean) : 1;
  return { weights: new Map(partitions.map((p) => [p, weightOf(p)])), isMeasured };
}
