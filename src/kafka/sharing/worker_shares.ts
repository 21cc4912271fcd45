/**
 * The workers of a process that have its partitions in a generation. Balanced: no two workers differ by more than one
 * partition. Sticky: a partition stays with the worker that has had it, as far as that allows.
 *
 * @param before the workers of the generation before, by partition
 * @param partitions those that the process has now
 * @param workers how many there are, from 1 on
 */
export function shareAmongWorkers(
  before: ReadonlyMap<number, number>,
  partitions: readonly number[],
  workers: number,
): Map<number, number> {
  const sorted = partitions.toSorted((a, b) => a - b);
  const held = new Array<number>(workers).fill(0);
  for (const partition of sorted) {
    const worker = before.get(partition);
    if (worker !== undefined && worker < workers) held[worker]!++;
  }
  // Those that have the most keep one more than the others.
  const least = Math.floor(sorted.length / workers);
  const inOrder = held.map((_, worker) => worker).toSorted((a, b) => held[b]! - held[a]! || a - b);
  const parts = new Array<number>(workers).fill(least);
  for (const worker of inOrder.slice(0, sorted.length % workers)) parts[worker]!++;
  const shares = new Map<number, number>();
  for (const partition of sorted) {
    const worker = before.get(partition);
    if (worker === undefined || worker >= workers || parts[worker] === 0) continue;
    parts[worker]!--;
    shares.set(partition, worker);
  }
  for (const partition of sorted) {
    if (shares.has(partition)) continue;
    // The one with the most room: partitions that come together are spread.
    const worker = parts.indexOf(Math.max(...parts));
    parts[worker]!--;
    shares.set(partition, worker);
  }
  return shares;
}
