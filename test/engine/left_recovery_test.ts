// A claim ends in the middle of a recovery: the claim does not wait for what the recovery does to the store.

import { assert, assertEquals } from "@std/assert";
import type { ParameterKey } from "../../src/parameters/mod.ts";
import { LostError } from "../../src/log/mod.ts";
import { Random } from "../../tools/kit/random.ts";
import type { FaultKv } from "../kv/fault_kv.ts";
import { HeldReads } from "../kv/held_reads.ts";
import { HeldWrites } from "../kv/held_writes.ts";
import { capturingLogs } from "./captured_logs.ts";
import { drain, feed } from "./feeding.ts";
import { NoticingLog } from "./noticing_log.ts";
import { type Life, PARTITIONS, World } from "./world.ts";

type Held = HeldReads | HeldWrites;

interface Scene {
  readonly world: World;
  readonly life: Life;
  readonly log: NoticingLog;
  readonly held: Held;
}

const hasCheckpoints = ({ worker: { partitions } }: Life) =>
  partitions.length === 2 &&
  partitions.every(({ checkpointer, processor }) =>
    checkpointer.newest?.offset === processor.position
  );

/** A job that recovers both partitions from checkpoints and from the log, whose store does not answer on the way. */
async function open(
  hold: (kv: FaultKv) => Held,
  flags: Partial<Record<ParameterKey, string>> = {},
): Promise<Scene> {
  const world = await World.open({ "watchdog.timeout.ms": "3600000" });
  const first = await world.start();
  await feed(world, first, new Random(7), 60);
  await drain(world, first);
  await world.clock.until(() => hasCheckpoints(first), "the first checkpoints");
  if (Object.keys(flags).length === 0) {
    await feed(world, first, new Random(8), 40);
    await drain(world, first);
  }
  first.kill();
  let log!: NoticingLog;
  const gate = Promise.withResolvers<void>();
  const life = await world.start(() => null, {
    flags,
    wait: false,
    wrapLog: (of) => {
      log = new NoticingLog(of);
      log.gate = gate.promise;
      return log;
    },
  });
  const held = hold(life.stateKv);
  gate.resolve();
  await world.clock.until(() => held.held.length > 0, "the store is asked");
  await world.clock.settle();
  return { world, life, log, held };
}

async function goOn({ world, life }: Scene): Promise<void> {
  await world.clock.until(() => life.job.isReady, "it is recovered");
  await feed(world, life, new Random(10), 40);
  await drain(world, life);
  await world.clock.until(() => hasCheckpoints(life), "the last checkpoints");
  assertEquals(life.worker.recoveries, 0);
  await world.stop(life);
}

async function close(scene: Scene): Promise<void> {
  await goOn(scene);
  await scene.world.assertExactlyOnce();
  scene.world.close();
}

/** All that a recovery asks of the store before its partition runs, in its order. */
const OPERATIONS: Readonly<Record<string, (kv: FaultKv) => Held>> = {
  "reads its epoch": (kv) => new HeldReads(kv, "epoch"),
  "takes it over": (kv) => new HeldWrites(kv, "epoch"),
  "lists its checkpoints": (kv) => new HeldReads(kv, "manifest"),
  "reads a checkpoint": (kv) => new HeldReads(kv, "chunk"),
  "opens the chain of its checkpoints": (kv) => new HeldReads(kv, "head"),
};

for (const [what, hold] of Object.entries(OPERATIONS)) {
  Deno.test(`a recovery is left at once when its claim ends, while it ${what}`, async () => {
    await capturingLogs(async (logged) => {
      const scene = await open(hold);
      const { world, life, log, held } = scene;
      const [underWay] = held.held;
      log.giveNotice();
      await world.clock.until(() => log.claims === 2, "the next claim");
      assert(held.held.includes(underWay!), "the store has not answered yet");
      assertEquals(life.worker.partitions, []);
      held.release();
      await close(scene);
      assertEquals(logged.filter((line) => line.includes("behind its claim")), []);
    });
  });
}

Deno.test("a recovery that is left while its history is written goes on where it stands", async () => {
  const scene = await open((kv) => new HeldWrites(kv, "history"));
  const { world, life, log, held } = scene;
  log.giveNotice();
  await world.clock.until(() => log.claims === 2 && life.job.isReady, "the next claim");
  assert(held.held.length > 0, "the store has not answered yet");
  held.release();
  await close(scene);
});

