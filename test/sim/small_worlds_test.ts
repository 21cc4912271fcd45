import { assertEquals } from "@std/assert";
import { SmallWorlds } from "./small_worlds.ts";

Deno.test("small worlds: every sequence of 4 transactions on two items, crashed behind each prefix, is as the model", () => {
  const { sequences, steps } = new SmallWorlds(4).check();
  // 14 transactions may follow each other; the first is on one of the items, by symmetry.
  assertEquals(sequences, 7 * 14 ** 3);
  assertEquals(steps, 7 * (1 + 14 + 14 ** 2 + 14 ** 3));
  console.log(`${sequences} sequences, ${steps} crashes`);
});
