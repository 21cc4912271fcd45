import { Retention } from "../../src/service/retention.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { StopError } from "../../src/log/mod.ts";
import {
  CheckpointStore,
  exportCheckpoints,
  importCheckpoints,
  type Savepoint,
  withPinned,
} from "../../src/state/mod.ts";
import { readExported } from "../../src/state/read_exported.ts";
import { toKv } from "../../src/kv/mod.ts";
import { Model } from "../model/model.ts";
import { casesOfTest, Random } from "../../tools/kit/random.ts";
import { hashOfCore } from "../model/state_hash.ts";
import type { Fault } from "../kv/fault_kv.ts";
import { capturingLogs } from "../engine/captured_logs.ts";
import { drain, feed } from "../engine/feeding.ts";
import { NAME, take } from "./savepoint_fixture.ts";
import { type Life, PARTITIONS, type Plan, World } from "../engine/world.ts";

const RESTORE = { flags: { restore: NAME } };

function storeOf(kv: Deno.Kv, world: World): Promise<CheckpointStore> {
  return CheckpointStore.open(toKv(kv), { job: "test", clock: world.clock, chance: () => 0.5 });
}

/** Models of the partitions up to a savepoint. */
async function modelsAt(world: World, savepoint: Savepoint): Promise<Model[]> {
  return await Promise.all(savepoint.partitions.map(async (member, partition) => {
    const model = new Model(world.modelOptions(partition));
    for (const record of await world.read("transactions", partition)) {
      if (record.offset < (member?.offset ?? 0)) model.fold(record);
    }
    return model;
  }));
}

/** Brings checkpoints into another world, as a file. */
async function move(
  from: World,
  to: World,
  { all }: { all: boolean } = { all: false },
): Promise<void> {
  const store = await storeOf(from.stateKv, from);
  const savepoints = await store.savepoints.list();
  const newest = all ? (await Promise.all([0, 1].map((p) => store.list(p)))).map((l) => l[0]!) : [];
  const manifests = await withPinned(store, newest.map((n) => n.manifest!), savepoints);
  const parts: number[] = [];
  for await (const part of exportCheckpoints(store, manifests, savepoints)) parts.push(...part);
  await importCheckpoints(
    await storeOf(to.stateKv, to),
    readExported(Uint8Array.from(parts)),
  );
}

/** A world with a savepoint in its middle and models of that moment, and a world where it was brought. */
async function saved(
  flags: Record<string, string> = {},
  options: { all: boolean } = { all: false },
): Promise<{ first: World; second: World; savepoint: Savepoint; models: Model[] }> {
  const first = await World.open({ "time.intervals.in.minutes": "60", ...flags });
  const life = await first.start();
  const random = new Random(11);
  for (let round = 0; round < 4; round++) {
    await feed(first, life, random, 40);
    await first.clock.advance(1500);
  }
  const savepoint = await take(first, life);
  const models = await modelsAt(first, savepoint);
  for (let round = 0; round < 4; round++) {
    await feed(first, life, random, 40);
    await first.clock.advance(1500);
  }
  await drain(first, life);
  await first.stop(life);
  const second = await World.open({ "time.intervals.in.minutes": "60", ...flags });
  await move(first, second, options);
  return { first, second, savepoint, models };
}

function closeAll(...worlds: World[]): void {
  for (const world of worlds) world.close();
}

/** Fails unless every partition has the state of its model: stock, windows, counters, position. */
async function assertState(life: Life, models: readonly Model[]): Promise<void> {
  for (const [partition, model] of models.entries()) {
    const { core } = life.worker.partitions.find((m) =>
      m.claimed.partition === partition
    )!.processor;
    const { state, info } = core;
    assertEquals(Number(state.position), model.position);
    assertEquals(Number(state.items), model.stock.size);
    assertEquals(Number(state.accepted), model.accepted);
    assertEquals(Number(state.rejected), model.rejected);
    assertEquals(Number(state.late), model.late);
    assertEquals(state.quantitySum, model.quantitySum);
    assertEquals(
      state.invalid.map(Number).reduce((a, b) => a + b),
      [...model.invalid.values()].reduce((a, b) => a + b, 0),
    );
    assertEquals(info.openWindows, model.windows.size);
    const items = [...model.stock.keys()];
    assertEquals(
      await life.job.lookUp(items, new AbortController().signal),
      items.map((item) => model.stock.get(item)!),
    );
  }
}

