import { assert, assertEquals } from "@std/assert";
import { newSeed } from "../model/random.ts";
import { killRun, verdictLine } from "./kill.ts";

Deno.test("kill -9 loses nothing and doubles nothing", async () => {
  const seed = newSeed();
  const verdict = await killRun({ kills: 20, seed });
  console.log(
    `seed ${seed}: ${verdictLine(verdict)}, ${verdict.insideCheckpoint} kills inside a checkpoint`,
  );
  assertEquals(verdict.lost, 0);
  assertEquals(verdict.doubled, 0);
  assert(verdict.stateHashEqual);
  assert(verdict.answered > 100_000 && verdict.summaries > 100);
});
