// Whether what is counted twice, apart, is equal; and that each of the checks can fail.

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { PartitionProcessor } from "../../src/engine/partition_processor.ts";
import { HotItems } from "../../src/engine/hot_items.ts";
import {
  BatchBuilder,
  batchInfo,
  encodeBatch,
  encodeUtf8,
  setBaseOffset,
  systemChance,
} from "../../src/types/mod.ts";
import { crc32c } from "../../src/types/crc32c.ts";
import { firstPosition } from "../../src/log/mod.ts";
import { Core } from "../../src/wasm/mod.ts";
import { Random } from "../../tools/kit/random.ts";
import { Driver, PLAIN } from "../wasm/driver.ts";
import { ManualClock } from "./manual_clock.ts";
import { line, World } from "./world.ts";

const COMMITTED = { ...firstPosition(0), parametersHash: "p" };

function processorOf(core = new Core(PLAIN, systemChance)): PartitionProcessor {
  const topics = {
    input: "in",
    results: "out",
    summaries: null,
    deadLetters: "dead",
    partitionsOf: () => 1,
    batchBytesMax: 65_000,
  };
  return new PartitionProcessor(0, core, topics, new ManualClock(), COMMITTED, "p", null);
}

function randomBatch(random: Random, offset: number, count: number): Uint8Array<ArrayBuffer> {
  const batch = encodeBatch(Array.from({ length: count }, (_, i) => {
    const text = random.below(10) === 0
      ? "x"
      : `${i}\t5\titem_${random.below(50)}\t${random.below(9) - 4}`;
    return { timestamp: 1000, key: null, value: encodeUtf8(text) };
  }));
  setBaseOffset(batch, offset);
  return batch;
}

Deno.test("outcomes and consumed records are equal, also of batches that are folded in part", async () => {
  const random = new Random(6);
  const processor = processorOf();
  let offset = 0;
  for (let round = 0; round < 50; round++) {
    const batch = randomBatch(random, offset, 1 + random.below(300));
    const end = batchInfo(batch).lastOffset + 1;
    if (random.below(2) > 0) {
      await processor.replay(batch, offset + random.below(end - offset));
      const { outcomes, consumed } = processor.recordCheck();
      assertEquals(consumed, outcomes);
    }
    await processor.fold(batch);
    const { outcomes, consumed } = processor.recordCheck();
    assertEquals([outcomes, consumed], [end, end]);
    offset = end;
  }
});

Deno.test("records that are gone from a batch are not consumed, also when it is folded in part", async () => {
  const builder = new BatchBuilder();
  for (let i = 0; i < 10; i++) {
    builder.add({ timestamp: 1000, key: null, value: encodeUtf8(`${i}\t5\ta\t1`) });
  }
  const batch = builder.build();
  // The offsets behind the last record are passed without one.
  const v = new DataView(batch.buffer);
  v.setInt32(23, 19);
  v.setUint32(17, crc32c(batch, 21));
  const processor = processorOf();
  await processor.replay(batch, 4);
  assertEquals(processor.recordCheck(), { outcomes: 4, consumed: 4 });
  await processor.fold(batch);
  assertEquals(processor.position, 20);
  assertEquals(processor.recordCheck(), { outcomes: 10, consumed: 10 });
});

Deno.test("a repeated transaction is consumed, and has an outcome of its own", async () => {
  const remember = { windowMs: 60_000, max: 1000, secret: new Uint8Array(16).fill(7) };
  const processor = processorOf(new Core({ ...PLAIN, remember }, systemChance));
  const value = encodeUtf8("1\t5\ta\t1");
  const batch = encodeBatch([1, 2, 3].map(() => ({ timestamp: 1000, key: null, value })));
  await processor.fold(batch);
  assertEquals(processor.core.info.duplicates, 2);
  assertEquals(processor.core.state.accepted, 1n);
  assertEquals(processor.recordCheck(), { outcomes: 3, consumed: 3 });
});

Deno.test("planted: a core that gives a record two outcomes shows in the check of records", async () => {
  const core = new Core(PLAIN, systemChance);
  const processor = processorOf(core);
  const batch = randomBatch(new Random(7), 0, 10);
  await processor.fold(batch);
  // The position is put back, and the core executes the last record again.
  core.position = 9n;
  core.begin(batch);
  core.run();
  const { outcomes, consumed } = processor.recordCheck();
  assertEquals([outcomes, consumed], [11, 10]);
});

