import { assert, assertEquals, assertRejects } from "@std/assert";
import { LostError, StopError } from "../../src/log/mod.ts";
import { kvMethods, RemoteKv } from "../../src/engine/threads/remote_kv.ts";
import { logMethods, RemoteLog } from "../../src/engine/threads/remote_log.ts";
import { toKv } from "../../src/kv/mod.ts";
import { channel } from "./channel.ts";
import { batch, openLog, position, records, TOPICS, valuesOf } from "../log/log_fixture.ts";

async function remoteLog() {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  const { near } = channel(logMethods(log));
  const remote = new RemoteLog(near, {
    id: log.id,
    restoredFrom: null,
    partitions: TOPICS,
    generator: null,
  });
  return { kv, log, remote, near };
}

Deno.test("a log in another thread is claimed, read and committed as one in this thread", async () => {
  const { kv, log, remote } = await remoteLog();
  await log.append("transactions", 1, records(["a", "b"]));
  const session = await remote.claim("transactions", [1]);
  assertEquals(session.partitions[0]!.logEnd, 2);
  for (let again = 0; again < 2; again++) {
    const { batches } = await session.read(1, 0, { maxBytes: 1000, waitMs: 0 });
    assertEquals(batches.length, 1); // a batch that was moved away once is still there
  }
  const outputs = [{ topic: "results", partition: 1, batches: [batch(["r"])] }];
  const positions = [{ partition: 1, ...position(2) }];
  assertEquals(await session.commit({ positions, outputs }), "committed");
  assertEquals(await valuesOf(log, "results", 1), ["r"]);
  assertEquals(outputs[0]!.batches[0]!.length, 0); // moved, not copied
  await remote.claim("transactions", [1]);
  assertEquals(await session.commit({ positions, outputs: [] }), "lost");
  kv.close();
});

Deno.test("a read in another thread ends when its signal is aborted", async () => {
  const { kv, remote } = await remoteLog();
  const session = await remote.claim("transactions", [0]);
  const stop = new AbortController();
  const read = session.read(0, 0, { maxBytes: 1, waitMs: 1e9, signal: stop.signal });
  stop.abort();
  assertEquals((await read).batches, []);
  kv.close();
});

Deno.test("whoever waits is told when the other side is gone, and errors keep their kind", async () => {
  let told = 0;
  const { near, far } = channel({
    never: () => new Promise(() => {}),
    told: () => told++,
    stop: () => {
      throw new StopError("It cannot go on", "help it");
    },
    lost: () => {
      throw new LostError("It is lost");
    },
  });
  const stopped = await assertRejects(() => near.call("stop", []), StopError, "It cannot go on");
  assertEquals((stopped as StopError).remedy, "help it");
  await near.call("told", []);
  await assertRejects(() => near.call("lost", []), LostError, "It is lost");
  await assertRejects(() => near.call("nothing", []), Error, "There is no method nothing");
  const waiting = near.call("never", []);
  near.close("gone");
  await assertRejects(() => waiting, LostError, "gone");
  await assertRejects(() => near.call("never", []), LostError, "gone");
  far.close("gone");
  far.receive([{ kind: "call", id: 0, method: "told", args: [] }]);
  assertEquals(told, 1, "what comes after the end is not heard");
});

Deno.test("a KV in another thread answers as one in this thread", async () => {
  const kv = await Deno.openKv(":memory:");
  const { near } = channel(kvMethods(toKv(kv)));
  const remote = new RemoteKv(near);
  for (let i = 0; i < 50; i++) await kv.set(["n", i], i);
  assertEquals((await remote.get(["n", 7])).value, 7);
  assertEquals((await remote.getMany([["n", 1], ["n", 99]])).map((e) => e.value), [1, null]);
  const selectors: [Deno.KvListSelector, Deno.KvListOptions][] = [
    [{ prefix: ["n"] }, {}],
    [{ prefix: ["n"] }, { reverse: true }],
    [{ prefix: ["n"], start: ["n", 10] }, { limit: 20 }],
    [{ start: ["n", 5], end: ["n", 6] }, {}],
    [{ prefix: ["m"] }, {}],
  ];
  for (const [selector, options] of selectors) {
    assertEquals(
      await Array.fromAsync(remote.list(selector, options)),
      await Array.fromAsync(kv.list(selector, options)),
    );
  }
  assertEquals((await Array.fromAsync(remote.listKeys({ prefix: ["n"] }))).length, 50);
  const { versionstamp } = await kv.get(["n", 1]);
  const write = (stamp: string | null) =>
    remote.atomic().check({ key: ["n", 1], versionstamp: stamp }).set(["n", 1], "new")
      .delete(["n", 2]).commit();
  assertEquals((await write(null)).ok, false);
  assert((await write(versionstamp)).ok);
  assertEquals([(await kv.get(["n", 1])).value, (await kv.get(["n", 2])).value], ["new", null]);
  kv.close();
});

Deno.test("messages that are sent together leave as one, in their order; one that cannot be cloned is refused alone", async () => {
  const posted: number[] = [];
  const { near, far } = channel({
    double: ([n]) => 2 * n,
    odd: () => () => "a function cannot be cloned",
  }, (messages) => posted.push(messages.length));
  const calls = [1, 2, 3].map((n) => near.call<number>("double", [n]));
  assertEquals(await Promise.all(calls), [2, 4, 6]);
  // Three calls, three answers.
  assertEquals(posted, [3, 3]);
  const heard: unknown[] = [];
  const { near: teller } = channel({ hear: ([what]) => heard.push(what) });
  for (let n = 0; n < 5; n++) teller.notify("hear", [n]);
  assertEquals(await teller.call("hear", ["last"]), 6);
  assertEquals(heard, [0, 1, 2, 3, 4, "last"]);
  const [answer, refused, unsent] = await Promise.allSettled([
    near.call<number>("double", [4]),
    near.call("odd", []),
    near.call("double", [() => 1]),
  ]);
  assertEquals(answer, { status: "fulfilled", value: 8 });
  assertEquals([refused.status, unsent.status], ["rejected", "rejected"]);
  near.close("over");
  far.close("over");
});
