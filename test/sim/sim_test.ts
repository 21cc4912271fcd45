// Runs of the simulator: `deno test test/sim`. It needs nothing and no permission.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { assert, assertEquals } from "@std/assert";
import { turnOfTheEventLoop } from "./event_loop.ts";
import { type FaultKind, faultKindsOf } from "./plan.ts";
import type { PlantedBug } from "./planted_bugs.ts";
import { run } from "./simulation.ts";

const SEEDS = 200;
const SEEDS_OF_A_TEST = 50;

const faults = new Map<FaultKind, number>();

async function assertKept(seed: number): Promise<void> {
  const result = await run(seed);
  await turnOfTheEventLoop();
  for (const [kind, n] of result.faults) faults.set(kind, (faults.get(kind) ?? 0) + n);
  const broken = result.violations.map(({ promise, message }) => `${promise}: ${message}`);
  assertEquals(broken, [], `seed ${seed}; replay: deno task sim --seed=${seed}`);
}

Deno.test("simulator: the same seed gives the same run, event by event", async () => {
  let lines = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const traces: string[][] = [[], []];
    for (const trace of traces) await run(seed, { lines: trace });
    assertEquals(traces[0]!.join("\n"), traces[1]!.join("\n"));
    lines += traces[0]!.length;
  }
  assert(lines > 1000, `${lines} lines`);
});

Deno.test("simulator: a trace leaves the run as it is without", async () => {
  const traced = await run(7, { lines: [] });
  const untold = await run(7);
  assertEquals([untold.events, untold.commits, untold.virtualMs], [
    traced.events,
    traced.commits,
    traced.virtualMs,
  ]);
});

Deno.test("simulator: of runs that are over no core stays behind", async () => {
  const cores: WeakRef<object>[] = [];
  const bug: PlantedBug = {
    onOwner: ({ processor }) => void cores.push(new WeakRef(processor.core)),
  };
  for (let seed = 1; seed <= 10; seed++) {
    await run(seed, { bug });
    await turnOfTheEventLoop();
  }
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  for (let i = 0; i < 3; i++) {
    collect();
    await turnOfTheEventLoop();
  }
  assert(cores.length > 20, `${cores.length} cores`);
  assertEquals(cores.filter((core) => core.deref()).length, 0);
});

for (let from = 1; from <= SEEDS; from += SEEDS_OF_A_TEST) {
  const to = from + SEEDS_OF_A_TEST - 1;
  Deno.test(`simulator: every promise is kept over any faults, seeds ${from} to ${to}`, async () => {
    for (let seed = from; seed <= to; seed++) await assertKept(seed);
  });
}

Deno.test("simulator: these seeds switch every fault on", () => {
  assertEquals(faultKindsOf(["broker", "embedded"]).filter((kind) => !faults.has(kind)), []);
});
