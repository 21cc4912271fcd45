import { assert } from "@std/assert";
import { faultRun } from "./faults.ts";
import { assertGood, faultTest } from "./with_broker.ts";

faultTest("Kafka job: kills of job and broker lose nothing and double nothing", async (seed) => {
  const faults = { kills: 10, brokerKills: 1, pauses: 1, stops: 1, clockJumps: 0, rebalances: 2 };
  const { verdict } = await faultRun({ ...faults, seed });
  assertGood(seed, verdict);
  assert(verdict.inputs > 20_000 && verdict.summaries > 100 && verdict.deadLetters > 100);
  assert(verdict.queries > 50);
});
