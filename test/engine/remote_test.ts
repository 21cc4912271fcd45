import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type ClaimedPartition,
  type CommitOutcome,
  DamagedBatchError,
  ForwardingLog,
  type Log,
  LostError,
  OffsetOutOfRangeError,
  outcomesOf,
  RefusedError,
  StandByError,
  StopError,
  type TopicOutput,
  UnavailableError,
} from "../../src/log/mod.ts";
import { OtherSessions } from "../log/log_doubles.ts";
import { type KvCalls, kvMethods, RemoteKv } from "../../src/engine/threads/remote_kv.ts";
import { type LogCalls, RemoteLog, ServedLog } from "../../src/engine/threads/remote_log.ts";
import { toKv } from "../../src/kv/mod.ts";
import { channel } from "./channel.ts";
import { batch, openLog, position, records, TOPICS, valuesOf } from "../log/log_fixture.ts";

async function remoteLog(wrap: (log: Log) => Log = (log) => log) {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  const served = new ServedLog(wrap(log));
  const { near } = channel<LogCalls>(served.methods);
  const remote = new RemoteLog(near, {
    id: log.id,
    topicId: "topic",
    restoredFrom: null,
    partitions: TOPICS,
    generator: null,
    outcomes: true,
  });
  return { kv, log, remote, near, served };
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

Deno.test("whoever waits is notified when the other side is gone, and errors keep their kind", async () => {
  let reported = 0;
  interface Calls {
    never(): void;
    reported(): number;
    stop(): void;
    lost(): void;
    nothing(): void;
  }
  const { near, far } = channel<Calls>({
    never: () => new Promise(() => {}),
    reported: () => reported++,
    stop: () => {
      throw new StopError("It cannot go on", "help it");
    },
    lost: () => {
      throw new LostError("It is lost");
    },
  });
  const stopped = await assertRejects(() => near.call("stop", []), StopError, "It cannot go on");
  assertEquals((stopped as StopError).remedy, "help it");
  await near.call("reported", []);
  await assertRejects(() => near.call("lost", []), LostError, "It is lost");
  await assertRejects(() => near.call("nothing", []), Error, "There is no method nothing");
  const waiting = near.call("never", []);
  near.close("gone");
  await assertRejects(() => waiting, LostError, "gone");
  await assertRejects(() => near.call("never", []), LostError, "gone");
  far.close("gone");
  far.receive([{ kind: "call", id: 0, method: "reported", args: [] }]);
  assertEquals(reported, 1, "what comes after the end is not heard");
});

Deno.test("a KV in another thread answers as one in this thread", async () => {
  const kv = await Deno.openKv(":memory:");
  const { near } = channel<KvCalls>(kvMethods(toKv(kv)));
  const remote = new RemoteKv(near);
  for (let i = 0; i < 50; i++) await kv.set(["n", i], i);
  assertEquals((await remote.get(["n", 7])).value, 7);
  assertEquals((await remote.getMany([["n", 1], ["n", 99]])).map((e) => e.value), [1, null]);
  const bytes = Array.from({ length: 250 }, (_, i) => new Uint8Array([i, 1]));
  for (const key of bytes) await kv.set(["b", key], key[0]);
  for (const some of [bytes, bytes.slice(240), bytes.slice(3, 40).toReversed()]) {
    const wanted = [...some, new Uint8Array([7, 7])];
    const expected = [...some.map((key) => key[0]), null];
    assertEquals(await remote.readBelow(["b"], wanted), expected);
  }
  assertEquals(await remote.readBelow(["none"], [bytes[0]!]), [null]);
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
  interface Calls {
    double(n: unknown): number;
    odd(): unknown;
  }
  const { near, far } = channel<Calls>({
    double: ([n]) => 2 * (n as number),
    odd: () => () => "a function cannot be cloned",
  }, (messages) => posted.push(messages.length));
  const calls = [1, 2, 3].map((n) => near.call("double", [n]));
  assertEquals(await Promise.all(calls), [2, 4, 6]);
  // Three calls, three answers.
  assertEquals(posted, [3, 3]);
  const heard: unknown[] = [];
  const { near: teller } = channel<{ hear(what: unknown): number }>({
    hear: ([what]) => heard.push(what),
  });
  for (let n = 0; n < 5; n++) teller.notify("hear", [n]);
  assertEquals(await teller.call("hear", ["last"]), 6);
  assertEquals(heard, [0, 1, 2, 3, 4, "last"]);
  const [answer, refused, unsent] = await Promise.allSettled([
    near.call("double", [4]),
    near.call("odd", []),
    near.call("double", [() => 1]),
  ]);
  assertEquals(answer, { status: "fulfilled", value: 8 });
  assertEquals([refused.status, unsent.status], ["rejected", "rejected"]);
  near.close("over");
  far.close("over");
});

Deno.test("errors that are distinguished cross to another thread with all that they say", async () => {
  const errors = [
    new DamagedBatchError("t-0 at 5", "It is damaged", "restore it"),
    new OffsetOutOfRangeError("t", 0, 5, 7, 9),
    new RefusedError("no"),
    new StandByError("host:1"),
    new UnavailableError("not now"),
  ];
  const { near, far } = channel<{ fail(n: number): void }>({
    fail: ([n]) => Promise.reject(errors[n]),
  });
  for (const [n, error] of errors.entries()) {
    const came: Error = await near.call("fail", [n]).then(() => new Error(), (e) => e);
    assert(came instanceof error.constructor, error.name);
    assertEquals([came.name, came.message, { ...came }], [error.name, error.message, { ...error }]);
  }
  near.close("over");
  far.close("over");
});

/** A log whose sessions have all that some logs have. */
function rich(log: Log, seen: string[], ending: AbortSignal): Log {
  const claimed = (partition: number): ClaimedPartition => ({
    partition,
    committed: position(partition),
    logStart: 0,
    logEnd: partition,
  });
  return new OtherSessions(log, () => ({
    partitions: [claimed(0)],
    offline: new Map([[1, "no leader"]]),
    producer: { id: 7n, epoch: 3 },
    ending,
    ahead: {
      write: (outputs: readonly TopicOutput[]) => {
        seen.push(`write ${outputs[0]!.batches[0]!.length > 0}`);
        return Promise.resolve();
      },
    },
    add: (partitions) => {
      seen.push(`add ${partitions}`);
      return Promise.resolve(partitions.map(claimed));
    },
    remove: (partitions) => void seen.push(`remove ${partitions}`),
    read: () => Promise.resolve({ batches: [], endOffset: 0, watermark: 5n }),
    commit: (): Promise<CommitOutcome> => Promise.resolve("committed"),
    nextSequence: (topic, partition) => Promise.resolve(topic.length + partition),
    endOf: (partition) => 40 + partition,
    close: () => void seen.push("close"),
  }));
}

Deno.test("a session in another thread has all that the log's session has", async () => {
  const seen: string[] = [];
  const ending = new AbortController();
  const { kv, remote, near, served } = await remoteLog((log) => rich(log, seen, ending.signal));
  assertEquals(remote.topicId, "topic");
  const session = await remote.claim("transactions", [0, 1], undefined, 1);
  assertEquals(session.partitions.map((p) => p.partition), [0]);
  assertEquals([...session.offline], [[1, "no leader"]]);
  assertEquals(session.producer, { id: 7n, epoch: 3 });
  assertEquals((await session.add([2])).map((p) => p.partition), [2]);
  assertEquals(session.partitions.map((p) => p.partition), [0, 2]);
  session.remove([2]);
  assertEquals(session.partitions.map((p) => p.partition), [0]);
  assertEquals(await session.nextSequence("out", 4), 7);
  assertEquals(session.endOf(0), null, "nothing was read yet");
  assertEquals((await session.read(0, 0, { maxBytes: 1, waitMs: 0 })).watermark, 5n);
  assertEquals(session.endOf(0), 40);
  await session.ahead!.write([{ topic: "results", partition: 0, batches: [batch(["r"])] }]);
  assertEquals(session.ending.aborted, false);
  ending.abort();
  await near.call("nextSequence", [1, "", 0]);
  assertEquals(session.ending.aborted, true);
  assertEquals(served.open, 1);
  session.close();
  session.close();
  await assertRejects(() => session.nextSequence("out", 0), LostError, "The session was closed");
  assertEquals(served.open, 0);
  assertEquals(seen, ["add 2", "remove 2", "write true", "close"]);
  kv.close();
});

Deno.test("the sessions of a thread are closed when it ends, also one whose claim was on its way", async () => {
  const seen: string[] = [];
  const { kv, remote, served } = await remoteLog((log) =>
    rich(log, seen, new AbortController().signal)
  );
  await remote.claim("transactions", [0]);
  await remote.claim("transactions", [0]);
  const late = remote.claim("transactions", [0]);
  await Promise.resolve();
  assertEquals(served.open, 2);
  served.close();
  await late.catch(() => {});
  assertEquals([served.open, seen], [0, ["close", "close", "close"]]);
  kv.close();
});

Deno.test("outcomes that are folded in another thread reach whoever appended", async () => {
  const { kv, log, remote } = await remoteLog();
  const given = Promise.withResolvers<[number, number, number[]]>();
  log.onOutcomes = (...[partition, first, outcomes]) =>
    given.resolve([partition, first, [...outcomes]]);
  remote.onOutcomes!(1, 7, new Uint8Array([1, 2]));
  assertEquals(await given.promise, [1, 7, [1, 2]]);
  // Over another log they do not go past it: nobody is asked there.
  const wrapped = await remoteLog((own) => new ForwardingLog(own));
  assertEquals(outcomesOf(wrapped.served.log), null);
  for (const each of [kv, wrapped.kv]) each.close();
});
