import { assertEquals, assertRejects } from "@std/assert";
import { OffsetOutOfRangeError } from "../../src/log/mod.ts";
import { openLog, records, valuesOf } from "./log_fixture.ts";
import { FaultKv } from "./fault_kv.ts";

Deno.test("retention removes whole batches by age", async () => {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  for (const [i, timestamp] of [10, 20, 15, 30].entries()) {
    await log.append("results", 0, records([`${i}a`, `${i}b`], timestamp));
  }
  assertEquals(await log.retain("results", 0, 10, 100), 0);
  assertEquals(await log.retain("results", 0, 16, 100), 2); // the third waits for the second
  assertEquals(await valuesOf(log, "results", 0), ["1a", "1b", "2a", "2b", "3a", "3b"]);
  await assertRejects(
    () => log.read("results", 0, 1, { maxBytes: 10, waitMs: 0 }),
    OffsetOutOfRangeError,
  );
  assertEquals(await log.retain("results", 0, 31, 100), 8);
  assertEquals(await log.append("results", 0, records(["next"])), 8);
  const again = await openLog(new FaultKv(kv));
  assertEquals(again.bounds("results", 0), { start: 8, end: 9 });
  assertEquals(await valuesOf(again, "results", 0), ["next"]);
  kv.close();
});

Deno.test("retention stops at the oldest checkpoint", async () => {
  const log = await openLog(await Deno.openKv(":memory:"));
  for (let i = 0; i < 5; i++) await log.append("transactions", 0, records([`${i}a`, `${i}b`], i));
  assertEquals(await log.retain("transactions", 0, 1000, 5), 4);
  assertEquals(await valuesOf(log, "transactions", 0), ["2a", "2b", "3a", "3b", "4a", "4b"]);
  assertEquals(await log.retain("transactions", 0, 1000, 5), 4);
  await log.close();
});

Deno.test("retention that is cut short removes the rest later and shows no half", async () => {
  const real = await Deno.openKv(":memory:");
  const kv = new FaultKv(real);
  const log = await openLog(kv);
  for (let i = 0; i < 4; i++) await log.append("results", 0, records([`${i}`], i));
  const start = kv.commits;
  kv.plan = (n) => n === start + 2 ? "dies before" : null;
  await assertRejects(() => log.retain("results", 0, 3, 100));
  const again = await openLog(new FaultKv(real));
  assertEquals(await valuesOf(again, "results", 0), ["3"]);
  await again.append("results", 0, records(["4"], 9));
  assertEquals(await again.retain("results", 0, 5, 100), 4);
  assertEquals((await Array.fromAsync(real.list({ prefix: ["batch", "results"] }))).length, 1);
  real.close();
});

Deno.test("a read that retention overtakes tells that the offset is gone, not what comes behind it", async () => {
  const kv = new FaultKv(await Deno.openKv(":memory:"));
  // More than is kept in memory, so that it is read from the KV.
  const log = await openLog(kv);
  const value = "x".repeat(60_000);
  for (let i = 0; i < 90; i++) await log.append("results", 0, records([value], i));
  const list = kv.list;
  kv.list = ((selector, options) => {
    const entries = list(selector, options);
    const next = entries.next.bind(entries);
    if (!("start" in selector)) return entries;
    kv.list = list;
    entries.next = async () => {
      entries.next = next;
      await log.retain("results", 0, 3, 100); // meanwhile
      return await next();
    };
    return entries;
  }) as typeof kv.list;
  await assertRejects(
    () => log.read("results", 0, 1, { maxBytes: 10, waitMs: 0 }),
    OffsetOutOfRangeError,
    "Offset 1 of results-0 is outside 3..90",
  );
});
