import { assertEquals } from "@std/assert";
import { REPEATED, SmallWorlds } from "./small_worlds.ts";

Deno.test("small worlds: every sequence of 4 transactions on two items, crashed behind each prefix, is as the model", () => {
  const { sequences, steps } = new SmallWorlds(4).check();
  // 14 transactions may follow each other; the first is on one of the items, by symmetry.
  assertEquals(sequences, 7 * 14 ** 3);
  assertEquals(steps, 7 * (1 + 14 + 14 ** 2 + 14 ** 3));
  console.log(`${sequences} sequences, ${steps} crashes`);
});

Deno.test("small worlds: every sequence of transactions and repetitions on a log that remembers, crashed behind each prefix, is as the model", () => {
  const { sequences, steps } = new SmallWorlds(4, REPEATED).check();
  assertEquals(sequences, 4 * 8 ** 3);
  assertEquals(steps, 4 * (1 + 8 + 8 ** 2 + 8 ** 3));
});
