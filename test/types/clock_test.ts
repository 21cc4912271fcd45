import { assertEquals, assertMatch } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { randomId, retry, systemChance, systemClock } from "../../src/types/mod.ts";

Deno.test("sleep ends after its time, or as soon as its signal is aborted", async () => {
  using time = new FakeTime(1000);
  const woken: string[] = [];
  const controller = new AbortController();
  void systemClock.sleep(50).then(() => woken.push("time"));
  void systemClock.sleep(1e9, controller.signal).then(() => woken.push("signal"));
  await time.tickAsync(49);
  assertEquals(woken, []);
  await time.tickAsync(1);
  assertEquals(woken, ["time"]);
  controller.abort();
  await time.tickAsync(0);
  assertEquals(woken, ["time", "signal"]);
  await systemClock.sleep(1e9, controller.signal); // aborted already
  assertEquals(systemClock.now(), 1050);
});

Deno.test("retry waits longer from call to call, and throws the last error", async () => {
  using time = new FakeTime(0);
  const calls: number[] = [];
  const result = retry(() => {
    calls.push(time.now);
    return Promise.reject(new Error(`call ${calls.length}`));
  }, { clock: systemClock, chance: () => 0.5, attempts: 4, backOffMs: 10 }).catch((e) => e.message);
  await time.tickAsync(1000);
  assertEquals(calls, [0, 10, 30, 70]);
  assertEquals(await result, "call 4");
});

Deno.test("randomId is a UUID of version 4 that chance alone decides", () => {
  const v4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  for (const chance of [systemChance, () => 0, () => 0.999]) assertMatch(randomId(chance), v4);
  assertEquals(randomId(() => 0), "00000000-0000-4000-8000-000000000000");
  const ids = new Set(Array.from({ length: 1000 }, () => randomId(systemChance)));
  assertEquals(ids.size, 1000);
});
