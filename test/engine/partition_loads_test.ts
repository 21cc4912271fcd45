import { assertEquals } from "@std/assert";
import { PartitionLoads } from "../../src/engine/partition_loads.ts";
import { ManualClock } from "./manual_clock.ts";

const rounded = (load: number | null) => load === null ? null : Math.round(load);

/** Looks once a second at partitions of which so many records come a second. */
async function run(
  loads: PartitionLoads,
  clock: ManualClock,
  seconds: number,
  counts: Map<number, number>,
  rates: Readonly<Record<number, number>>,
): Promise<void> {
  for (let s = 0; s < seconds; s++) {
    await clock.advance(1000);
    for (const [p, rate] of Object.entries(rates)) {
      counts.set(Number(p), (counts.get(Number(p)) ?? 0) + rate);
    }
    loads.look([...counts].map(([partition, recordsIn]) => ({ partition, recordsIn })));
  }
}

Deno.test("PartitionLoads measures records a second, of which those of long ago count little", async () => {
  const clock = new ManualClock();
  const loads = new PartitionLoads(clock);
  const counts = new Map([[0, 500], [1, 0]]);
  loads.look([...counts].map(([partition, recordsIn]) => ({ partition, recordsIn })));
  assertEquals(loads.of(0), null); // what was folded before the first look says nothing
  await run(loads, clock, 2, counts, { 0: 100, 1: 7 });
  assertEquals([0, 1, 2].map((p) => rounded(loads.of(p))), [100, 7, null]);
  await run(loads, clock, 600, counts, { 0: 10, 1: 7 });
  assertEquals(rounded(loads.of(0)), 10);
});

Deno.test("PartitionLoads: a recovery, and a while at another process, change no load", async () => {
  const clock = new ManualClock();
  const loads = new PartitionLoads(clock);
  const counts = new Map([[0, 0], [1, 0]]);
  await run(loads, clock, 10, counts, { 0: 100, 1: 50 });
  // The count begins anew.
  counts.set(0, 0);
  await run(loads, clock, 10, counts, { 0: 100, 1: 50 });
  assertEquals([0, 1].map((p) => rounded(loads.of(p))), [100, 50]);
  // Another process has it, and folds much of it.
  counts.delete(1);
  await run(loads, clock, 100, counts, { 0: 100 });
  counts.set(1, 1_000_000);
  await run(loads, clock, 10, counts, { 0: 100, 1: 50 });
  assertEquals([0, 1].map((p) => rounded(loads.of(p))), [100, 50]);
});
