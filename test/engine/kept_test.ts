// A claim that ends with notice: what stands at the next claim goes on, all else is recovered.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { embeddedTopics } from "../log/embedded_topics.ts";
import { EmbeddedLog, type LogSession, StopError } from "../../src/log/mod.ts";
import { sessionOver } from "../log/log_doubles.ts";
import { FaultKv } from "../kv/fault_kv.ts";
import { Random } from "../../tools/kit/random.ts";
import { drain, feed } from "./feeding.ts";
import { LossyLog } from "./lossy_log.ts";
import { NoticingLog } from "./noticing_log.ts";
import { type Life, line, PARTITIONS, World } from "./world.ts";

interface Scene {
  readonly world: World;
  readonly life: Life;
  readonly log: NoticingLog;
}

async function open(): Promise<Scene> {
  const world = await World.open({ "checkpoint.interval.millis": "0" });
  let log: NoticingLog | null = null;
  const life = await world.start(() => null, { wrapLog: (of) => log = new NoticingLog(of) });
  await feed(world, life, new Random(7), 60);
  await drain(world, life);
  return { world, life, log: log! };
}

const processorsOf = ({ worker }: Life) => worker.partitions.map(({ processor }) => processor);

/** Has the claim end while records are folded that are not committed, and waits for the next one. */
async function next({ world, life, log }: Scene): Promise<void> {
  const { commits } = life.worker;
  const position = () => processorsOf(life).reduce((n, p) => n + p.position, 0);
  const before = position();
  await feed(world, life, new Random(8), 40);
  while (position() === before) await world.clock.settle(); // time stands still: no commit is due
  assertEquals(life.worker.commits, commits);
  log.giveNotice();
  await world.clock.until(() => log.claims === 2 && life.job.isReady, "the next claim");
}

async function close({ world, life }: Scene): Promise<void> {
  await feed(world, life, new Random(9), 40);
  await drain(world, life);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
}

Deno.test("what is committed when its claim ends is kept, and goes on under the next claim", async () => {
  const scene = await open();
  const before = processorsOf(scene.life);
  await next(scene);
  assertEquals(processorsOf(scene.life).map((p, i) => p === before[i]), [true, true]);
  assertEquals(scene.life.worker.recoveries, 0);
  const { recordsIn } = scene.life.worker;
  assertEquals(recordsIn, 100);
  await close(scene);
});

for (const how of ["happened", "did not"] as const) {
  Deno.test(`what is not known to be committed when its claim ends is not kept: it ${how}`, async () => {
    const scene = await open();
    const before = processorsOf(scene.life);
    scene.log.lateCommits = how;
    await next(scene);
    assert(processorsOf(scene.life).every((p) => !before.includes(p)));
    scene.log.lateCommits = "committed";
    await close(scene);
  });
}

for (
  const [what, bounds, message] of [
    ["ends before", (at: number) => ({ logEnd: at - 1 }), "but its log ends at"],
    ["begins behind", (at: number) => ({ logStart: at + 1, logEnd: at + 1 }), "were removed"],
  ] as const
) {
  Deno.test(`nothing is kept whose log ${what} what was committed: the job stops, and says so`, async () => {
    const { world, life, log } = await open();
    log.bounds = bounds;
    log.giveNotice();
    await world.clock.until(() => life.job.failure !== null, "the job stops");
    assert(life.job.failure instanceof StopError);
    assertStringIncludes(life.job.failure.message, message);
    life.kill();
    await world.assertExactlyOnce();
    world.close();
  });
}

Deno.test("a commit that is lost concerns the partitions in it alone: the others go on where they stand", async () => {
  for (const how of ["happened", "did not"] as const) {
    const world = await World.open({ "checkpoint.interval.millis": "0" });
    let armed = false;
    const life = await world.start(() => null, {
      wrapLog: (log) => new LossyLog(log, () => armed ? (armed = false, how) : null),
    });
    await feed(world, life, new Random(7), 60);
    await drain(world, life);
    const before = processorsOf(life);
    armed = true;
    await world.clock.run(
      life.log.append("transactions", 0, [line(1, "x", 1, 5).record]),
      "one more",
    );
    await world.clock.until(
      () => life.worker.recoveries === 1 && life.job.isReady,
      "the next claim",
    );
    const after = processorsOf(life);
    assertEquals(after.map((p, i) => p === before[i]), [false, true], how);
    await drain(world, life);
    await world.stop(life);
    await world.assertExactlyOnce();
    world.close();
  }
});

