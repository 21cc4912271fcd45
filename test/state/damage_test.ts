import { assert, assertEquals } from "@std/assert";
import { sayOfTest, timesOfTest } from "../../tools/kit/random.ts";
import { damageDecoders, damageLine, damageRun, type DamageVerdict } from "./damage.ts";

function assertNoneUsed(verdict: DamageVerdict, atLeast: number): void {
  sayOfTest(damageLine(verdict));
  assertEquals(verdict.used, 0);
  assertEquals(verdict.detected, verdict.damages);
  assert(verdict.damages > atLeast, `${verdict.damages}`);
}

Deno.test("damage to any byte of a manifest, an index, a chunk or an exported file is found", async () => {
  assertNoneUsed(await damageDecoders(timesOfTest(1) > 1 ? 1 : 3), 20_000);
});

// At every byte: deno task damage. `deno task test` takes four times as many places.
Deno.test("damage in every region of a checkpoint or an exported file is found, and never used", async () => {
  const samples = timesOfTest(10, 5);
  assertNoneUsed(await damageRun({ everyByteMax: 0, samples }), 35 * samples);
});
