import { assertEquals } from "@std/assert";
import { DURATION_BOUNDS_SECONDS, Durations } from "../../src/engine/durations.ts";
import { addFigures, NO_FIGURES, type WorkerFigures } from "../../src/engine/figures.ts";

Deno.test("durations fall into the class whose bound they do not pass", () => {
  const durations = new Durations();
  for (const ms of [0, 1, 1.1, 2.5, 10_000, 10_001]) durations.add(ms);
  const { counts, sumMs } = durations.snapshot();
  const byBound = new Map(counts.map((n, i) => [DURATION_BOUNDS_SECONDS[i] ?? Infinity, n]));
  assertEquals([0.001, 0.0025, 0.005, 10, Infinity].map((b) => byBound.get(b)), [2, 2, 0, 1, 1]);
  assertEquals(Math.round(10 * sumMs), 200_056);
  durations.add(1);
  assertEquals(counts[0], 2); // what was taken stays
});

Deno.test("figures of a worker go on where its thread before ended", () => {
  const durations = new Durations();
  durations.add(3);
  const life: WorkerFigures = {
    ...NO_FIGURES,
    recordsIn: 5,
    commits: 2,
    recoveries: 1,
    summariesOut: 4,
    linesDropped: 6,
    commitAt: 77,
    commitMs: 3,
    commitDurations: durations.snapshot(),
    shares: { busy: 1, idle: 0, backPressured: 0 },
  };
  const gone = addFigures(NO_FIGURES, life);
  assertEquals(gone, life);
  const between = addFigures(gone, NO_FIGURES);
  assertEquals([between.recordsIn, between.commitAt, between.shares.busy], [5, 77, 0]);
  const next = addFigures(gone, { ...life, commitAt: 99 });
  assertEquals(
    [
      next.recordsIn,
      next.commits,
      next.recoveries,
      next.summariesOut,
      next.linesDropped,
      next.commitAt,
    ],
    [10, 4, 2, 8, 12, 99],
  );
  assertEquals(next.commitDurations.counts.reduce((a, b) => a + b), 2);
  assertEquals(next.commitDurations.sumMs, 6);
});
