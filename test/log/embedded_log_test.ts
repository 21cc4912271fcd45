import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { EmbeddedLog, LogFormatError, OffsetOutOfRangeError } from "../../src/log/mod.ts";
import { BrokenPromiseError, decodeBatch } from "../../src/types/mod.ts";
import {
  batch,
  FOREVER,
  openLog,
  position,
  records,
  TestClock,
  TOPICS,
  valuesOf,
} from "./log_fixture.ts";
import { FaultKv } from "../kv/fault_kv.ts";

const READ = { maxBytes: 1_000_000, waitMs: 0 };

Deno.test("append gives offsets in order, and read finds every record from any offset", async () => {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  const values = Array.from({ length: 500 }, (_, i) => `value ${i}`);
  assertEquals(await log.append("transactions", 0, records(values.slice(0, 200))), 0);
  assertEquals(await log.append("transactions", 0, records(values.slice(200))), 200);
  assertEquals(await log.append("transactions", 1, records(["other"])), 0);
  assertEquals(await valuesOf(log, "transactions", 0), values);
  // Both out of memory and out of the KV.
  const again = await openLog(kv);
  for (const reader of [log, again]) {
    for (const offset of [0, 1, 199, 200, 499]) {
      const { batches, endOffset } = await reader.read("transactions", 0, offset, READ);
      const offsets = batches.flatMap((b) => decodeBatch(b)).map((r) => r.offset);
      assert(offsets[0]! <= offset && offsets.at(-1) === 499, `${offset}`);
      assertEquals(endOffset, 500);
    }
  }
  assertEquals(again.id, log.id);
  assertEquals(await valuesOf(again, "transactions", 0), values);
  await log.close();
});

Deno.test("appends that wait together share a commit and a batch", async () => {
  const kv = new FaultKv(await Deno.openKv(":memory:"));
  const log = await openLog(kv);
  const before = kv.commits;
  const bases = await Promise.all(
    Array.from({ length: 100 }, (_, i) => log.append("transactions", i % 2, records([`${i}`]))),
  );
  assertEquals(kv.commits - before, 1);
  assertEquals(bases, Array.from({ length: 100 }, (_, i) => Math.floor(i / 2)));
  const { batches } = await log.read("transactions", 0, 0, READ);
  assertEquals(batches.length, 1);
  kv.kv.close();
});

Deno.test("records are split into batches that fit into a value, and a larger one is refused", async () => {
  const log = await openLog(await Deno.openKv(":memory:"));
  const large = "x".repeat(40_000);
  await log.append("transactions", 0, records(Array.from({ length: 60 }, () => large)));
  assertEquals((await valuesOf(log, "transactions", 0)).length, 60);
  const { batches } = await log.read("transactions", 0, 0, { maxBytes: 1, waitMs: 0 });
  assertEquals(batches.length, 1);
  const error = await assertRejects(async () =>
    await log.append("transactions", 0, records(["x".repeat(65_000)]))
  );
  assertEquals(error.message, "A record of the embedded log has at most 64,000 bytes: 65032");
  await log.close();
});

Deno.test("read waits for more, until the time is over or the signal is aborted", async () => {
  const log = await openLog(await Deno.openKv(":memory:"));
  const waiting = log.read("transactions", 0, 0, {
    maxBytes: 1000,
    waitMs: FOREVER,
    signal: new AbortController().signal,
  });
  const clock = new TestClock();
  await clock.yield();
  await log.append("transactions", 0, records(["a"]));
  assertEquals((await waiting).endOffset, 1);
  assertEquals((await log.read("transactions", 0, 1, { maxBytes: 1000, waitMs: 5 })).batches, []);
  const controller = new AbortController();
  const aborted = log.read("transactions", 0, 1, {
    maxBytes: 1000,
    waitMs: FOREVER,
    signal: controller.signal,
  });
  controller.abort();
  assertEquals((await aborted).batches, []);
  await log.close();
});

Deno.test("read stops at the end of the topic", async () => {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  await log.append("transactions", 0, records(["a"]));
  await kv.set(["batch", "transactions", 0, 1], batch(["above the end"]));
  const again = await openLog(new FaultKv(kv, () => null));
  await kv.set(["batch", "transactions", 0, 1], batch(["above the end"]));
  for (const reader of [log, again]) {
    assertEquals(await valuesOf(reader, "transactions", 0), ["a"]);
    await assertRejects(
      () => reader.read("transactions", 0, 2, READ),
      OffsetOutOfRangeError,
      "Offset 2 of transactions-0 is outside 0..1",
    );
  }
  kv.close();
});

