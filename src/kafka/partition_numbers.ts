/** The numbers of all partitions of a topic that has so many. */
export function partitionNumbers(count: number): number[] {
  return Array.from({ length: count }, (_, p) => p);
}
