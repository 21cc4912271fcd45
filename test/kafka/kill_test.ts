// Starts a broker of its own (test/kafka/broker.ts).

import { assert } from "@std/assert";
import { newSeed } from "../model/random.ts";
import { whySkipped } from "./broker.ts";
import { isGood, kafkaKillRun, verdictLine } from "./kill.ts";

const NAME = "Kafka job: kills of job and broker lose nothing and double nothing";
const skipped = await whySkipped();

Deno.test({
  name: skipped ? `${NAME}: ${skipped}` : NAME,
  ignore: skipped !== null,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const seed = newSeed();
    const verdict = await kafkaKillRun({ kills: 4, brokerKills: 1, pauses: 1, seed });
    console.log(`seed ${seed}: ${verdictLine(verdict)}`);
    assert(isGood(verdict));
    assert(verdict.inputs > 20_000 && verdict.summaries > 100 && verdict.deadLetters > 100);
  },
});