Deno.test("a recovery is left at once when its claim ends, while it writes the checkpoint under other fold parameters", async () => {
  const flags = { "time.intervals.in.minutes": "5" } as const;
  const scene = await open((kv) => new HeldWrites(kv, "mark"), flags);
  const { world, life, log, held } = scene;
  const [underWay] = held.held;
  log.giveNotice();
  await world.clock.until(() => log.claims === 2, "the next claim");
  assert(held.held.includes(underWay!), "the store has not answered yet");
  held.release();
  await goOn(scene);
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const inputs = await world.read("transactions", partition);
    const letters = await world.read("dead-letters", partition);
    const results = await world.values("transaction-results", partition);
    assertEquals(results.length + letters.length, inputs.length);
    const summaries = await world.values("summaries", partition);
    assertEquals(new Set(summaries).size, summaries.length);
    assert(summaries.length > 0);
  }
  assertEquals(life.worker.recoveries, 0);
  world.close();
});

for (const what of ["reads its epoch", "takes it over"]) {
  Deno.test(`a recovery that was left while it ${what} in the store changes nothing of what the next owner has there`, async () => {
    const { world, life, log, held } = await open(OPERATIONS[what]!);
    const gate = Promise.withResolvers<void>();
    const { claims } = log;
    let isAsked = false;
    log.gate = gate.promise;
    log.onClaim = () => isAsked = true;
    log.giveNotice();
    await world.clock.until(() => isAsked, "the claim is over");
    assertEquals(log.claims, claims);
    const other = await world.start();
    await feed(world, other, new Random(9), 40);
    await drain(world, other);
    await world.clock.until(() => hasCheckpoints(other), "the next owner's checkpoints");
    await world.clock.settle();
    const kinds = ["chunk", "manifest", "head", "mark", "epoch"];
    const stored = () =>
      Promise.all(kinds.map((kind) => Array.fromAsync(world.stateKv.list({ prefix: [kind] }))));
    const before = await stored();
    assert(held.held.length > 0, "the store has not answered yet");
    held.release();
    await world.clock.advance(2000);
    assertEquals(held.held, []);
    assertEquals(await stored(), before);
    await world.stop(other);
    life.kill();
    await world.assertExactlyOnce();
    world.close();
  });
}

Deno.test("a process that stops in the middle of a recovery ends its claim at once, and closes the store behind what is under way", async () => {
  await capturingLogs(async (logged) => {
    const { world, life, log, held } = await open(OPERATIONS["reads a checkpoint"]!);
    let isStopped = false;
    const stopped = life.job.stop().finally(() => isStopped = true);
    await world.clock.until(() => log.closed === 1, "the session is closed");
    await world.clock.advance(2000);
    assert(held.held.length > 0 && !isStopped, "the store has not answered yet");
    held.release();
    await world.clock.run(stopped, "the job stops");
    assert(logged.some((line) => line.includes("comes after the next start")), `${logged}`);
    const last = await world.start();
    await drain(world, last);
    await world.stop(last);
    await world.assertExactlyOnce();
    world.close();
  });
});

for (const next of ["does not come about", "is there already"]) {
  Deno.test(`a stop behind the end of a claim takes the last checkpoints, where the next claim ${next}`, async () => {
    const world = await World.open({ "checkpoint.interval.millis": "86400000" });
    let log!: NoticingLog;
    const life = await world.start(() => null, { wrapLog: (of) => log = new NoticingLog(of) });
    await feed(world, life, new Random(7), 60);
    await drain(world, life);
    const ends = life.worker.partitions.map(({ processor }) => processor.position);
    const gate = Promise.withResolvers<void>();
    let isAsked = false;
    log.gate = gate.promise;
    log.onClaim = () => isAsked = true;
    log.giveNotice();
    await world.clock.until(() => isAsked, "the claim is over");
    const stopped = life.job.stop();
    if (next === "is there already") gate.resolve();
    else gate.reject(new LostError("The claim was given up"));
    await world.clock.run(stopped, "the job stops");
    const stored = await Promise.all([0, 1].map((p) => life.job.store.list(p)));
    assertEquals(stored.map(([first]) => Number(first?.manifest?.scalars.position)), ends);
    await world.assertExactlyOnce();
    world.close();
  });
}
