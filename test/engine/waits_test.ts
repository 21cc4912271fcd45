import { assertEquals } from "@std/assert";
import { Conditions, WAIT_MS_MIN, Waits } from "../../src/engine/mod.ts";
import { ManualClock } from "./manual_clock.ts";

const facts = (reason: string) => ({ reason, blocks: "nothing" }) as const;

Deno.test("a wait is reported once it has lasted, under the name of its kind, until all of the kind are over", async () => {
  const clock = new ManualClock();
  const conditions = new Conditions(clock);
  const waits = new Waits(conditions, clock);
  const standing = () => conditions.list().map(({ what, reason }) => `${what}: ${reason}`);
  waits.failed("a", "input", facts("first"));
  assertEquals(standing(), []);
  await clock.advance(WAIT_MS_MIN - 1);
  waits.failed("a", "input", facts("again"));
  assertEquals(standing(), []);
  await clock.advance(1);
  waits.failed("a", "input", facts("still"));
  assertEquals(standing(), ["input: still"]);
  waits.failed("b", "input", facts("of another"));
  await clock.advance(WAIT_MS_MIN);
  waits.failed("b", "input", facts("of another"));
  waits.over("a");
  assertEquals(standing(), ["input: of another"]);
  waits.over("b");
  assertEquals(standing(), []);
  // What was over begins anew.
  waits.failed("a", "input", facts("much later"));
  assertEquals(standing(), []);
});

Deno.test("nothing stands once all waits are over", async () => {
  const clock = new ManualClock();
  const conditions = new Conditions(clock);
  const waits = new Waits(conditions, clock);
  for (const key of ["a", "b"]) waits.failed(key, key, facts("x"));
  await clock.advance(WAIT_MS_MIN);
  for (const key of ["a", "b"]) waits.failed(key, key, facts("x"));
  assertEquals(conditions.list().length, 2);
  waits.allOver();
  assertEquals(conditions.list(), []);
});
