import { assertEquals } from "@std/assert";
import { LostError } from "../../../src/log/mod.ts";
import { ActiveGeneration } from "../../../src/kafka/active_generation.ts";

Deno.test("a generation is claimed when each partition of transactions was claimed in it", () => {
  const generation = new ActiveGeneration("me", 1);
  assertEquals(generation.hasClaimed(3), false);
  generation.claim([0, 2]);
  generation.claim([]); // queries
  assertEquals(generation.hasClaimed(3), false);
  generation.claim([1]);
  assertEquals(generation.hasClaimed(3), true);
  // A worker that recovers within the generation has dropped its instances before.
  generation.release();
  generation.claim([1]);
  assertEquals(generation.hasClaimed(3), true);
});

Deno.test("a generation that ends without notice ends what is under way in it, as a notice does", () => {
  const generation = new ActiveGeneration("me", 1);
  assertEquals([generation.ending.aborted, generation.ended.aborted], [false, false]);
  generation.end(new LostError("The group has a new generation"));
  assertEquals([generation.ending.aborted, generation.ended.aborted], [true, true]);
});
