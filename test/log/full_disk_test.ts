import { assertEquals, assertRejects } from "@std/assert";
import { NoRoomError } from "../../src/kv/mod.ts";
import { FaultKv } from "../kv/fault_kv.ts";
import { batch, openLog, position, records, valuesOf } from "./log_fixture.ts";

Deno.test("a claim whose log cannot be read anew, because the disk is full, is answered, and waits for room", async () => {
  const kv = new FaultKv(await Deno.openKv(":memory:"));
  const log = await openLog(kv);
  const session = await log.claim("transactions", [0]);
  // More than one atomic commit takes: what is staged stays above the end, and has to be removed first.
  const outputs = [{
    topic: "results",
    partition: 0,
    batches: Array.from({ length: 20 }, () => batch(["x".repeat(50_000)])),
  }];
  const commit = { positions: [{ partition: 0, ...position(0) }], outputs };
  const start = kv.commits;
  kv.plan = (n) => n > start + 1 ? "full" : null;
  assertEquals(await session.commit(commit), "lost");
  await assertRejects(() => log.claim("transactions", [0]), NoRoomError, "is full");
  await assertRejects(() => log.append("transactions", 0, records(["a"])), NoRoomError);
  const claimed = log.claim("transactions", [0], new AbortController().signal);
  const tries = kv.commits;
  while (kv.commits < tries + 3) await new Promise((resolve) => setTimeout(resolve, 0));
  kv.plan = () => null;
  const next = await claimed;
  assertEquals(await next.commit(commit), "committed");
  assertEquals(log.bounds("results", 0).end, 20);
  await log.close();
});

Deno.test("a commit that the disk has no room for is tried again until there is, or its signal is aborted", async () => {
  const kv = new FaultKv(await Deno.openKv(":memory:"));
  const log = await openLog(kv);
  const session = await log.claim("transactions", [0]);
  const outputs = [{ topic: "results", partition: 0, batches: [batch(["r"])] }];
  const commit = { positions: [{ partition: 0, ...position(3) }], outputs };
  kv.plan = () => "full";
  assertEquals(await session.commit(commit), "lost");
  const given = new AbortController();
  const lost = session.commit(commit, given.signal);
  const patient = new AbortController();
  const committed = session.commit(commit, patient.signal);
  const tries = kv.commits;
  while (kv.commits < tries + 4) await new Promise((resolve) => setTimeout(resolve, 0));
  given.abort("over");
  assertEquals(await lost, "lost");
  kv.plan = () => null;
  assertEquals(await committed, "committed");
  assertEquals(await valuesOf(log, "results", 0), ["r"]);
  await log.close();
});
