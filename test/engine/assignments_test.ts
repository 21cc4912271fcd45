// Partitions that are assigned to workers of one process and revoked while the others go on.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Assignments } from "../../src/engine/assignments.ts";
import type { JobWorker } from "../../src/engine/job_worker.ts";
import { TransactionWorker } from "../../src/engine/worker.ts";
import { type CommitOutcome, type Log, LostError, UnavailableError } from "../../src/log/mod.ts";
import { OtherSessions } from "../log/log_doubles.ts";
import { Random } from "../../tools/kit/random.ts";
import { feed } from "./feeding.ts";
import { type Life, line, PARTITIONS, World } from "./world.ts";
import { encodeUtf8, Partitioner, partitionOf } from "../../src/types/mod.ts";

interface Scene {
  readonly world: World;
  readonly life: Life;
  readonly first: TransactionWorker;
  /** A second worker of the process, which has no partition at first. */
  readonly second: TransactionWorker;
  stop(): Promise<void>;
}

/** @param wrapLog puts something between the workers and their log */
async function open(wrapLog: (log: Log) => Log = (log) => log): Promise<Scene> {
  const world = await World.open();
  const life = await world.start(() => null, { wrapLog });
  const stop = new AbortController();
  const second = new TransactionWorker({ ...life.worker.context, partitions: [], worker: 1 });
  const running = second.run(stop.signal);
  return {
    world,
    life,
    first: life.worker,
    second,
    stop: async () => {
      stop.abort();
      await world.clock.run(running, "the second worker stops");
      await world.stop(life);
      await world.assertExactlyOnce();
      world.close();
    },
  };
}

const numbersOf = ({ partitions }: TransactionWorker) => partitions.map((p) => p.partition);

/** Waits until all that is in the log of a partition is committed by one of the workers. */
async function drain({ world, life, first, second }: Scene, partition: number): Promise<void> {
  await world.clock.until(() => {
    const found = [...first.partitions, ...second.partitions]
      .filter((p) => p.partition === partition);
    return found.length === 1 &&
      found[0]!.processor.acknowledged.offset === life.log.bounds("transactions", partition).end;
  }, `partition ${partition} is committed`);
}

/** One of the items of a partition. */
function itemOf(partition: number, n: number): string {
  const ids = Array.from({ length: 100 }, (_, i) => `item_${n}_${i}`);
  return ids.find((id) =>
    partitionOf(Partitioner.Murmur2, encodeUtf8(id), PARTITIONS) === partition
  )!;
}

async function append({ world, life }: Scene, partition: number, id: number): Promise<void> {
  const { record } = line(id, itemOf(partition, id), 1, 5);
  await world.clock.run(life.log.append("transactions", partition, [record]), "a record");
}

Deno.test("a partition goes from one worker to another and back while the others go on", async () => {
  const scene = await open();
  const { world, life, first, second } = scene;
  const stays = first.partitions[1]!;
  for (let round = 0; round < 4; round++) {
    await feed(world, life, new Random(round), 60);
    const [from, to] = round % 2 === 0 ? [first, second] : [second, first];
    await world.clock.run(from.revoke(0), "it is revoked");
    assert(!numbersOf(from).includes(0));
    await append(scene, 0, round);
    await append(scene, 1, round);
    await drain(scene, 1);
    await world.clock.run(to.assign(0), "it is assigned");
    assert(numbersOf(to).includes(0));
    await drain(scene, 0);
  }
  assert(first.partitions.includes(stays), "the other one was never given up");
  assertEquals([first.recoveries, second.recoveries], [0, 0]);
  await scene.stop();
});

Deno.test("status and savepoints ask the worker that has a partition, also once it was moved", async () => {
  const scene = await open();
  const { world, life, first, second } = scene;
  (life.job.workers as JobWorker[]).push(second);
  const owners = () => life.job.status().partitions.map(({ worker }) => worker);
  for (const partition of [0, 1]) await append(scene, partition, partition);
  for (const partition of [0, 1]) await drain(scene, partition);
  assertEquals(owners(), [0, 0]);
  await world.clock.run(first.revoke(0), "it is revoked");
  assertEquals(owners(), [null, 0]);
  await assertRejects(
    () => world.clock.run(life.job.takeSavepoint("none"), "it is refused"),
    UnavailableError,
    "Partitions are being recovered",
  );
  life.job.context.owners.setOffline(0, "partition 0 of it has no leader");
  await assertRejects(
    () => world.clock.run(life.job.takeSavepoint("none"), "it is refused"),
    UnavailableError,
    "partition 0 of it has no leader",
  );
  await world.clock.run(second.assign(0), "it is assigned");
  assertEquals(owners(), [1, 0]);
  const savepoint = await world.clock.run(life.job.takeSavepoint("moved"), "it is taken");
  assertEquals(savepoint.partitions.map((p) => p?.offset), [1, 1]);
  await scene.stop();
});

