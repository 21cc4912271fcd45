// Starts a broker of its own (test/kafka/broker.ts).

import { assert } from "@std/assert";
import { newSeed } from "../model/random.ts";
import { whySkipped } from "../kafka/broker.ts";
import { faultRun } from "./faults.ts";
import { detailLine, isGood, verdictLine } from "./verdict.ts";

const NAME = "Kafka job: kills of job and broker lose nothing and double nothing";
const skipped = await whySkipped();

Deno.test({
  name: skipped ? `${NAME}: ${skipped}` : NAME,
  ignore: skipped !== null,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const seed = newSeed();
    const faults = { kills: 10, brokerKills: 1, pauses: 1, stops: 1, clockJumps: 0, rebalances: 2 };
    const { verdict } = await faultRun({ ...faults, seed });
    console.log(`seed ${seed}: ${verdictLine(verdict)}; ${detailLine(verdict)}`);
    assert(isGood(verdict), verdict.differences.join("\n"));
    assert(verdict.inputs > 20_000 && verdict.summaries > 100 && verdict.deadLetters > 100);
    assert(verdict.queries > 50);
  },
});
