// A process that stops while others may have its partitions next.

import { assert, assertEquals } from "@std/assert";
import type { Checkpointer } from "../../src/engine/checkpoint.ts";
import { type Checkpointed, takeAtStop } from "../../src/engine/checkpoints_due.ts";
import { never } from "../../src/engine/waiters.ts";
import { LostError } from "../../src/log/mod.ts";
import { systemClock } from "../../src/types/mod.ts";
import { HeldWrites } from "../kv/held_writes.ts";
import { Random } from "../../tools/kit/random.ts";
import { capturingLogs } from "./captured_logs.ts";
import { drain, feed } from "./feeding.ts";
import { NoticingLog } from "./noticing_log.ts";
import { SharedLog } from "./shared_log.ts";
import { World } from "./world.ts";

async function open() {
  const world = await World.open({ "watchdog.timeout.ms": "3600000" });
  let log!: SharedLog;
  const life = await world.start(() => null, { wrapLog: (of) => log = new SharedLog(of) });
  await feed(world, life, new Random(7), 60);
  await drain(world, life);
  return { world, life, log };
}

Deno.test("where partitions are shared, a process that stops has closed its sessions before its last checkpoints", async () => {
  const { world, life, log } = await open();
  const newest = () => life.worker.partitions.map((p) => p.checkpointer.newest?.offset);
  const ends = life.worker.partitions.map((p) => p.processor.position);
  const atClose: (number | undefined)[][] = [];
  log.onClosed = () => atClose.push(newest());
  await world.stop(life);
  assertEquals(log.left, 1);
  assert(atClose[0]!.every((offset, p) => offset !== ends[p]), `${atClose[0]}, not ${ends}`);
  const stored = await Promise.all([0, 1].map((p) => life.job.store.list(p)));
  assertEquals(stored.map(([first]) => Number(first!.manifest!.scalars.position)), ends);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("where partitions are shared, a process that stops may be overtaken at its last checkpoints", async () => {
  await capturingLogs(async (logged) => {
    const { world, life, log } = await open();
    const epoch = ["epoch", "test", 0];
    const { value } = await world.stateKv.get<number>(epoch);
    let overtaken: Promise<unknown> = Promise.resolve();
    log.onClosed = () => overtaken = world.stateKv.set(epoch, value! + 1);
    await world.stop(life);
    await overtaken;
    assertEquals(life.job.failure, null);
    assertEquals(life.worker.recoveries, 0);
    assert(logged.some((line) => line.includes("Partition 0 has its next owner already")));
    const wrong = logged.filter((line) => /^(warning|error) (?!Invalid in)/.test(line));
    assertEquals(wrong, []);
    world.close();
  });
});

Deno.test("where partitions are shared, a process that stops has closed its sessions before the checkpoint under way is written", async () => {
  const { world, life, log } = await open();
  const writes = new HeldWrites(life.stateKv, "mark");
  await feed(world, life, new Random(8), 40);
  await world.clock.until(() => writes.held.length > 0, "a checkpoint is being written");
  let isClosed = false;
  log.onClosed = () => isClosed = true;
  const stopped = life.job.stop();
  await world.clock.until(() => isClosed, "the session is closed");
  assertEquals(writes.held.length, 1, "the store has not answered yet");
  const ends = life.worker.partitions.map((p) => p.processor.position);
  writes.release();
  await world.clock.run(stopped, "the job stops");
  const stored = await Promise.all([0, 1].map((p) => life.job.store.list(p)));
  assertEquals(stored.map(([first]) => Number(first!.manifest!.scalars.position)), ends);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("a process that takes its last checkpoints closes its session when its claim ends meanwhile", async () => {
  const world = await World.open({ "watchdog.timeout.ms": "3600000" });
  let log!: NoticingLog;
  const life = await world.start(() => null, { wrapLog: (of) => log = new NoticingLog(of) });
  await feed(world, life, new Random(7), 60);
  await drain(world, life);
  const writes = new HeldWrites(life.stateKv, "mark");
  const ends = life.worker.partitions.map((p) => p.processor.position);
  const stopped = life.job.stop();
  await world.clock.until(() => writes.held.length > 0, "a last checkpoint is being written");
  await world.clock.settle();
  assertEquals(log.closed, 0, "nobody else wants the partitions");
  log.giveNotice();
  await world.clock.until(() => log.closed > 0, "the session is closed");
  assertEquals(writes.held.length, 1, "the store has not answered yet");
  writes.release();
  await world.clock.run(stopped, "the job stops");
  assertEquals(log.claims, 1);
  const stored = await Promise.all([0, 1].map((p) => life.job.store.list(p)));
  assertEquals(stored.map(([first]) => Number(first?.manifest?.scalars.position)), ends);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("where partitions are shared, a process that stops asks a store that is away once, and not for each partition", async () => {
  const asked: number[] = [];
  const partitions = [0, 1].map((partition): Checkpointed => {
    const checkpointer: Partial<Checkpointer> = {
      isOwner: () => {
        asked.push(partition);
        return Promise.reject(new LostError("The store of checkpoints: it did not answer"));
      },
      take: () => Promise.reject(new Error("No checkpoint can be taken")),
    };
    return {
      partition,
      isRunning: false,
      leaving: never(),
      checkpointer: checkpointer as Checkpointer,
    };
  });
  await takeAtStop(partitions, Promise.resolve(), () => true);
  assertEquals(asked, [0]);
});

Deno.test("where partitions are shared, a process that stops does not wait for a checkpoint that a store that is away does not take", async () => {
  const underWay = Promise.withResolvers<void>();
  const checkpointer: Partial<Checkpointer> = {
    isOwner: () => Promise.reject(new LostError("The store of checkpoints: it did not answer")),
    take: () => Promise.reject(new Error("No checkpoint can be taken")),
  };
  const partition: Checkpointed = {
    partition: 0,
    isRunning: false,
    leaving: never(),
    checkpointer: checkpointer as Checkpointer,
  };
  await capturingLogs(async (logged) => {
    let isOver = false;
    const taken = takeAtStop([partition], underWay.promise, () => true).then(() => isOver = true);
    await systemClock.yield();
    const wasOver = isOver;
    // What is tried in vain ends behind it.
    underWay.reject(new LostError("The store of checkpoints: it did not answer"));
    await taken.catch(() => {});
    assert(wasOver, "it waits for the checkpoint under way");
    assert(logged.some((line) => line.includes("The last checkpoints are left out")));
  });
});

Deno.test("where partitions are shared, a process that stops waits for the checkpoint under way while the store answers", async () => {
  const underWay = Promise.withResolvers<void>();
  const taken: string[] = [];
  const checkpointer: Partial<Checkpointer> = {
    isOwner: () => Promise.resolve(true),
    take: () => {
      taken.push("the last one");
      return Promise.resolve(null);
    },
  };
  const partition: Checkpointed = {
    partition: 0,
    isRunning: false,
    leaving: never(),
    checkpointer: checkpointer as Checkpointer,
  };
  const stopped = takeAtStop([partition], underWay.promise, () => true);
  await systemClock.yield();
  assertEquals(taken, []);
  taken.push("the one under way");
  underWay.resolve();
  await stopped;
  assertEquals(taken, ["the one under way", "the last one"]);
});