Deno.test("planted: a host that hands a batch over without counting it shows in the check of records", async () => {
  const core = new Core(PLAIN, systemChance);
  const processor = processorOf(core);
  await processor.fold(randomBatch(new Random(8), 0, 5));
  core.begin(randomBatch(new Random(9), 5, 5));
  core.run();
  const { outcomes, consumed } = processor.recordCheck();
  assertEquals([outcomes, consumed], [10, 5]);
});

Deno.test("a running job has both checks: over checkpoints, crashes and restarts they are equal", async () => {
  const world = await World.open();
  let life = await world.start();
  for (let round = 0; round < 3; round++) {
    const sent = Array.from({ length: 40 }, (_, i) => line(i, `item_${i % 7}`, i % 5 - 1, 1000));
    for (const { itemId, record } of sent) {
      const partition = life.job.context.owners.partitionOf(itemId);
      await world.clock.run(life.log.append("transactions", partition, [record]), "append");
    }
    await world.clock.advance(3000);
    const figures = life.job.figures().flatMap((worker) => worker.partitions);
    for (const { records, stocks, accepted, rejected } of figures) {
      assertEquals(records.outcomes, records.consumed);
      assertEquals(records.outcomes, accepted + rejected);
      assert(stocks !== null && stocks.stock === stocks.accepted);
    }
    assertEquals(figures.reduce((n, f) => n + f.records.consumed, 0), 40 * (round + 1));
    life.kill();
    life = await world.start();
  }
  await world.stop(life);
  world.close();
});

Deno.test("planted: stocks that are not what was accepted show at the next checkpoint", async () => {
  const world = await World.open();
  const life = await world.start();
  const { itemId, record } = line(1, "item_1", 5, 1000);
  const partition = life.job.context.owners.partitionOf(itemId);
  await world.clock.run(life.log.append("transactions", partition, [record]), "append");
  await world.clock.advance(100);
  const { core } = life.worker.partitions[partition]!.processor;
  // A fold that forgets to add to the sum.
  core.restoreScalars({ ...core.state, quantitySum: 4n });
  await world.clock.advance(3000);
  const { stocks } = life.job.figures().flatMap((w) => w.partitions)[partition]!;
  assertNotEquals(stocks!.stock, stocks!.accepted);
  assertEquals([stocks!.stock, stocks!.accepted], [5n, 4n]);
  life.kill();
  world.close();
});

Deno.test("hot items: what was hot cools down", () => {
  const clock = new ManualClock();
  const driver = new Driver(PLAIN);
  const hot = new HotItems(driver.core, clock);
  const fold = (itemId: string, count: number) => {
    const value = encodeUtf8(`1\t5\t${itemId}\t1`);
    const batch = encodeBatch(
      Array.from({ length: count }, () => ({ timestamp: 1, key: null, value })),
    );
    setBaseOffset(batch, Number(driver.core.position));
    driver.fold(batch, { emit: false });
    hot.afterFold(count);
  };
  for (let i = 0; i < 15; i++) fold("old", 1000);
  const before = hot.top(2);
  assertEquals(before.items, [{ itemId: "old", samples: before.samples }]);
  assert(before.samples > 100);
  // A minute later the samples of before count half, once somebody asks or a few thousand more were folded.
  void clock.advance(60_000);
  assertEquals(hot.top(1).samples, before.samples / 2);
  for (let i = 0; i < 10; i++) fold("new", 1000);
  const { samples, items } = hot.top(2);
  assertEquals(items.map(({ itemId }) => itemId), ["new", "old"]);
  assertEquals(items[1]!.samples, before.samples / 2);
  assertEquals(items[0]!.samples + items[1]!.samples, samples);
  void clock.advance(60_000);
  fold("new", 5000);
  assertEquals(driver.core.readSamples()[0], { itemId: "old", samples: before.samples / 4 });
  // Later still nothing is.
  void clock.advance(60 * 60_000);
  assertEquals(hot.top(2).items, []);
});
