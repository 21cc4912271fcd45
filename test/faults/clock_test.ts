// The job's wall clock jumps; the broker's does not.

import { assert } from "@std/assert";
import { faultRun } from "./faults.ts";
import { whyNoJumps } from "./wall_clock.ts";
import { assertGood, faultTest } from "./with_broker.ts";

faultTest("Kafka job: a wall clock that jumps loses nothing and doubles nothing", async (seed) => {
  const faults = { kills: 3, brokerKills: 0, pauses: 0, stops: 1, clockJumps: 6, rebalances: 0 };
  const { verdict, moments: { jumps } } = await faultRun({ ...faults, seed, loadPauseMs: 200 });
  assertGood(seed, verdict, `; jumps: ${jumps.map((seconds) => `${seconds} s`).join(", ")}`);
  assert(verdict.inputs > 20_000 && verdict.summaries > 100);
  assert(jumps.length === 6 && jumps.some((seconds) => seconds < 0));
}, whyNoJumps());
