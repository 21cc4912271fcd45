import { assert, assertEquals } from "@std/assert";
import { Committer } from "../../src/engine/fold_and_commit.ts";
import type { Committable, Pending } from "../../src/engine/pending.ts";
import { firstPosition, LostError } from "../../src/log/mod.ts";
import { OffsetWaiters } from "../../src/service/offset_waiters.ts";
import { PartitionProcessor } from "../../src/engine/partition_processor.ts";
import {
  batchInfo,
  decodeBatch,
  encodeBatch,
  encodeUtf8,
  setBaseOffset,
  systemChance,
} from "../../src/types/mod.ts";
import { Core } from "../../src/wasm/mod.ts";
import { assertRejects } from "@std/assert";
import { Random } from "../../tools/kit/random.ts";
import { sessionOf } from "../log/log_doubles.ts";
import { PLAIN } from "../wasm/driver.ts";
import { capturingLogs } from "./captured_logs.ts";
import { ManualClock } from "./manual_clock.ts";

const COMMITTED = { ...firstPosition(0), parametersHash: "p" };

function processorOf(
  core: Core,
  deadLetters: string | null = "dead",
  clock = new ManualClock(),
  summaries: string | null = "sums",
): PartitionProcessor {
  const topics = {
    input: "in",
    results: "out",
    summaries,
    deadLetters,
    partitionsOf: () => 1,
    batchBytesMax: 4000,
  };
  const processor = new PartitionProcessor(0, core, topics, clock, COMMITTED, "p", null);
  processor.runner = { traced: null, onCommitted() {} };
  return processor;
}

/** Batches of random sizes, one record in ten invalid. */
function batches(random: Random, n: number): Uint8Array[] {
  let offset = 0;
  return Array.from({ length: n }, () => {
    const records = Array.from({ length: 1 + random.below(300) }, (_, i) => ({
      timestamp: 1000 + offset,
      key: null,
      value: encodeUtf8(
        random.below(10) === 0 ? "x" : `${i}\t5\titem_${random.below(50)}\t${random.below(9) - 4}`,
      ),
    }));
    const batch = encodeBatch(records);
    setBaseOffset(batch, offset);
    offset += records.length;
    return batch;
  });
}

Deno.test("processor commits one outcome per record", async () => {
  const random = new Random(4);
  const processor = processorOf(new Core({ ...PLAIN, batchBytesMax: 4000 }, systemChance));
  let committed = 0;
  for (const batch of batches(random, 60)) {
    await processor.fold(batch);
    if (random.below(3) > 0) continue;
    const pending = processor.take()!;
    const count = (topic: string) =>
      pending.outputs.filter((o) => o.topic === topic).flatMap((o) => o.batches)
        .reduce((n, b) => n + decodeBatch(b).length, 0);
    // As many results and dead letters as records between the two commits.
    assertEquals(count("out") + count("dead"), pending.position.offset - committed);
    for (const { batches: list } of pending.outputs) for (const b of list) assert(b.length <= 4000);
    committed = pending.position.offset;
    processor.acknowledge(pending);
    assertEquals(processor.take(), null);
    assertEquals(processor.pendingBytes, 0);
  }
  assert(committed > 1000);
});

Deno.test("the batch folded last is one that was folded: what is read beyond the committed position is not", async () => {
  const processor = processorOf(new Core({ ...PLAIN, batchBytesMax: 4000 }, systemChance));
  const [first, second] = batches(new Random(4), 2);
  const { baseOffset, crc, lastOffset } = batchInfo(first!);
  // An answer of the log brings both, and only the first was committed.
  for (const batch of [first!, second!]) await processor.replay(batch, lastOffset + 1);
  assertEquals(processor.position, lastOffset + 1);
  assertEquals(processor.lastBatch, { baseOffset, crc });
});

Deno.test("processor stands where all is folded, fired and acknowledged, and nowhere else", async () => {
  const processor = processorOf(new Core({ ...PLAIN, batchBytesMax: 4000 }, systemChance));
  assert(processor.standsAt(COMMITTED));
  const [first, second] = batches(new Random(4), 2);
  await processor.fold(first!);
  const pending = processor.take()!;
  assert(!processor.standsAt(pending.position), "the commit may be lost");
  assert(!processor.standsAt(COMMITTED));
  processor.acknowledge(pending);
  const { position } = pending;
  assert(processor.standsAt(position));
  for (
    const other of [
      { offset: position.offset + 1 },
      { offset: position.offset - 1 },
      { watermark: position.watermark + 1n },
      { start: null },
      { parametersHash: "others", secret: null, raisedAt: null },
    ]
  ) assert(!processor.standsAt({ ...position, ...other }), JSON.stringify(Object.keys(other)));
  await processor.fold(second!);
  assert(!processor.standsAt(position), "more is folded than is committed");
});