Deno.test("restore gives stock, windows and counters of the savepoint, and the job goes on for ever", async () => {
  for (const eventTime of ["true", "false"]) {
    const { first, second, savepoint, models } = await saved({ "event.time": eventTime });
    const life = await second.start(() => null, RESTORE);
    await assertState(life, models);
    assert(models.some((m) => m.windows.size > 0));
    const manifests = await life.job.store.savepoints.manifests(savepoint);
    assertEquals(
      life.worker.partitions.map((m) => hashOfCore(m.processor.core)),
      manifests.map((m) => m!.stateHash),
    );
    assertEquals(
      savepoint.partitions.map((m) => m!.offset),
      [0, 1].map((p) => life.log.bounds("transactions", p).start),
    );
    // On it goes: with checkpoints, a crash, and the end of the windows.
    const random = new Random(12);
    await feed(second, life, random, 50);
    await second.clock.advance(1500);
    await drain(second, life);
    life.kill();
    const again = await second.start();
    for (let round = 0; round < 6; round++) {
      await feed(second, again, random, 30);
      await second.clock.advance(1500);
      await second.clock.advance(3_600_000);
    }
    await drain(second, again);
    await second.stop(again);
    const after = await second.assertExactlyOnce(models);
    assert(after.some((m) => m.summaries.length > 0));
    const newest = (await again.job.store.list(0))[0]!.manifest!;
    assertEquals(newest.logId, again.log.id);
    assert(newest.sequence > savepoint.partitions[0]!.sequence);
    // The savepoint is still there, and can be restored once more.
    assertEquals((await again.job.store.savepoints.list()).map((s) => s.name), [NAME]);
    closeAll(first, second);
  }
});

Deno.test("restore commits the savepoint's position first: a crash at any write leaves no log or the whole one", async () => {
  const { first, second: unused, models } = await saved();
  unused.close();
  const outcomes = { noLog: 0, log: 0 };
  const faults: Fault[] = ["dies before", "dies after", "answer lost", "fails"];
  for (const [row, fault] of faults.entries()) {
    for (const file of ["log", "state"] as const) {
      for (const at of casesOfTest(1, 4, 3, row)) {
        const world = await World.open({ "time.intervals.in.minutes": "60" });
        await move(first, world);
        const plan: Plan = (f, n) => f === file && n === at ? fault : null;
        const life = await world.start(plan, { ...RESTORE, wait: false }).catch(() => null);
        await world.clock.advance(1000);
        life?.kill();
        const there = (await world.logKv.get(["log"])).value !== null;
        outcomes[there ? "log" : "noLog"]++;
        if (!there) {
          // But for the mark of whoever opened it last.
          const left = await Array.fromAsync(world.logKv.list({ prefix: [] }));
          assertEquals(left.filter(({ key }) => key[0] !== "commit"), []);
        }
        const next = await world.start(() => null, there ? {} : RESTORE);
        await assertState(next, models);
        next.kill();
        world.close();
      }
    }
  }
  assert(outcomes.noLog > 0 && outcomes.log > 5, JSON.stringify(outcomes));
  first.close();
});

async function mustNotRestore(
  world: World,
  flags: Record<string, string> = {},
): Promise<StopError> {
  const error = await assertRejects(
    () => world.start(() => null, { flags: { restore: NAME, ...flags } }),
    StopError,
  ) as StopError;
  assert(error.remedy.length > 20);
  return error;
}

