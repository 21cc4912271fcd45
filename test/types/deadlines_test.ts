import { assertEquals } from "@std/assert";
import { Deadlines } from "../../src/types/mod.ts";
import { ManualClock } from "../engine/manual_clock.ts";

Deno.test("Deadlines calls what is late, in time, and what was taken back never", async () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const late: string[] = [];
  const add = (name: string, ms: number) => deadlines.add(ms, () => late.push(name));
  add("c", 300);
  const b = add("b", 200);
  add("a", 100);
  await clock.advance(99);
  assertEquals(late, []);
  await clock.advance(1);
  assertEquals(late, ["a"]);
  b();
  await clock.advance(150);
  assertEquals(late, ["a"]);
  // One that is due before those that are looked for, and one that is added while others are called.
  deadlines.add(20, () => {
    late.push("d");
    add("e", 10);
  });
  await clock.advance(20);
  assertEquals(late, ["a", "d"]);
  await clock.advance(10);
  assertEquals(late, ["a", "d", "e"]);
  await clock.advance(1000);
  assertEquals(late, ["a", "d", "e", "c"]);
  // It sleeps no more, and wakes for the next.
  add("f", 5);
  await clock.advance(5);
  add("g", 1e6);
  deadlines.close();
  assertEquals(late.slice(4), ["f", "g"]);
});
