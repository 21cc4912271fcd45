import { assert, assertEquals } from "@std/assert";
import type { PartitionFigures, Progress } from "../../src/engine/mod.ts";
import { logThroughput } from "../../src/service/throughput.ts";
import { NO_FIGURES } from "../../src/engine/figures.ts";
import { GeneratorLog } from "../../src/log/mod.ts";
import { codecOf, decodeBatch, Format } from "../../src/types/mod.ts";
import { Model } from "../model/model.ts";
import { ManualClock } from "../engine/manual_clock.ts";
import { drain } from "../engine/feeding.ts";
import { type Life, line, PARTITIONS, type StartOptions, World } from "../engine/world.ts";

const FLAGS = {
  "generate.transactions": "true",
  "generate.results": "true",
  "generate.rate": "0",
  "generate.count": "5001",
  "num.items": "100",
} as const;

/** Starts the job and remembers the log that it generates. */
async function start(
  world: World,
  options: StartOptions & { plan?: Parameters<World["start"]>[0] } = {},
): Promise<{ life: Life; log: GeneratorLog }> {
  let log: GeneratorLog | null = null;
  const life = await world.start(options.plan, {
    ...options,
    wrapLog: (opened) => log = opened as unknown as GeneratorLog,
  });
  return { life, log: log! };
}

async function untilFolded(world: World, { job }: Life, records: number): Promise<void> {
  const accepted = () => job.figures().flatMap((w) => w.partitions);
  await world.clock.until(
    () => accepted().reduce((n, p) => n + p.position, 0) === records,
    `${records} records are folded`,
  );
}

/** Fails unless results and summaries are those of the model folded over the generated records. */
async function assertExactlyOnce(world: World, log: GeneratorLog): Promise<number> {
  let records = 0;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const model = new Model(world.modelOptions(partition));
    for (let offset = 0;;) {
      const answer = await log.read(partition, offset, { maxBytes: 1e6, waitMs: 0 });
      if (answer.batches.length === 0) break;
      for (const record of answer.batches.flatMap((b) => decodeBatch(b))) {
        assertEquals(record.offset, offset++);
        model.fold(record);
      }
    }
    assertEquals(
      await world.values("transaction-results", partition),
      model.results.map((r) => r.value),
    );
    assertEquals(
      (await world.values("summaries", partition)).toSorted(),
      model.summaries.map((s) => codecOf(Format.Text).formatSummary(s.summary)).toSorted(),
    );
    records += model.position;
  }
  return records;
}

Deno.test("generated transactions are folded once each, as far as they were asked for", async () => {
  const world = await World.open(FLAGS);
  const { life, log } = await start(world);
  await untilFolded(world, life, 5001);
  await world.stop(life);
  assertEquals(await assertExactlyOnce(world, log), 5001);
  assertEquals(await world.values("transactions", 0), []);
  world.close();
});

Deno.test("generated transactions are the same again after crashes, at any rate", async () => {
  const world = await World.open(FLAGS);
  for (const rate of ["4000", "300", "2000"]) {
    const flags = { "generate.rate": rate };
    const { life } = await start(world, { flags });
    const committed = life.worker.commits;
    await world.clock.until(() => life.worker.commits > committed, "it commits");
    await world.clock.advance(400);
    life.kill();
    await world.clock.advance(10_000);
  }
  const { life, log } = await start(world);
  await untilFolded(world, life, 5001);
  await world.stop(life);
  assertEquals(await assertExactlyOnce(world, log), 5001);
  world.close();
});

Deno.test("generated transactions go on where a full memory stopped them within a batch, at any rate", async () => {
  const world = await World.open({
    ...FLAGS,
    "generate.count": "20001",
    "num.items": "300000",
  });
  const small = { "state.bytes.max": "500000" };
  for (const rate of ["0", "3000", "0"]) {
    const { life } = await start(world, { flags: { ...small, "generate.rate": rate } });
    const { conditions } = life.job.context;
    await world.clock.until(
      () => conditions.blocking("writes") !== null,
      `memory is full at rate ${rate}`,
    );
    for (let i = 0; i < 5; i++) await world.clock.advance(1000);
    assertEquals(life.job.failure, null);
    await world.stop(life);
  }
  const { life, log } = await start(world);
  await untilFolded(world, life, 20001);
  await world.stop(life);
  assert(await assertExactlyOnce(world, log) > 0);
  world.close();
});

