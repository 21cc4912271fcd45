import { assert, assertEquals } from "@std/assert";
import { seedOfTest } from "../../tools/kit/random.ts";
import { fullDiskRun, fullDiskVerdictLine } from "./full_disk.ts";

Deno.test("disks that are full and free again, at random moments under load, lose nothing and stop no look-up", async (t) => {
  const seed = seedOfTest();
  const verdict = await fullDiskRun({ rounds: 4, seed });
  if (!verdict) {
    return void await t.step({ name: "needs root to mount a tmpfs", ignore: true, fn: () => {} });
  }
  console.log(`seed ${seed}: ${fullDiskVerdictLine(verdict)}`);
  assertEquals(verdict.lost, 0);
  assertEquals(verdict.doubled, 0);
  assert(verdict.stateHashEqual);
  assertEquals(verdict.healed, 4);
  assertEquals(verdict.lookUpsStopped, 0);
  assertEquals(verdict.recoveries, 0);
  assert(verdict.answered > 100_000);
});
