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
