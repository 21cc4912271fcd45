// What is written to an embedded log in one atomic commit of Deno KV.

import { assertEquals } from "@std/assert";
import { toKv } from "../../src/kv/mod.ts";
import { EmbeddedLog } from "../../src/log/mod.ts";
import { position, TestClock } from "./log_fixture.ts";

Deno.test("commits that have as many checks together as a write takes go one after the other", async () => {
  const log = await EmbeddedLog.open(toKv(await Deno.openKv(":memory:")), {
    topics: { transactions: 50, queries: 50 },
    inputs: ["transactions", "queries"],
    clock: new TestClock(),
    chance: () => 0.5,
  });
  const positions = Array.from({ length: 50 }, (_, partition) => ({ partition, ...position(0) }));
  const sessions = [await log.claim("transactions"), await log.claim("queries")];
  assertEquals(
    await Promise.all(sessions.map((session) => session.commit({ positions, outputs: [] }))),
    ["committed", "committed"],
  );
  await log.close();
});