Deno.test("claim answers what the last commit left", async () => {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  await log.append("transactions", 0, records(["a", "b"]));
  const first = await log.claim("transactions");
  assertEquals(first.partitions.map((p) => [p.committed.offset, p.logStart, p.logEnd]), [
    [0, 0, 2],
    [0, 0, 0],
  ]);
  assertEquals(
    await first.commit({ positions: [{ partition: 0, ...position(1, 77n) }], outputs: [] }),
    "committed",
  );
  const again = await (await openLog(new FaultKv(kv))).claim("transactions");
  assertEquals(again.partitions[0]!.committed, {
    offset: 1,
    watermark: 77n,
    start: 0,
    parametersHash: "p",
    secret: null,
    raisedAt: null,
  });
  assertEquals(again.partitions[1]!.committed.offset, 0);
  kv.close();
});

Deno.test("commit of an earlier claim is lost", async () => {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  const zombie = await log.claim("transactions");
  const other = await log.claim("queries");
  const successor = await log.claim("transactions", [1]);
  const commit = (offset: number) => ({
    positions: [{ partition: 1, ...position(offset) }],
    outputs: [{ topic: "results", partition: 1, batches: [batch(["r"])] }],
  });
  // In one group with others, which are not affected.
  const outcomes = await Promise.all([
    zombie.commit(commit(5)),
    successor.commit(commit(1)),
    log.append("transactions", 0, records(["a"])),
  ]);
  assertEquals(outcomes, ["lost", "committed", 0]);
  assertEquals(await valuesOf(log, "results", 1), ["r"]);
  assertEquals((await log.claim("transactions")).partitions[1]!.committed.offset, 1);
  assertEquals(
    await other.commit({ positions: [{ partition: 0, ...position(3) }], outputs: [] }),
    "committed",
  );
  kv.close();
});

Deno.test("a claim's end of the log is not below what was committed, whatever is under way", async () => {
  const kv = new FaultKv(await Deno.openKv(":memory:"));
  const log = await openLog(kv);
  const earlier = await log.claim("transactions");
  const [{ partitions: [claimed] }] = await Promise.all([
    log.claim("transactions", [0]),
    log.append("transactions", 0, records(["a"])),
    earlier.commit({ positions: [{ partition: 0, ...position(1) }], outputs: [] }),
  ]);
  const { committed, logEnd } = claimed!;
  assert(committed.offset <= logEnd, `committed ${committed.offset}, end ${logEnd}`);
  kv.kv.close();
});

Deno.test("claim removes leftovers above the end", async () => {
  const kv = await Deno.openKv(":memory:");
  await openLog(kv);
  await kv.set(["batch", "results", 0, 0], batch(["left over"]));
  await kv.set(["batch", "results", 0, 7], batch(["left over"]));
  const log = await openLog(new FaultKv(kv));
  await log.claim("transactions");
  const left = await Array.fromAsync(kv.list({ prefix: ["batch"] }));
  assertEquals(left, []);
  kv.close();
});

Deno.test("a commit too large for one write becomes visible at once", async () => {
  const kv = new FaultKv(await Deno.openKv(":memory:"));
  const log = await openLog(kv);
  const session = await log.claim("transactions");
  const batches = Array.from({ length: 40 }, (_, i) => batch([`${i} ` + "x".repeat(60_000)]));
  const before = kv.commits;
  const seen: number[] = [];
  kv.plan = () => {
    seen.push(log.bounds("results", 0).end);
    return null;
  };
  assertEquals(
    await session.commit({
      positions: [{ partition: 0, ...position(40) }],
      outputs: [{ topic: "results", partition: 0, batches }],
    }),
    "committed",
  );
  assert(kv.commits - before >= 4);
  assertEquals(new Set(seen), new Set([0]));
  assertEquals((await valuesOf(log, "results", 0)).length, 40);
  kv.kv.close();
});

