import { assert, assertEquals } from "@std/assert";
import { timesOfTest } from "../../tools/kit/random.ts";
import { damageDecoders, damageLine, damageRun, type DamageVerdict } from "./damage.ts";

function assertNoneUsed(verdict: DamageVerdict, atLeast: number): void {
  console.log(damageLine(verdict));
  assertEquals(verdict.used, 0);
  assertEquals(verdict.detected, verdict.damages);
  assert(verdict.damages > atLeast, `${verdict.damages}`);
}

Deno.test("damage to any byte of a manifest, an index, a chunk or an exported file is found", async () => {
  assertNoneUsed(await damageDecoders(), 20_000);
});

// At every byte: deno task damage. `deno task test` takes four times as many places.
Deno.test("damage in every region of a checkpoint or an exported file is found, and never used", async () => {
  const samples = timesOfTest(10);
  assertNoneUsed(await damageRun({ everyByteMax: 0, samples }), 35 * samples);
});
