import { assert, assertEquals } from "@std/assert";
import { damageLine, damageRun } from "./damage.ts";

Deno.test("damage in every region of a checkpoint or an exported file is found, and never used", async () => {
  const verdict = await damageRun();
  for (const [region, n] of verdict.regions) console.log(`${region.padEnd(32)} ${n}`);
  console.log(damageLine(verdict));
  assertEquals(verdict.used, 0);
  assertEquals(verdict.detected, verdict.damages);
  assert(verdict.damages > 10_000);
});