Deno.test("a large commit that is fenced off on its way leaves nothing", async () => {
  const real = await Deno.openKv(":memory:");
  const kv = new FaultKv(real);
  const log = await openLog(kv);
  const session = await log.claim("transactions");
  const batches = Array.from({ length: 40 }, () => batch(["x".repeat(60_000)]));
  const start = kv.commits;
  let stolen = false;
  kv.plan = (n) => {
    // Someone else takes the epoch between two writes.
    if (n === start + 2 && !stolen) {
      stolen = true;
      void real.set(["epoch", "transactions", 0], 99);
    }
    return null;
  };
  assertEquals(
    await session.commit({
      positions: [{ partition: 0, ...position(40) }],
      outputs: [{ topic: "results", partition: 0, batches }],
    }),
    "lost",
  );
  assertEquals(await Array.fromAsync(real.list({ prefix: ["batch", "results"] })), []);
  assertEquals(log.bounds("results", 0).end, 0);
  real.close();
});

Deno.test("a large commit that is refused for good on its way leaves nothing", async () => {
  const results = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => batch([`${from + i}`.padEnd(60_000)]));
  const commit = (offset: number, batches: Uint8Array[]) => ({
    positions: [{ partition: 0, ...position(offset) }],
    outputs: [{ topic: "results", partition: 0, batches }],
  });
  let refused = 0;
  for (let at = 1, done = false; !done; at++) {
    const kv = new FaultKv(await Deno.openKv(":memory:"));
    const log = await openLog(kv);
    const session = await log.claim("transactions");
    // From one of its writes on the disk is full; then there is room again.
    const before = kv.commits;
    kv.plan = (n) => n >= before + at ? "fails" : null;
    done = await session.commit(commit(40, results(0, 40))) === "committed";
    if (!done) {
      refused++;
      kv.plan = () => null;
      // Who folds again cuts batches otherwise.
      const again = await log.claim("transactions");
      const other = batch(["0", "1", "2"]);
      assertEquals(await again.commit(commit(3, [other])), "committed");
      const options = { maxBytes: 1, waitMs: 0 };
      const { batches } = await (await openLog(kv)).read("results", 0, 1, options);
      assertEquals(batches.map((b) => b.length), [other.length], `refused from write ${at} on`);
    }
    kv.kv.close();
  }
  assert(refused >= 4, `${refused}`);
});

Deno.test("it is known of a write that ended in an error whether it happened", async () => {
  const kv = new FaultKv(await Deno.openKv(":memory:"));
  const log = await openLog(kv);
  const start = kv.commits;
  kv.plan = (n) =>
    n === start + 1 ? "answer lost" : n === start + 2 || n === start + 3 ? "fails" : null;
  assertEquals(await log.append("transactions", 0, records(["a"])), 0);
  assertEquals(await log.append("transactions", 0, records(["b"])), 1);
  assertEquals(await valuesOf(log, "transactions", 0), ["a", "b"]);
  kv.kv.close();
});

Deno.test("writes that fail for good are refused, commits are lost, and the log goes on when it can", async () => {
  const kv = new FaultKv(await Deno.openKv(":memory:"));
  const log = await openLog(kv);
  const session = await log.claim("transactions");
  kv.plan = () => "fails";
  await assertRejects(
    () => log.append("transactions", 0, records(["a"])),
    Error,
    "Cannot write to the log: database is locked",
  );
  assertEquals(
    await session.commit({ positions: [{ partition: 0, ...position(1) }], outputs: [] }),
    "lost",
  );
  kv.plan = () => null;
  assertEquals(await log.append("transactions", 0, records(["b"])), 0);
  assertEquals(
    await session.commit({ positions: [{ partition: 0, ...position(1) }], outputs: [] }),
    "committed",
  );
  await new TestClock().yield();
  assertEquals(log.waitingBytes, 0);
  kv.kv.close();
});

Deno.test("open refuses another number of partitions or format", async () => {
  const kv = await Deno.openKv(":memory:");
  await openLog(kv);
  const open = (transactions: number) =>
    EmbeddedLog.open(new FaultKv(kv), {
      topics: { ...TOPICS, transactions },
      inputs: ["transactions"],
      clock: new TestClock(),
      chance: () => 0,
    });
  await assertRejects(
    () => open(3),
    LogFormatError,
    "The log has 2 partitions of transactions, not 3",
  );
  await kv.set(["log"], { version: 9, id: "x" });
  await assertRejects(() => open(2), LogFormatError, "format 9");
  kv.close();
});

/** A KV whose commits wait until they are let go, one by one; says what each of them sets. */
class GatedKv extends FaultKv {
  /** By commit: the first parts of its keys. */
  readonly written: string[][] = [];
  readonly #waiting: (() => void)[] = [];
  isOpen = true;