/** A clock whose patience ends: what goes round in circles fails instead. */
class ImpatientClock extends ManualClock {
  #turns = 0;

  override yield(): Promise<void> {
    if (++this.#turns > 1000) throw new Error("It goes round in circles");
    return Promise.resolve();
  }
}

Deno.test("firing ends also when an output batch may be larger than the area it is written to", async () => {
  const core = new Core({
    ...PLAIN,
    windowMs: 60_000,
    alertTotalMin: 0,
    alertRateMin: 0,
    summaryBytes: 4096,
    batchBytesMax: 65_000,
  }, systemChance);
  const processor = processorOf(core, null, new ImpatientClock());
  const records = Array.from({ length: 100 }, (_, i) => ({
    timestamp: 1000,
    key: null,
    value: encodeUtf8(`1\t1\titem_${i}\t-5`),
  }));
  await processor.fold(encodeBatch(records));
  await processor.fireIdle();
  const { outputs } = processor.take()!;
  const summaries = outputs.find((o) => o.topic === "sums")!.batches.flatMap((b) => decodeBatch(b));
  assertEquals(summaries.length, 100);
});

Deno.test("summaries without a topic are logged", () =>
  capturingLogs(async (logged) => {
    const core = new Core(
      { ...PLAIN, windowMs: 60_000, alertTotalMin: 0, alertRateMin: 0, batchBytesMax: 4000 },
      systemChance,
    );
    const processor = processorOf(core, null, new ManualClock(), null);
    const value = encodeUtf8("1\t1\titem_7\t-5");
    await processor.fold(encodeBatch([{ timestamp: 1000, key: null, value }]));
    await processor.fireIdle();
    assertEquals(processor.take()!.outputs.map((o) => o.topic), ["out"]);
    assertEquals(logged, ["info Summary of in-0: item_7\t0\t60000\t0\t1\t5"]);
  }));

Deno.test("outcomes are reported with their offsets, also when windows fire in the middle of a batch", async () => {
  const random = new Random(9);
  const reported: number[] = [];
  const core = new Core(
    { ...PLAIN, windowMs: 60_000, alertTotalMin: 0, alertRateMin: 0 },
    systemChance,
  );
  const topics = {
    input: "in",
    results: null,
    summaries: "sums",
    deadLetters: null,
    partitionsOf: () => 1,
    batchBytesMax: 4000,
  };
  const processor = new PartitionProcessor(
    0,
    core,
    topics,
    new ManualClock(),
    COMMITTED,
    "p",
    (_, first, moved) => {
      // Reported to another thread, the outcomes are gone from this one.
      const outcomes = structuredClone(moved, { transfer: [moved.buffer as ArrayBuffer] });
      outcomes.forEach((outcome, i) => {
        assertEquals(reported[first + i], undefined, `offset ${first + i} twice`);
        reported[first + i] = outcome;
      });
    },
  );
  const expected: number[] = [];
  // More items than one piece of firing takes, and the window ends within the second batch.
  for (let b = 0; b < 3; b++) {
    const records = Array.from({ length: 10_000 }, (_, i) => {
      const quantity = random.below(2) === 0 ? 5 : -5;
      expected.push(quantity > 0 ? 1 : 0);
      const value = encodeUtf8(`1\t1\titem_${10_000 * b + i}\t${quantity}`);
      return { timestamp: 4 * (10_000 * b + i), key: null, value };
    });
    const batch = encodeBatch(records);
    setBaseOffset(batch, 10_000 * b);
    await processor.fold(batch);
  }
  assertEquals(reported, expected);
  assertEquals(processor.core.info.windowsFired, 1);
});

Deno.test("processor without a dead-letter topic counts invalid records and goes on", async () => {
  const processor = processorOf(new Core(PLAIN, systemChance), null);
  for (const batch of batches(new Random(4), 10)) await processor.fold(batch);
  const pending = processor.take()!;
  assertEquals(pending.outputs.map((o) => o.topic), ["out"]);
  const { accepted, rejected, invalid } = processor.core.state;
  assert(invalid[2]! > 50n);
  assertEquals(accepted + rejected + invalid[2]!, BigInt(processor.position));
});

interface FakePartition extends Committable {
  value: number;
}

function fakePartition(): FakePartition {
  let taken = 0;
  return {
    partition: 0,
    pendingBytes: 0,
    value: 0,
    take(): Pending | null {
      if (this.value === taken) return null;
      taken = this.value;
      return { position: { ...COMMITTED, offset: taken }, outputs: [] };
    },
    acknowledge: () => {},
  };
}

Deno.test("processor never has two commits under way", async () => {
  const clock = new ManualClock();
  let underWay = 0;
  let commits = 0;
  const session = sessionOf({
    commit: async () => {
      assertEquals(++underWay, 1);
      commits++;
      await clock.sleep(70);
      underWay--;
      return "committed";
    },
  });
  const fake = fakePartition();
  const committer = new Committer(session, [fake], 10, clock);
  const stop = new AbortController();
  const running = committer.run(stop.signal);
  for (let i = 0; i < 60; i++) {
    fake.value++;
    committer.ask();
    await clock.advance(9);
  }
  stop.abort();
  await clock.advance(1000);
  await running;
  assert(commits > 3);
});

Deno.test("a commit that is not known to have happened ends the session", async () => {
  const clock = new ManualClock();
  const fake = fakePartition();
  const committer = new Committer(
    sessionOf({ commit: () => Promise.resolve("lost") }),
    [fake],
    10,
    clock,
  );
  fake.value = 1;
  await assertRejects(() => committer.commit(), LostError, "A commit of transactions was lost");
});

Deno.test("folding waits while too much is pending, and goes on after the commit", async () => {
  const clock = new ManualClock();
  const fake = fakePartition();
  let pendingBytes = 9 * 1024 * 1024;
  Object.defineProperty(fake, "pendingBytes", { get: () => pendingBytes });
  const committer = new Committer(
    sessionOf({ commit: () => Promise.resolve("committed") }),
    [fake],
    10,
    clock,
  );
  let room = false;
  void committer.room(new AbortController().signal).then(() => room = true);
  await clock.settle();
  assertEquals(room, false);
  pendingBytes = 0;
  fake.value = 1;
  await committer.commit();
  await clock.settle();
  assertEquals(room, true);
});

Deno.test("waiting for room leaves nobody behind who listens to the signal", async () => {
  const fake = fakePartition();
  let pendingBytes = 0;
  Object.defineProperty(fake, "pendingBytes", { get: () => pendingBytes });
  const session = sessionOf({ commit: () => Promise.resolve("committed") });
  const committer = new Committer(session, [fake], 10, new ManualClock());
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  for (let i = 0; i < 10; i++) {
    pendingBytes = 9 * 1024 * 1024;
    const room = committer.room(signal);
    pendingBytes = 0;
    fake.value = i + 1;
    await committer.commit();
    await room;
  }
  assertEquals(listeners, 0);
});

Deno.test("OffsetWaiters resolves when every value was delivered, in any pieces", async () => {
  const waiters = new OffsetWaiters<number>();
  const a = waiters.wait(0, 10, 5);
  const b = waiters.wait(0, 15, 2);
  const other = waiters.wait(1, 10, 1);
  waiters.deliver(0, 8, [8, 9, 10, 11]);
  waiters.deliver(0, 11, [11, 12]); // folded again after a recovery
  waiters.deliver(0, 13, Uint8Array.of(13, 14, 15, 16, 17));
  assertEquals(await a.values, [10, 11, 12, 13, 14]);
  assertEquals(await b.values, [15, 16]);
  assertEquals(waiters.count, 1);
  other.cancel();
  assertEquals(waiters.count, 0);
  const late = waiters.wait(0, 99, 1);
  waiters.end(new Error("over"));
  await assertRejects(() => late.values, Error, "over");
});

Deno.test("OffsetWaiters: an end that comes before anyone waits is heard by who waits later, and by nobody else", async () => {
  const waiters = new OffsetWaiters<number>();
  // As while its record is being written; an error that nobody hears would end the process.
  const early = waiters.wait(0, 1, 1);
  waiters.end(new Error("over"));
  await new Promise((resolve) => setTimeout(resolve, 0));
  await assertRejects(() => early.values, Error, "over");
  await assertRejects(() => waiters.wait(0, 2, 1).values, Error, "over");
  assertEquals(waiters.count, 0);
});

Deno.test("a partition whose own memory is full stands still before a record, at rest, and nothing is lost", async () => {
  const processor = processorOf(new Core({ ...PLAIN, memoryPagesMax: 120 }, systemChance));
  let folded = 0;
  let stopped: string | null = null;
  while (stopped === null && folded < 2_000_000) {
    const batch = encodeBatch(Array.from({ length: 1000 }, (_, i) => ({
      timestamp: 0,
      key: null,
      value: encodeUtf8(`1\t1\titem_${folded + i}\t3`),
    })));
    setBaseOffset(batch, folded);
    stopped = await processor.fold(batch);
    folded += 1000;
    if (stopped !== null) assertEquals(await processor.fold(batch), "limit");
  }
  assertEquals(stopped, "limit");
  assert(processor.atRest);
  const { position } = processor.take()!;
  assertEquals(position.offset, processor.position);
  assert(processor.position > folded - 1000 - 64 && processor.position < folded);
  const last = encodeUtf8(`item_${processor.position - 1}`);
  assertEquals(processor.core.lookUp([last, encodeUtf8(`item_${processor.position}`)]), [3n, null]);
});
