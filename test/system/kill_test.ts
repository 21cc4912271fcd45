import { assert, assertEquals } from "@std/assert";
import { seedOfTest } from "../../tools/kit/random.ts";
import { generatedKillRun, generatedVerdictLine } from "./generated_kill.ts";
import { killRun, verdictLine } from "./kill.ts";

Deno.test("kill -9 loses nothing and doubles nothing", async () => {
  const seed = seedOfTest();
  // Without pauses millions of transactions are answered, and the verdict on them takes longer than all the kills.
  const verdict = await killRun({ kills: 20, seed, pauseMs: 10 });
  console.log(
    `seed ${seed}: ${verdictLine(verdict)}, ${verdict.insideCheckpoint} kills inside a checkpoint`,
  );
  assertEquals(verdict.lost, 0);
  assertEquals(verdict.doubled, 0);
  assert(verdict.stateHashEqual);
  assert(verdict.answered > 100_000 && verdict.summaries > 100);
});

/** Lives, and a rate, of which the verdict does not take longer than they do. */
const SHORT = { aliveMs: [100, 1000], rate: 15_000 } as const;

Deno.test("kill -9 and crashes of workers under the generator's load lose and double nothing", async () => {
  const seed = seedOfTest();
  const verdict = await generatedKillRun({ kills: 6, crashes: 6, seed, ...SHORT });
  console.log(`seed ${seed}: ${generatedVerdictLine(verdict)}`);
  assertEquals(verdict.lost, 0);
  assertEquals(verdict.doubled, 0);
  assert(verdict.stateHashEqual);
  assert(verdict.inputs > 50_000);
});