  override atomic(): Deno.AtomicOperation {
    const atomic = super.atomic();
    const commit = atomic.commit.bind(atomic);
    const set = atomic.set.bind(atomic);
    const kinds: string[] = [];
    atomic.set = (key, value) => {
      kinds.push(String(key[0]));
      set(key, value);
      return atomic;
    };
    atomic.commit = async () => {
      if (!this.isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      this.written.push(kinds);
      return await commit();
    };
    return atomic;
  }

  /** Lets the commit that waits happen; waits for it before, and a few turns behind it. */
  async next(): Promise<void> {
    for (let turns = 0; this.#waiting.length === 0; turns++) {
      assert(turns < 1000, "no commit comes");
      await turn();
    }
    this.#waiting.shift()!();
    for (let turns = 0; turns < 5; turns++) await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("a small append waits for two commits at the most, and no large one is overtaken for ever", async () => {
  const kv = new GatedKv(await Deno.openKv(":memory:"));
  const log = await openLog(kv);
  kv.isOpen = false;
  const done: string[] = [];
  const append = (name: string, partition: number, bytes: number) => {
    const values = Array.from({ length: Math.ceil(bytes / 1000) }, () => "x".repeat(900));
    return log.append("transactions", partition, records(values)).then(() => void done.push(name));
  };
  const ofKind = (kind: string) => done.filter((name) => name.startsWith(kind));
  const all = [append("first", 0, 1)];
  await turn();
  // Behind the commit under way: 12 large appends, then a small one.
  for (let n = 0; n < 12; n++) all.push(append(`large ${n}`, 0, 200_000));
  all.push(append("small", 1, 1));
  await kv.next();
  assertEquals(done, ["first"]);
  await kv.next();
  assert(done.includes("small") && done.includes("large 0"), `${done}`);
  // Small ones come without end: each commit has the oldest of the large ones all the same.
  for (let n = 1; ofKind("large").length < 12; n++) {
    const before = ofKind("large").length;
    all.push(append(`small ${n}`, 1, 1));
    await kv.next();
    assert(ofKind("large").length > before, `${done}`);
  }
  kv.isOpen = true;
  all.push(append("last", 1, 1));
  await kv.next().catch(() => {});
  await Promise.all(all);
  // They kept their order among themselves.
  assertEquals(ofKind("large"), Array.from({ length: 12 }, (_, n) => `large ${n}`));
  kv.kv.close();
});

Deno.test("an append does not overtake what must not overlap with writes", async () => {
  const kv = new GatedKv(await Deno.openKv(":memory:"));
  const log = await openLog(kv);
  kv.isOpen = false;
  const before = kv.written.length;
  const all: Promise<unknown>[] = [log.append("transactions", 0, records(["first"]))];
  await turn();
  all.push(log.append("transactions", 0, records(Array(300).fill("x".repeat(900)))));
  all.push(log.addNote("n", 1));
  all.push(log.append("transactions", 1, records(["small"])));
  for (let n = 0; n < 4; n++) await kv.next();
  await Promise.all(all);
  const kinds = kv.written.slice(before).map((keys) => keys.includes("note") ? "note" : "batch");
  assertEquals(kinds, ["batch", "batch", "note", "batch"]);
  assertEquals(await valuesOf(log, "transactions", 1), ["small"]);
  kv.kv.close();
});

Deno.test("a session commits the partitions that it was given and has not given up, and no others", async () => {
  const kv = await Deno.openKv(":memory:");
  const log = await openLog(kv);
  const session = await log.claim("transactions", [0]);
  const commit = (partition: number, offset: number) =>
    session.commit({ positions: [{ partition, ...position(offset) }], outputs: [] });
  assertThrows(() => commit(1, 1), BrokenPromiseError);
  const other = await log.claim("transactions", [1]);
  const [added] = await session.add([1]);
  assertEquals(added!.committed.offset, 0);
  assertEquals(session.partitions.map((p) => p.partition), [0, 1]);
  const late = other.commit({ positions: [{ partition: 1, ...position(5) }], outputs: [] });
  assertEquals(await late, "lost");
  assertEquals([await commit(0, 2), await commit(1, 3)], ["committed", "committed"]);
  session.remove([1]);
  assertThrows(() => commit(1, 4), BrokenPromiseError);
  const next = await log.claim("transactions", [1]);
  assertEquals(next.partitions[0]!.committed.offset, 3);
  assertEquals(await commit(0, 4), "committed"); // it does not concern the other partition
  kv.close();
});
