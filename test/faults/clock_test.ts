// Starts a broker of its own (test/kafka/broker.ts). The job's wall clock jumps; the broker's does not.

import { assert } from "@std/assert";
import { newSeed } from "../model/random.ts";
import { whySkipped } from "../kafka/broker.ts";
import { faultRun } from "./faults.ts";
import { detailLine, isGood, verdictLine } from "./verdict.ts";
import { whyNoJumps } from "./wall_clock.ts";

const NAME = "Kafka job: a wall clock that jumps loses nothing and doubles nothing";
const skipped = await whySkipped() ?? whyNoJumps();

Deno.test({
  name: skipped ? `${NAME}: ${skipped}` : NAME,
  ignore: skipped !== null,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const seed = newSeed();
    const faults = { kills: 3, brokerKills: 0, pauses: 0, stops: 1, clockJumps: 6, rebalances: 0 };
    const { verdict, moments } = await faultRun({ ...faults, seed });
    const jumps = moments.jumps.map((seconds) => `${seconds} s`).join(", ");
    console.log(`seed ${seed}: ${verdictLine(verdict)}; ${detailLine(verdict)}; jumps: ${jumps}`);
    assert(isGood(verdict), verdict.differences.join("\n"));
    assert(verdict.inputs > 20_000 && verdict.summaries > 100);
    assert(moments.jumps.length === 6 && moments.jumps.some((seconds) => seconds < 0));
  },
});
