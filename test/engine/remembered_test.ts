import { assert, assertEquals } from "@std/assert";
import { Random, timesOfTest } from "../../tools/kit/random.ts";
import { Partitioner, partitionOf } from "../../src/types/mod.ts";
import type { CommittedPosition } from "../../src/log/mod.ts";
import { Model } from "../model/model.ts";
import { drain } from "./feeding.ts";
import { type Life, line, PARTITIONS, World } from "./world.ts";

const FLAGS = {
  "idempotency.window.ms": "3600000",
  "idempotency.transactions.max": "3000",
  "enable.summaries": "false",
} as const;

type Line = ReturnType<typeof line>;

/** A client that repeats some of what it has sent before, and sometimes sends another thing under an old id. */
class Client {
  readonly sent: Line[] = [];
  #next = 1;

  constructor(readonly world: World, readonly random: Random) {}

  async send(life: Life, count: number): Promise<void> {
    const { random, world } = this;
    const lines = Array.from({ length: count }, () => {
      const what = random.below(10);
      const old = what < 4 && this.sent.length > 0
        ? this.sent[this.sent.length - 1 - random.below(Math.min(this.sent.length, 400))]!
        : null;
      if (old && what < 3) return old;
      const id = old ? random.below(this.#next) : this.#next++;
      const fresh = line(id, `item_${random.below(20)}`, random.below(90) - 50, world.clock.now());
      this.sent.push(fresh);
      return fresh;
    });
    const groups = Map.groupBy(
      lines,
      ({ record }) => partitionOf(Partitioner.Murmur2, record.key, PARTITIONS),
    );
    await Promise.all(
      Array.from(
        groups,
        ([partition, group]) =>
          life.log.append("transactions", partition, group.map(({ record }) => record)),
      ),
    );
  }
}

/** Fails unless results are the model's, those of repetitions marked as such. */
async function assertMarked(world: World, models: readonly Model[]): Promise<void> {
  for (const [partition, model] of models.entries()) {
    const records = await world.read("transaction-results", partition);
    assertEquals(
      records.map(({ headers }) => headers.map(({ key }) => key)),
      model.results.map(({ duplicate }) => duplicate ? ["stockflow.duplicate"] : []),
    );
    assert(model.results.filter(({ duplicate }) => duplicate).length > 20);
    assert((model.invalid.get(10) ?? 0) > 2);
  }
}

Deno.test("remembered transactions: a repetition is answered as the first, over kills, checkpoints and restarts", async () => {
  for (let seed = 1; seed <= timesOfTest(0.75, 2); seed++) {
    const world = await World.open(FLAGS);
    const random = new Random(seed);
    const client = new Client(world, random);
    for (let round = 0; round < 6; round++) {
      const life = await world.start();
      for (let i = 0; i < 4; i++) {
        await client.send(life, 100 + random.below(400));
        await world.clock.advance(random.below(3) * 700);
      }
      if (round % 3 === 2) {
        await drain(world, life);
        await world.stop(life);
      } else life.kill();
    }
    const last = await world.start();
    await client.send(last, 200);
    await drain(world, last);
    const models = await world.assertExactlyOnce();
    await assertMarked(world, models);
    assertEquals(
      last.worker.partitions.map(({ processor: { core } }) => core.info.duplicates),
      models.map(({ remembered }) => remembered!.duplicates),
    );
    assertEquals(last.job.failure, null);
    for (const { processor } of last.worker.partitions) {
      const { outcomes, consumed } = processor.recordCheck();
      assertEquals(outcomes, consumed);
    }
    await world.stop(last);
    world.close();
  }
});

Deno.test("remembered transactions: any retained checkpoint leads to the same memory", async () => {
  const world = await World.open({ ...FLAGS, "checkpoint.retained": "10" });
  const client = new Client(world, new Random(5));
  const life = await world.start();
  for (let i = 0; i < 6; i++) {
    await client.send(life, 900);
    await drain(world, life);
    await world.clock.advance(2000);
  }
  life.kill();
  const list = async (of: Life) => (await of.job.store.list(0)).map(({ manifest }) => manifest!);
  const hashes = new Set<string>();
  for (let back = 0; back < 3; back++) {
    const next = await world.start();
    const listed = await list(next);
    // A checkpoint where this life stands, to compare.
    await world.clock.run(next.worker.checkpointNow(0), "a checkpoint is taken");
    const [newest] = await list(next);
    hashes.add(newest!.stateHash);
    next.kill();
    // The newest ones go, so that the next life begins with an older one.
    for (const { sequence } of [newest!, ...listed.slice(0, 2)]) {
      await world.stateKv.delete(["manifest", "test", 0, sequence]);
    }
  }
  assertEquals(hashes.size, 1);
  world.close();
});

Deno.test("remembered transactions: they go on when they are switched on, limited and prolonged at a stop in good order, and no window is fired for it", async () => {
  const world = await World.open({ "enable.summaries": "true" });
  const lives = [
    {},
    { "idempotency.window.ms": "60000" },
    { "idempotency.window.ms": "90000", "idempotency.transactions.max": "1024" },
    { "idempotency.window.ms": "0" },
  ];
  const remembered: number[][] = [];
  const client = new Client(world, new Random(7));
  for (const flags of lives) {
    const life = await world.start(undefined, { flags });
    const { partitions } = life.worker;
    assertEquals(life.job.failure, null);
    const before = partitions.map(({ processor: { core } }) => core.info.remembered);
    await client.send(life, 6000);
    await drain(world, life);
    const after = partitions.map(({ processor: { core } }) => core.info.remembered);
    remembered.push([...before, ...after]);
    for (const { processor } of life.worker.partitions) {
      const { outcomes, consumed } = processor.recordCheck();
      assertEquals(outcomes, consumed);
    }
    await world.stop(life);
  }
  const [off, on, limited, offAgain] = remembered;
  assertEquals([...off!, ...offAgain!], [0, 0, 0, 0, 0, 0, 0, 0]);
  assertEquals(on!.slice(0, 2), [0, 0]);
  assert(on!.slice(2).every((n) => n > 1024));
  assertEquals(limited, [1024, 1024, 1024, 1024]);
  // All is of one minute: nothing was fired.
  for (let partition = 0; partition < PARTITIONS; partition++) {
    assertEquals(await world.values("summaries", partition), []);
  }
  world.close();
});

Deno.test("remembered transactions: a log that begins with a savepoint remembers what that does", async () => {
  const world = await World.open(FLAGS);
  const client = new Client(world, new Random(9));
  const life = await world.start();
  await client.send(life, 1000);
  await drain(world, life);
  const taken = world.clock.run(life.job.takeSavepoint("kept"), "the savepoint is taken");
  await taken;
  const before = await world.assertExactlyOnce();
  await world.stop(life);
  const keys = await Array.fromAsync(world.logKv.list({ prefix: [] }));
  for (const { key } of keys) await world.logKv.delete(key);
  // Nothing says how long it remembers: it is what the savepoint had.
  const flags = { restore: "kept", "idempotency.window.ms": "auto" } as const;
  const next = await world.start(undefined, { flags });
  assertEquals(next.log.idempotencyWindowMs, 3_600_000);
  await client.send(next, 1000);
  await drain(world, next);
  await assertMarked(world, await world.assertExactlyOnce(before));
  await world.stop(next);
  world.close();
});

Deno.test("remembered transactions: a new log remembers for ten minutes, one that was there not at all", async () => {
  const world = await World.open({ "idempotency.window.ms": "auto" });
  const life = await world.start();
  assertEquals(life.worker.context.parameters.rememberMs, 600_000);
  await world.stop(life);
  await world.logKv.set(["log"], { version: 1, id: life.log.id });
  const next = await world.start();
  assertEquals(next.worker.context.parameters.rememberMs, 0);
  await world.stop(next);
  world.close();
});

Deno.test("repetitions stay counted where idempotency is switched off and on again: all records have an outcome", async () => {
  const world = await World.open(FLAGS);
  const { position } = await countedAfter(world, "3600000");
  assert(position > 0);
  await countedAfter(world, "0");
  // It was off, so what comes now is new; and the count goes on from the checkpoint.
  await countedAfter(world, "60000");
  const last = await countedAfter(world, "0");
  assertEquals(last.duplicates, 2);
  world.close();
});

/** Sends a transaction three times under a window; fails unless accepted + rejected + invalid + duplicates = records. */
async function countedAfter(world: World, window: string) {
  const life = await world.start(undefined, { flags: { "idempotency.window.ms": window } });
  const { record } = line(7, "item_1", 1, world.clock.now());
  const partition = partitionOf(Partitioner.Murmur2, record.key, PARTITIONS);
  const appended = life.log.append("transactions", partition, [record, record]);
  await world.clock.run(appended, "it is appended");
  await drain(world, life);
  const figures = life.worker.figures().partitions.find((p) => p.partition === partition);
  const { accepted, rejected, invalid, duplicates, position, records } = figures!;
  const outcomes = invalid.reduce((sum, n) => sum + n, accepted + rejected + duplicates);
  assertEquals([outcomes, records.outcomes, records.consumed], [position, position, position]);
  await world.stop(life);
  return figures!;
}

Deno.test("other fold parameters leave no way from the log's start, also where a crash comes before their first commit", async () => {
  const world = await World.open({ "enable.summaries": "false" });
  const client = new Client(world, new Random(3));
  const first = await world.start();
  await client.send(first, 100);
  await drain(world, first);
  await world.stop(first);
  const flags = { "idempotency.window.ms": "60000" } as const;
  // It publishes checkpoints under the new parameters, and commits nothing.
  (await world.start(undefined, { flags })).kill();
  const next = await world.start(undefined, { flags });
  await client.send(next, 100);
  await drain(world, next);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const { value } = await world.logKv.get<CommittedPosition>([
      "committed",
      "transactions",
      partition,
    ]);
    assertEquals([partition, value!.start], [partition, null]);
  }
  await world.stop(next);
  world.close();
});
