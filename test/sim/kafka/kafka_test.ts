// Runs of the simulator on the real src/kafka: `deno test --allow-env test/sim/kafka`. kafkajs reads the
// environment when it is loaded; nothing else is needed.

import { assertEquals } from "@std/assert";
import { turnOfTheEventLoop } from "../event_loop.ts";
import { type FaultKind, faultKindsOf } from "../plan.ts";
import { run } from "../simulation.ts";
import { makeKafka } from "./mod.ts";

const SEEDS = 200;
const SEEDS_OF_A_TEST = 50;

const faults = new Map<FaultKind, number>();

Deno.test("simulated Kafka: the same seed gives the same run, event by event", async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const traces: string[][] = [[], []];
    for (const lines of traces) await run(seed, { lines, kafka: makeKafka });
    assertEquals(traces[0]!.join("\n"), traces[1]!.join("\n"));
  }
});

/** Runs with faults that few have: a chunk is altered; retention takes a log to the oldest checkpoint of all processes. */
const RARE = [225, 482, 616, 1991, 2191];

async function assertKept(seed: number): Promise<void> {
  const result = await run(seed, { kafka: makeKafka });
  await turnOfTheEventLoop();
  for (const [kind, n] of result.faults) faults.set(kind, (faults.get(kind) ?? 0) + n);
  const broken = result.violations.map(({ promise, message }) => `${promise}: ${message}`);
  assertEquals(broken, [], `seed ${seed}; replay: deno task sim:kafka --seed=${seed}`);
}

for (let from = 1; from <= SEEDS; from += SEEDS_OF_A_TEST) {
  const to = from + SEEDS_OF_A_TEST - 1;
  Deno.test(`simulated Kafka: every promise is kept, seeds ${from} to ${to}`, async () => {
    for (let seed = from; seed <= to; seed++) await assertKept(seed);
  });
}

Deno.test("simulated Kafka: every promise is kept, seeds of rare faults", async () => {
  for (const seed of RARE) await assertKept(seed);
});

Deno.test("simulated Kafka: these seeds switch every fault on", () => {
  assertEquals(faultKindsOf(["kafka"]).filter((kind) => !faults.has(kind)), []);
});

/** Found by runs of many seeds; each is the shortest of its kind. */
const FOUND = [7000281, 7003663];

Deno.test("simulated Kafka: seeds that once broke a promise keep it", async () => {
  for (const seed of FOUND) await assertKept(seed);
});
