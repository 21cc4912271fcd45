import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { shareAmongWorkers } from "../../../src/kafka/sharing/worker_shares.ts";

const PARTITIONS = 24;

Deno.test("the workers of a process share its partitions: balanced, each has one worker, and no more move than must", () => {
  const some = fc.uniqueArray(fc.nat(PARTITIONS - 1));
  fc.assert(
    fc.property(fc.array(some, { minLength: 2, maxLength: 6 }), fc.integer({ min: 1, max: 6 }), (
      generations,
      workers,
    ) => {
      let before: ReadonlyMap<number, number> = new Map();
      for (const partitions of generations) {
        const shares = shareAmongWorkers(before, partitions, workers);
        assertEquals([...shares.keys()].toSorted(), partitions.toSorted());
        const parts = Array.from(
          { length: workers },
          (_, n) => [...shares.values()].filter((worker) => worker === n).length,
        );
        assert(Math.max(...parts) - Math.min(...parts) <= 1, `${parts}`);
        // Whoever has more than its part gives those away, and nobody else does.
        const stayed = [...shares].filter(([p, worker]) => before.get(p) === worker).length;
        const held = partitions.filter((p) => before.has(p));
        const heldBy = parts.map((_, n) => held.filter((p) => before.get(p) === n).length)
          .toSorted((a, b) => b - a);
        const most = parts.toSorted((a, b) => b - a);
        assertEquals(stayed, heldBy.reduce((n, count, i) => n + Math.min(count, most[i]!), 0));
        before = shares;
      }
    }),
    { seed: 20261127, numRuns: 200 },
  );
});

Deno.test("partitions of workers that there are no more go to those that there are", () => {
  const before = new Map([[0, 0], [1, 1], [2, 2]]);
  assertEquals([...shareAmongWorkers(before, [0, 1, 2], 2)], [[0, 0], [1, 1], [2, 0]]);
});

Deno.test("the workers of a process share its partitions by measured load: whoever has the most keeps what no move betters", () => {
  const load = fc.oneof(fc.constant(null), fc.constant(0), fc.integer({ min: 1, max: 100_000 }));
  const some = fc.uniqueArray(fc.nat(PARTITIONS - 1), { minLength: 1 });
  const loads = fc.array(load, { minLength: PARTITIONS, maxLength: PARTITIONS });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(some, loads), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 6 }),
      (generations, workers) => {
        let before: ReadonlyMap<number, number> = new Map();
        for (const [partitions, measured] of generations) {
          const loadOf = (p: number) => measured[p]!;
          const shares = shareAmongWorkers(before, partitions, workers, loadOf);
          assertEquals([...shares.keys()].toSorted(), partitions.toSorted());
          assert([...shares.values()].every((worker) => worker >= 0 && worker < workers));
          assertNoBetterMove(shares, workers, loadOf);
          // With the loads as they are, nothing moves any more.
          assertEquals(shareAmongWorkers(shares, partitions, workers, loadOf), shares);
          before = shares;
        }
      },
    ),
    { seed: 20261127, numRuns: 300 },
  );
});

/** No partition of the heaviest worker, moved to the lightest one, brings the two closer by a tenth of the mean. */
function assertNoBetterMove(
  shares: ReadonlyMap<number, number>,
  workers: number,
  loadOf: (partition: number) => number | null,
): void {
  const known = [...shares.keys()].map(loadOf).filter((n) => n !== null);
  const mean = known.reduce((a, b) => a + b, 0) / Math.max(1, known.length);
  const weightOf = (p: number) => mean > 0 ? Math.max(loadOf(p) ?? mean, mean / 20) : 1;
  const loads = new Array<number>(workers).fill(0);
  for (const [p, worker] of shares) loads[worker]! += weightOf(p);
  const [most, least] = [Math.max(...loads), Math.min(...loads)];
  const gainMin = mean > 0 ? loads.reduce((a, b) => a + b, 0) / workers / 10 : 0.5;
  for (const [p, worker] of shares) {
    if (loads[worker] !== most) continue;
    const gain = most - Math.max(most - weightOf(p), least + weightOf(p));
    assert(gain <= gainMin + 1e-6 * most, `${p} of ${worker}: ${loads}`);
  }
}

Deno.test("a partition moves to another worker only where that is worth it", () => {
  const before = new Map([[0, 0], [1, 0], [2, 1], [3, 1]]);
  const shareBy = (...loads: number[]) => [
    ...shareAmongWorkers(before, [0, 1, 2, 3], 2, (p) => loads[p]!).values(),
  ];
  assertEquals(shareBy(100, 100, 95, 80), [0, 0, 1, 1]); // measured loads are never quite equal
  assertEquals(shareBy(100, 12, 100, 1), [0, 0, 1, 1]);
  assertEquals(shareBy(100, 50, 1, 1), [0, 1, 1, 1]);
  assertEquals(shareBy(100, 100, 0, 0), [0, 1, 1, 1]);
  assertEquals(shareBy(0, 0, 0, 0), [0, 0, 1, 1]);
});
