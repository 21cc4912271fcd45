import { assertEquals } from "@std/assert";
import { Conditions } from "../../src/engine/mod.ts";
import {
  type ConditionCalls,
  conditionMethods,
  remoteConditions,
} from "../../src/engine/threads/remote_conditions.ts";
import { systemClock } from "../../src/types/mod.ts";
import { capturingLogs } from "./captured_logs.ts";
import { channel } from "./channel.ts";
import { ManualClock } from "./manual_clock.ts";

Deno.test("Conditions log a line when something begins and one when it ends, and none between", () =>
  capturingLogs(async (logged) => {
    const clock = new ManualClock();
    const conditions = new Conditions(clock);
    conditions.set("disk", { reason: "3 MB are left", blocks: "writes" });
    conditions.set("disk", { reason: "2 MB are left", blocks: "writes" });
    await clock.advance(5000);
    assertEquals(conditions.list().map(({ what, reason }) => [what, reason]), [
      ["disk", "2 MB are left"],
    ]);
    conditions.clear("disk");
    conditions.clear("disk");
    conditions.clear("memory");
    assertEquals(conditions.list(), []);
    assertEquals(logged, [
      "warning disk: 3 MB are left; it blocks writes",
      "info disk: as it should be again, after 5 s",
    ]);
  }));

Deno.test("Conditions log a line when something comes to block more, whoever reports it", () =>
  capturingLogs((logged) => {
    const conditions = new Conditions(new ManualClock());
    conditions.set("memory", { reason: "80 % are taken", blocks: "nothing" }, "the job");
    conditions.set("memory", { reason: "transactions-0 stands still", blocks: "writes" }, "worker");
    conditions.set("memory", { reason: "transactions-1 stands still", blocks: "writes" }, "worker");
    conditions.set("memory", { reason: "90 % are taken", blocks: "nothing" }, "the job");
    assertEquals(logged, [
      "warning memory: 80 % are taken; it blocks nothing",
      "warning memory: transactions-0 stands still; it blocks writes",
    ]);
    return Promise.resolve();
  }));

Deno.test("Conditions are listed with those that block most first, and block what is below them too", () => {
  const conditions = new Conditions(new ManualClock());
  conditions.set("disk", { reason: "a", blocks: "nothing" });
  assertEquals(conditions.blocking("writes"), null);
  conditions.set("memory", { reason: "b", blocks: "writes" });
  assertEquals(conditions.blocking("writes")?.what, "memory");
  assertEquals(conditions.blocking("lookups"), null);
  conditions.set("topic", { reason: "c", blocks: "lookups" });
  assertEquals(conditions.list().map(({ what }) => what), ["topic", "memory", "disk"]);
  assertEquals(conditions.blocking("writes")?.what, "topic");
  assertEquals(conditions.blocking("lookups")?.what, "topic");
});

Deno.test("a condition that several parts report stands until all of them have cleared it", () => {
  const conditions = new Conditions(new ManualClock());
  const [first, second] = ["Worker 0", "Worker 1"].map((name) => conditions.reporter(name));
  first!.set("memory", { reason: "80 %", blocks: "nothing" });
  second!.set("memory", { reason: "100 %", blocks: "writes" });
  assertEquals(conditions.list().map(({ reason }) => reason), ["100 %"]);
  second!.clear("memory");
  assertEquals(conditions.list().map(({ reason }) => reason), ["80 %"]);
  second!.set("disk", { reason: "full", blocks: "writes" });
  conditions.clearAll("Worker 0");
  assertEquals(conditions.list().map(({ what }) => what), ["disk"]);
  assertEquals([...conditions.states()], [["memory", false], ["disk", true]]);
});

Deno.test("a thread's conditions arrive at the control plane", async () => {
  const conditions = new Conditions(new ManualClock());
  const { near } = channel<ConditionCalls>(conditionMethods(conditions.reporter("Worker 0")));
  const remote = remoteConditions(near);
  remote.set("memory", { reason: "full", blocks: "writes" });
  await systemClock.yield();
  assertEquals(conditions.blocking("writes")?.reason, "full");
  remote.clear("memory");
  await systemClock.yield();
  assertEquals(conditions.list(), []);
});