Deno.test("generated transactions come at the rate that was asked for", async () => {
  const world = await World.open({ ...FLAGS, "generate.rate": "1000", "generate.count": "0" });
  const { life, log } = await start(world);
  const from = life.job.figures()[0]!.recordsIn;
  await world.clock.advance(0);
  for (let i = 0; i < 100; i++) await world.clock.advance(50);
  const records = life.job.figures()[0]!.recordsIn - from;
  assert(records > 4500 && records <= 5100, `${records} in 5 seconds`);
  await world.stop(life);
  const { batches } = await log.read(0, 0, { maxBytes: 1, waitMs: 0 });
  const [first, second] = decodeBatch(batches[0]!);
  assertEquals(second!.timestamp - first!.timestamp, 2); // two partitions share the rate
  world.close();
});

Deno.test("transactions that were generated from other parameters stop the job", async () => {
  const world = await World.open(FLAGS);
  const { life } = await start(world);
  await untilFolded(world, life, 5001);
  await world.stop(life);
  const flags = { "num.items": "101" };
  const message = await start(world, { flags }).then(() => "it started", (e: Error) => e.message);
  assert(message.includes("generated from other parameters"), message);
  assert(message.includes("num.items=100 ") && message.includes("num.items=101 "), message);
  world.close();
});

Deno.test("without generate.results no result is written, and the state is the same", async () => {
  const worlds = [
    await World.open(FLAGS),
    await World.open({ ...FLAGS, "generate.results": "false" }),
  ];
  const hashes = [];
  for (const world of worlds) {
    const { life } = await start(world);
    await untilFolded(world, life, 5001);
    await world.stop(life);
    const { store } = life.job;
    const newest = await Promise.all([0, 1].map((p) => store.list(p)));
    hashes.push(newest.map(([first]) => first!.manifest!.scalars.quantitySum));
  }
  assertEquals(hashes[0], hashes[1]);
  assertEquals(await worlds[1]!.values("transaction-results", 0), []);
  for (const world of worlds) world.close();
});

Deno.test("how much is generated of what was asked for is reported until it is done", async () => {
  const clock = new ManualClock();
  const reports: Progress[] = [];
  let position = 0;
  const figures = () => [{ ...NO_FIGURES, partitions: [{ position } as PartitionFigures] }];
  const stop = new AbortController();
  const options = { figures, clock, count: 1000, onProgress: (p: Progress) => reports.push(p) };
  const telling = logThroughput(options, stop.signal);
  for (position of [0, 400, 1000, 1000, 1000]) await clock.advance(500);
  stop.abort();
  await clock.run(telling, "it ends");
  assertEquals(reports.map(({ done, over }) => [done, over]), [
    [0, false],
    [400, false],
    [1000, true],
  ]);
});

Deno.test("while transactions are generated, the posted ones that another job may need are not removed", async () => {
  const world = await World.open({
    "log.retention.ms": "60000",
    "checkpoint.interval.millis": "0",
    "num.items": "10",
  });
  const posted = await world.start();
  for (let i = 0; i < 5; i++) {
    const { itemId, record } = line(i, `item_${i}`, 1, world.clock.now());
    const partition = posted.job.context.owners.partitionOf(itemId);
    await posted.log.append("transactions", partition, [record]);
  }
  await drain(world, posted);
  posted.kill();
  const flags = { ...FLAGS, "generate.count": "10" } as const;
  const { life } = await start(world, { flags });
  await world.clock.advance(3_600_000);
  for (let look = 0; look < 3; look++) await world.clock.advance(60_000);
  await world.stop(life);
  // The job that has no checkpoint folds them again.
  const again = await world.start();
  assertEquals(again.job.figures()[0]!.partitions.reduce((n, p) => n + p.items, 0), 5);
  await world.stop(again);
  world.close();
});
