import { assertEquals } from "@std/assert";
import { TimeShares } from "../../src/engine/time_shares.ts";
import { ManualClock } from "./manual_clock.ts";

Deno.test("TimeShares counts a wait that lasts from its beginning, and once", async () => {
  const clock = new ManualClock();
  const shares = new TimeShares(clock);
  const waiting = shares.measure("backPressured", () => clock.sleep(60_000));
  await clock.advance(1000);
  assertEquals(shares.recent(), { busy: 0, idle: 0, backPressured: 1 });
  await clock.advance(59_000);
  await waiting;
  const idle = shares.measure("idle", () => clock.sleep(59_500));
  await clock.advance(59_500);
  await idle;
  // Half of the first second, and what came behind it.
  assertEquals(shares.recent(), { busy: 0, idle: 0.5, backPressured: 0.5 });
});
