import { assertEquals, assertRejects } from "@std/assert";
import { NoRoomError } from "../../src/kv/mod.ts";
import { OffsetOutOfRangeError } from "../../src/log/mod.ts";
import { openLog, records, valuesOf } from "./log_fixture.ts";
import { FaultKv } from "../kv/fault_kv.ts";

Deno.test("retention removes whole batches by age", async () => {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  for (const [i, timestamp] of [10, 20, 15, 30].entries()) {
    await log.append("results", 0, records([`${i}a`, `${i}b`], timestamp));
  }
  assertEquals(await log.retain("results", 0, { before: 10, bytes: Infinity }, 100), 0);
  assertEquals(await log.retain("results", 0, { before: 16, bytes: Infinity }, 100), 2); // the third waits for the second
  assertEquals(await valuesOf(log, "results", 0), ["1a", "1b", "2a", "2b", "3a", "3b"]);
  await assertRejects(
    () => log.read("results", 0, 1, { maxBytes: 10, waitMs: 0 }),
    OffsetOutOfRangeError,
  );
  assertEquals(await log.retain("results", 0, { before: 31, bytes: Infinity }, 100), 8);
  assertEquals(await log.append("results", 0, records(["next"])), 8);
  const again = await openLog(new FaultKv(kv));
  assertEquals(again.bounds("results", 0), { start: 8, end: 9 });
  assertEquals(await valuesOf(again, "results", 0), ["next"]);
  kv.close();
});

Deno.test("retention by bytes removes the oldest batches, and keeps as many bytes as it may", async () => {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  const value = "x".repeat(1000);
  for (let i = 0; i < 6; i++) await log.append("results", 0, records([value], i));
  const look = (bytes: number, bound = 100) =>
    log.retain("results", 0, { before: -Infinity, bytes }, bound);
  assertEquals(await look(1_000_000), 0);
  assertEquals(await look(4000), 2); // a batch has 61 bytes more
  assertEquals(await look(4000), 2);
  for (let i = 6; i < 8; i++) await log.append("results", 0, records([value], i));
  assertEquals(await look(4000), 4);
  assertEquals(await look(0, 6), 6); // the bound of a checkpoint
  assertEquals((await valuesOf(log, "results", 0)).length, 2);
  // Another life counts what it finds.
  const again = await openLog(new FaultKv(kv));
  assertEquals(
    await again.retain("results", 0, { before: -Infinity, bytes: 1500 }, 100),
    6,
  );
  assertEquals(
    await again.retain("results", 0, { before: -Infinity, bytes: 1000 }, 100),
    7,
  );
  kv.close();
});

Deno.test("retention stops at the oldest checkpoint", async () => {
  const log = await openLog(await Deno.openKv(":memory:"));
  for (let i = 0; i < 5; i++) await log.append("transactions", 0, records([`${i}a`, `${i}b`], i));
  assertEquals(await log.retain("transactions", 0, { before: 1000, bytes: Infinity }, 5), 4);
  assertEquals(await valuesOf(log, "transactions", 0), ["2a", "2b", "3a", "3b", "4a", "4b"]);
  assertEquals(await log.retain("transactions", 0, { before: 1000, bytes: Infinity }, 5), 4);
  await log.close();
});

Deno.test("retention that is cut short removes the rest later and shows no half", async () => {
  const real = await Deno.openKv(":memory:");
  const kv = new FaultKv(real);
  const log = await openLog(kv);
  for (let i = 0; i < 4; i++) await log.append("results", 0, records([`${i}`], i));
  const start = kv.commits;
  kv.plan = (n) => n === start + 2 ? "dies before" : null;
  await assertRejects(() => log.retain("results", 0, { before: 3, bytes: Infinity }, 100));
  const again = await openLog(new FaultKv(real));
  assertEquals(await valuesOf(again, "results", 0), ["3"]);
  await again.append("results", 0, records(["4"], 9));
  assertEquals(await again.retain("results", 0, { before: 5, bytes: Infinity }, 100), 4);
  assertEquals((await Array.fromAsync(real.list({ prefix: ["batch", "results"] }))).length, 1);
  real.close();
});

Deno.test("a read that retention overtakes reports that the offset is gone, not what comes behind it", async () => {
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
      await log.retain("results", 0, { before: 3, bytes: Infinity }, 100); // meanwhile
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

Deno.test("a removal without room, or one that was cut short, changes nothing of what is counted", async () => {
  const real = await Deno.openKv(":memory:");
  const kv = new FaultKv(real);
  const log = await openLog(kv);
  const append = async (from: number, to: number) => {
    for (let i = from; i < to; i++) await log.append("results", 0, records(["x".repeat(1000)], i));
  };
  const look = () => log.retain("results", 0, { before: -Infinity, bytes: 4000 }, 100);
  await append(0, 6);
  kv.plan = () => "full";
  for (let i = 0; i < 3; i++) await assertRejects(look, NoRoomError);
  kv.plan = () => null;
  assertEquals(await look(), 2);
  await append(6, 8);
  const before = kv.commits;
  kv.plan = (n) => n === before + 2 ? "full" : null; // the start moves, the removal fails
  await assertRejects(look, NoRoomError);
  kv.plan = () => null;
  assertEquals(await look(), 4);
  assertEquals((await Array.fromAsync(real.list({ prefix: ["batch", "results"] }))).length, 4);
  await append(8, 10);
  assertEquals(await look(), 6);
  real.close();
});
