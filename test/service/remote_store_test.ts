import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { isRemoteKv, openKvInMemory, withinKv } from "../../src/kv/mod.ts";
import { checkRemoteStore, groupStore } from "../../src/service/remote_store.ts";
import { LostError, StopError } from "../../src/log/mod.ts";
import { Parameters } from "../../src/parameters/mod.ts";
import { FaultKv } from "../kv/fault_kv.ts";

Deno.test("two parts of a KV do not see each other, and each sees its keys as it wrote them", async () => {
  const kv = await openKvInMemory();
  const [a, b] = ["a", "b"].map((name) => withinKv(kv, ["stockflow", name])) as [
    typeof kv,
    typeof kv,
  ];
  for (let n = 0; n < 5; n++) await a.atomic().set(["x", n], `a${n}`).commit();
  await b.atomic().set(["x", 7], "b7").commit();
  assertEquals((await a.get(["x", 1])).value, "a1");
  assertEquals((await a.get(["x", 1])).key, ["x", 1]);
  assertEquals((await b.get(["x", 1])).value, null);
  const many = await a.getMany([["x", 2], ["x", 7]]);
  assertEquals(many.map(({ key, value }) => [key, value]), [[["x", 2], "a2"], [["x", 7], null]]);
  const newest = a.list<string>({ prefix: ["x"] }, { reverse: true, limit: 2 });
  const found: unknown[] = [];
  for await (const { key, value } of newest) found.push([key, value]);
  assertEquals(found, [[["x", 4], "a4"], [["x", 3], "a3"]]);
  // What comes behind goes on there.
  const { cursor } = newest;
  const rest = a.list<string>({ prefix: ["x"] }, { reverse: true, cursor });
  assertEquals((await Array.fromAsync(rest)).map(({ value }) => value), ["a2", "a1", "a0"]);
  const range = a.list<string>({ start: ["x", 1], end: ["x", 3] });
  assertEquals((await Array.fromAsync(range)).map(({ value }) => value), ["a1", "a2"]);
  assertEquals(await Array.fromAsync(b.listKeys({ prefix: [] })), [["x", 7]]);
  const { versionstamp } = await a.get(["x", 0]);
  const check = { key: ["x", 0], versionstamp };
  assertEquals((await b.atomic().check(check).set(["y"], 1).commit()).ok, false);
  assertEquals((await a.atomic().check(check).delete(["x", 0]).commit()).ok, true);
  assertEquals((await a.get(["x", 0])).value, null);
  kv.close();
});

Deno.test("whatever the store of a group does not answer is a loss, which is recovered from without end", async () => {
  const kv = await Deno.openKv(":memory:");
  const store = groupStore(new FaultKv(kv, () => "fails"), "group");
  const lost = [LostError, "The store of checkpoints: "] as const;
  await assertRejects(() => store.atomic().set(["x"], 1).commit(), ...lost);
  kv.close();
  await assertRejects(() => store.get(["x"]), ...lost);
  await assertRejects(() => Array.fromAsync(store.list({ prefix: [] })), ...lost);
  await assertRejects(() => Array.fromAsync(store.listKeys({ prefix: [] })), ...lost);
});

Deno.test("a store on another machine is for processes that share partitions alone", () => {
  assertEquals(["http://kv:4512", "https://kv", "data/state.kv"].map(isRemoteKv), [
    true,
    true,
    false,
  ]);
  const url = "http://kv:4512";
  const check = (log: "kafka" | "embedded", flags: Record<string, string>) =>
    checkRemoteStore(Parameters.of({ "state.kv": url, ...flags }), { log });
  check("kafka", { "kafka.partitions.shared": "true" });
  check("embedded", { "state.kv": "data/state.kv" });
  const refused = "is a store for processes that share partitions";
  assertThrows(() => check("kafka", {}), StopError, refused);
  assertThrows(() => check("embedded", { "kafka.partitions.shared": "true" }), StopError, refused);
});