/** A log whose commits of partition 0 wait for a gate, and are lost if asked so. */
class GatedLog extends OtherSessions {
  gate = Promise.resolve();
  outcome: CommitOutcome = "committed";
  waiting = 0;
  claims = 0;
  claimGate = Promise.resolve();

  constructor(log: Log) {
    super(log, (session) => ({
      commit: async (commit, signal) => {
        if (session.input !== "transactions" || !commit.positions.some((p) => p.partition === 0)) {
          return await session.commit(commit, signal);
        }
        this.waiting++;
        await this.gate;
        return this.outcome === "committed" ? await session.commit(commit, signal) : "lost";
      },
    }));
  }

  override async claim(...args: Parameters<Log["claim"]>) {
    this.claims++;
    await this.claimGate;
    return await super.claim(...args);
  }
}

/** A partition that has been folded, and whose commit waits; its revocation as well. */
async function revoking(): Promise<Scene & { log: GatedLog; release(): void; revoked(): boolean }> {
  let log: GatedLog | null = null;
  const scene = await open((of) => log = new GatedLog(of));
  const gate = Promise.withResolvers<void>();
  log!.gate = gate.promise;
  await append(scene, 0, 1);
  await scene.world.clock.until(() => log!.waiting > 0, "the commit is on its way");
  let done = false;
  void scene.first.revoke(0).then(() => done = true);
  await scene.world.clock.advance(5000);
  return { ...scene, log: log!, release: () => gate.resolve(), revoked: () => done };
}

Deno.test("a revocation waits until what was folded is acknowledged", async () => {
  const scene = await revoking();
  assertEquals(scene.revoked(), false);
  assertEquals(numbersOf(scene.first), [0, 1], "its look-ups are answered meanwhile");
  scene.release();
  await scene.world.clock.until(() => scene.revoked(), "it is revoked");
  assertEquals(numbersOf(scene.first), [1]);
  await scene.world.clock.run(scene.second.assign(0), "it is assigned");
  assertEquals(scene.second.partitions[0]!.claimed.committed.offset, 1);
  await scene.stop();
});

Deno.test("a revocation whose last commit is lost waits until the next claim has fenced the session off", async () => {
  const scene = await revoking();
  const { world, log, first } = scene;
  const claim = Promise.withResolvers<void>();
  log.claimGate = claim.promise;
  log.outcome = "lost";
  scene.release();
  const before = log.claims;
  await world.clock.until(() => log.claims > before, "the next claim is on its way");
  await world.clock.advance(1000);
  assertEquals([numbersOf(first), scene.revoked()], [[], false]);
  log.outcome = "committed";
  claim.resolve();
  await world.clock.until(() => scene.revoked(), "it is revoked");
  await world.clock.until(() => numbersOf(first).includes(1), "the other one goes on");
  assertEquals(numbersOf(first), [1], "it is not claimed again");
  await world.clock.run(scene.second.assign(0), "it is assigned");
  await drain(scene, 0);
  await scene.stop();
});

Deno.test("a partition that is assigned while a claim is on its way is taken up behind it", async () => {
  const scene = await open();
  const { world, first } = scene;
  await world.clock.run(first.revoke(0), "it is revoked");
  const stop = new AbortController();
  const third = new TransactionWorker({ ...first.context, partitions: [], worker: 2 });
  const assigned = third.assign(0);
  const running = third.run(stop.signal);
  await world.clock.run(assigned, "it is assigned");
  assertEquals(numbersOf(third), [0]);
  await append(scene, 0, 1);
  stop.abort();
  await world.clock.run(running, "it stops in good order");
  await world.clock.run(first.assign(0), "it is assigned");
  await scene.stop();
});

Deno.test("Assignments: a revocation waits for a claim on its way that asks for the partition", async () => {
  const assignments = new Assignments([0, 1]);
  assertEquals(assignments.claiming(), [0, 1]);
  assignments.begun([0, 1]);
  assignments.ended("acknowledged");
  assertEquals(assignments.claiming(), [0, 1]);
  let done = false;
  const revoked = assignments.revoke(1, new AbortController().signal).then(() => done = true);
  await Promise.resolve();
  assignments.begun([0, 1]);
  assignments.runs(0);
  assignments.runs(1);
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(done, false);
  assertEquals(assignments.next(), { partition: 1, move: "revoke" });
  assertEquals(assignments.next(), null, "it is under way");
  assignments.released(1);
  await revoked;
  assertEquals(assignments.next(), null);
});

Deno.test("Assignments: nobody is waited for once the signal is aborted", async () => {
  const assignments = new Assignments([0]);
  const stop = new AbortController();
  const revoked = assignments.revoke(0, stop.signal);
  const assigned = assignments.assign(1, stop.signal);
  stop.abort();
  await assertRejects(() => revoked, LostError);
  await assertRejects(() => assigned, LostError);
  assertEquals(assignments.claiming(), [1], "the next claim knows of both");
});