Deno.test("a savepoint is restored into a new log alone", async () => {
  const { first, second, models } = await saved();
  const old = await mustNotRestore(first);
  assert(old.message.includes("There is a log in data/log.kv already"), old.message);
  assert(old.remedy.includes("start without --restore"));
  assert(old.remedy.includes("--replace-log"));
  const life = await second.start(() => null, RESTORE);
  await second.stop(life);
  // The log that began with it goes on: a container is started again with the same flags.
  const random = new Random(13);
  for (let round = 0; round < 2; round++) {
    const again = await second.start(() => null, RESTORE);
    if (round === 0) await assertState(again, models);
    assertEquals(again.log.id, life.log.id);
    await feed(second, again, random, 20);
    await drain(second, again);
    if (round === 0) await second.stop(again);
    else again.kill();
  }
  const next = await second.start(() => null, RESTORE);
  await drain(second, next);
  // Also when the savepoint was given up meanwhile, or another one has its name: a log is never lost silently.
  assert(await next.job.store.savepoints.unpin(NAME));
  await second.stop(next);
  const later = await second.start(() => null, RESTORE);
  await take(second, later);
  await second.stop(later);
  let last!: Life;
  await capturingLogs(async (logged) => {
    last = await second.start(() => null, RESTORE);
    assert(
      logged.some((line) => line.includes("another savepoint before-sale by now")),
      `${logged}`,
    );
  });
  assertEquals(last.log.id, life.log.id);
  await take(second, last, "other");
  await second.stop(last);
  const other = await mustNotRestore(second, { restore: "other" });
  assert(other.message.includes("which began with savepoint before-sale at 20"), other.message);
  await second.assertExactlyOnce(models);
  closeAll(first, second);
});

Deno.test("a savepoint that is missing, damaged or of other partitions is refused, and nothing is created", async () => {
  const { first, second } = await saved();
  const untouched = async () =>
    assertEquals((await Array.fromAsync(second.logKv.list({ prefix: [] }))).length, 0);
  const missing = await mustNotRestore(second, { restore: "after-sale" });
  assertEquals(
    missing.message,
    "There is no savepoint after-sale in data/state.kv; it has before-sale",
  );
  await untouched();
  const other = await mustNotRestore(second, { "log.partitions": "3" });
  assertEquals(other.message, "Savepoint before-sale has 2 partitions, log.partitions is 3");
  assertEquals(other.remedy, "start with --log.partitions=2");
  await untouched();
  let damaged = 0;
  for (const prefix of [["chunk"], ["manifest"]]) {
    for await (const { key, value } of second.stateKv.list<Uint8Array>({ prefix })) {
      if (damaged++ % 9 !== 0 && prefix[0] === "chunk") continue;
      const altered = value.slice();
      altered[Math.floor(value.length / 2)]! ^= 4;
      await second.stateKv.set(key, altered);
      const error = await mustNotRestore(second);
      assert(error.message.includes("Savepoint before-sale is damaged: "), error.message);
      await untouched();
      await second.stateKv.delete(key);
      assert((await mustNotRestore(second)).message.includes("is missing"));
      await second.stateKv.set(key, value);
    }
  }
  assert(damaged > 10, `${damaged}`);
  closeAll(first, second);
});