Deno.test("an instance that another fenced off in the store is not kept: its next checkpoint would be refused again", async () => {
  const world = await World.open();
  const life = await world.start();
  const before = processorsOf(life);
  await feed(world, life, new Random(7), 60);
  const epoch = ["epoch", "test", 0];
  await world.stateKv.set(epoch, (await world.stateKv.get<number>(epoch)).value! + 1);
  await world.clock.until(() => life.worker.recoveries > 0 && life.job.isReady, "it is recovered");
  assert(!processorsOf(life).includes(before[0]!));
  await feed(world, life, new Random(8), 60);
  await drain(world, life);
  await world.clock.advance(2000);
  assertEquals(life.worker.recoveries, 1, "its checkpoints are its own again");
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("an instance that somebody overtook before the next claim is not kept", async () => {
  const scene = await open();
  const { world, life, log } = scene;
  const before = processorsOf(life);
  const gate = Promise.withResolvers<void>();
  log.gate = gate.promise;
  log.giveNotice();
  await world.clock.until(() => life.worker.partitions.length === 0, "the claim is over");
  const other = await world.start();
  await feed(world, other, new Random(8), 40);
  await drain(world, other);
  await world.stop(other);
  // As the log is now: it was written to past the one that is open here.
  log.now = await EmbeddedLog.open(new FaultKv(world.logKv, () => null), {
    ...embeddedTopics(PARTITIONS),
    clock: world.clock,
    chance: world.chance,
  });
  gate.resolve();
  await world.clock.until(() => log.claims === 2 && life.job.isReady, "the next claim");
  assertEquals(life.worker.recoveries, 0); // no error made it recover
  assert(processorsOf(life).every((p) => !before.includes(p)));
  life.kill();
  await world.assertExactlyOnce();
  world.close();
});

/** Records of partition 0 are read when a test lets them. */
class GatedLog extends NoticingLog {
  gateOfReads = Promise.resolve();

  override async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    const session = await super.claim(input, partitions);
    if (input !== "transactions") return session;
    return sessionOver(session, {
      read: async (partition, offset, options) => {
        const aborted = new Promise<void>((resolve) =>
          options.signal?.addEventListener("abort", () => resolve())
        );
        if (partition === 0) await Promise.race([this.gateOfReads, aborted]);
        return await session.read(partition, offset, options);
      },
    });
  }
}

interface Recovering {
  readonly world: World;
  readonly life: Life;
  readonly log: GatedLog;
  readonly append: (partition: number, id: number) => Promise<unknown>;
}

/** A job whose partitions are drained. */
async function openGated(intervalMs: number): Promise<Recovering> {
  const world = await World.open({ "checkpoint.interval.millis": String(intervalMs) });
  let log!: GatedLog;
  const life = await world.start(() => null, { wrapLog: (of) => log = new GatedLog(of) });
  await feed(world, life, new Random(7), 60);
  await drain(world, life);
  const append = (partition: number, id: number) =>
    world.clock.run(
      life.log.append("transactions", partition, [line(id, "x", 1, 5).record]),
      "one more",
    );
  return { world, life, log, append };
}

/**
 * The commit of partition 0 is lost with its claim, and what it folds again cannot be read until that is allowed.
 *
 * @returns allows it
 */
async function recoverFirst({ world, life, log, append }: Recovering): Promise<() => void> {
  const { position } = processorsOf(life)[0]!;
  await append(0, 1);
  while (processorsOf(life)[0]!.position === position) await world.clock.settle();
  log.lateCommits = "did not";
  const gate = Promise.withResolvers<void>();
  log.gateOfReads = gate.promise;
  log.giveNotice();
  await world.clock.until(() => log.claims === 2 && life.worker.folds(1), "the next claim");
  return gate.resolve;
}

/** Lets partition 0 be recovered, and checks all that came of it. */
async function closeGated({ world, life }: Recovering, allow: () => void): Promise<void> {
  allow();
  await world.clock.until(() => life.worker.folds(0), "partition 0 is recovered");
  await drain(world, life);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
}

Deno.test("what stands goes on while the other partitions of its claim are recovered, also over the end of that claim", async () => {
  const scene = await openGated(0);
  const { world, life, log, append } = scene;
  const { worker } = life;
  const kept = processorsOf(life)[1]!;
  const allow = await recoverFirst(scene);
  assertEquals(worker.recoveries, 1);
  log.lateCommits = "committed";
  for (const claims of [2, 3]) {
    await world.clock.until(() => log.claims === claims && worker.folds(1), "one claim more");
    assertEquals(worker.folds(0), false);
    assertEquals(worker.partitions.map(({ processor }) => processor), [kept]);
    const before = kept.acknowledged.offset;
    await append(1, claims);
    await world.clock.until(() => kept.acknowledged.offset > before, "partition 1 is committed");
    assertEquals(worker.folds(0), false);
    if (claims === 2) log.giveNotice();
  }
  assertEquals(
    worker.recoveries,
    1,
    "a recovery that is left to the next claim is not another one",
  );
  await closeGated(scene, allow);
});

Deno.test("while partitions of a claim are recovered, checkpoints of the others wait for one more interval", async () => {
  const scene = await openGated(10_000);
  const { world, life, log, append } = scene;
  const { worker } = life;
  const newest = () => worker.partitions.find((p) => p.partition === 1)!.checkpointer.newest;
  const hasAll = () => worker.partitions.every((p) => p.checkpointer.newest !== null);
  await world.clock.until(hasAll, "the first checkpoints");
  const before = newest();
  const allow = await recoverFirst(scene);
  log.lateCommits = "committed";
  await append(1, 2);
  const from = world.clock.monotonic();
  await world.clock.until(() => newest() !== before, "a checkpoint of partition 1");
  assertEquals(worker.folds(0), false);
  const waited = world.clock.monotonic() - before!.publishedAt;
  assert(from < before!.publishedAt + 10_000 && waited > 15_000, `it waited ${waited} ms`);
  await closeGated(scene, allow);
});