Deno.test("later checkpoints of the log before a restore never serve", async () => {
  const { first, second, models } = await saved({}, { all: true });
  const newest = (await first.stateKv.get<number>(["head", "test", 0])).value;
  const flags = { "checkpoint.interval.millis": "0" };
  const life = await second.start(() => null, { flags: { ...RESTORE.flags, ...flags } });
  await assertState(life, models);
  // Nothing was folded yet: a savepoint is the one restored, not the newest checkpoint of the store.
  const same = await take(second, life, "same");
  assert(same.partitions[0]!.sequence < newest!);
  // Beyond the offsets of those checkpoints, and without one of its own.
  const random = new Random(13);
  for (let round = 0; round < 8; round++) await feed(second, life, random, 60);
  await drain(second, life);
  const offset = life.worker.partitions[0]!.processor.acknowledged.offset;
  const foreign = (await life.job.store.list(0))[0]!.manifest!;
  assert(foreign.scalars.position < offset && foreign.logId !== life.log.id);
  life.kill();
  const again = await second.start(() => null, { flags });
  assertEquals(again.job.failure, null);
  await feed(second, again, random, 20);
  await drain(second, again);
  await second.assertExactlyOnce(models);
  again.kill();
  // And if the savepoint's own is lost, that is reported.
  for (const { sequence } of same.partitions.map((m) => m!)) {
    for (const p of [0, 1]) await second.stateKv.delete(["manifest", "test", p, sequence]);
  }
  const lost = await second.start(() => null, { flags });
  assert(lost.job.failure instanceof StopError);
  assert(lost.job.failure.message.includes("it belongs to another log"), lost.job.failure.message);
  lost.kill();
  closeAll(first, second);
});

Deno.test("a savepoint of empty partitions is not a missing one", async () => {
  const first = await World.open();
  const life = await first.start();
  const savepoint = await take(first, life);
  assertEquals(savepoint.partitions, [null, null]);
  await first.stop(life);
  const second = await World.open();
  await move(first, second);
  const restored = await second.start(() => null, RESTORE);
  await feed(second, restored, new Random(2), 40);
  await drain(second, restored);
  await second.assertExactlyOnce();
  restored.kill();
  // It began in this log: no checkpoint is needed.
  const again = await second.start();
  assertEquals(again.job.failure, null);
  again.kill();
  closeAll(first, second);
});

Deno.test("a savepoint may be restored under other fold parameters: its windows are fired", async () => {
  const { first, second, models } = await saved();
  const flags = { "time.intervals.in.minutes": "5" };
  const life = await second.start(() => null, { flags: { ...RESTORE.flags, ...flags } });
  assertEquals(life.job.failure, null);
  await feed(second, life, new Random(5), 30);
  await drain(second, life);
  await second.stop(life);
  for (const [partition, model] of models.entries()) {
    model.summaries.length = 0;
    model.idle();
    const fired = (await second.values("summaries", partition)).toSorted();
    const expected = model.summaries.map(({ summary: s }) =>
      [
        s.itemId,
        s.windowStart,
        s.windowEnd,
        s.numSuccessfulTransactions,
        s.numFailedTransactions,
        s.totalVolume,
      ].join("\t")
    ).toSorted();
    assertEquals(fired, expected);
    assert(expected.length > 0);
  }
  closeAll(first, second);
});

Deno.test("a savepoint beyond the retained checkpoints does not hold the log; what is restored does", async () => {
  const flags = { "log.retention.ms": "60000", "checkpoint.retained": "1" };
  const { first, second, savepoint } = await saved(flags, { all: true });
  const again = await first.start();
  await first.clock.advance(3_600_000);
  await feed(first, again, new Random(1), 40);
  await drain(first, again);
  await first.clock.until(
    () => again.log.bounds("transactions", 0).start > savepoint.partitions[0]!.offset,
    "old records are removed",
  );
  assertEquals((await again.job.store.savepoints.list()).length, 1);
  await first.stop(again);
  // Without a checkpoint of its own the restored job needs its log from the start.
  const none = { "checkpoint.interval.millis": "0" };
  const life = await second.start(() => null, { flags: { ...RESTORE.flags, ...none } });
  await feed(second, life, new Random(1), 40);
  await drain(second, life);
  await second.clock.advance(3_600_000);
  await second.clock.advance(120_000);
  await second.clock.run(
    new Retention(life.log, life.job.context, { ms: 60_000, bytes: 0, sinkBytes: 0 }, () => 0)
      .look(),
    "retention looks",
  );
  for (let p = 0; p < PARTITIONS; p++) {
    assertEquals(life.log.bounds("transactions", p).start, savepoint.partitions[p]!.offset);
  }
  life.kill();
  closeAll(first, second);
});
