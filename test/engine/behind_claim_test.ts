// A claim ends, and a checkpoint is under way: the claim does not wait for it.

import { assert, assertEquals } from "@std/assert";
import { LostError } from "../../src/log/mod.ts";
import { Random } from "../../tools/kit/random.ts";
import { HeldWrites } from "../kv/held_writes.ts";
import { drain, feed } from "./feeding.ts";
import { NoticingLog } from "./noticing_log.ts";
import { type Life, World } from "./world.ts";

/** What every write of a checkpoint sets, and what every event of one does. */
const WRITES = "mark", EVENTS = "history";
/** Length of a window, as parameters set it by default. */
const WINDOW_MS = 60_000;

interface Scene {
  readonly world: World;
  readonly life: Life;
  readonly log: NoticingLog;
  readonly writes: HeldWrites;
}

const processorsOf = ({ worker }: Life) => worker.partitions.map(({ processor }) => processor);

const hasCheckpoints = ({ worker: { partitions } }: Life) =>
  partitions.length === 2 &&
  partitions.every(({ checkpointer, processor }) =>
    checkpointer.newest?.offset === processor.position
  );

/** So many items, of long names that cannot be compressed, that not all of a checkpoint is encoded before some is written. */
async function feedMuch(world: World, life: Life): Promise<void> {
  const random = new Random(11);
  const letterOf = () => String.fromCharCode(65 + random.below(26) + 32 * random.below(2));
  const itemOf = () => Array.from({ length: 240 }, letterOf).join("");
  for (let n = 0; n < 28; n++) await feed(world, life, random, 1000, itemOf);
}

/** A job whose store does not answer while it writes a checkpoint. */
async function open(kind = WRITES, more: typeof feedMuch | null = null): Promise<Scene> {
  const world = await World.open({ "watchdog.timeout.ms": "3600000" });
  let log!: NoticingLog;
  const life = await world.start(() => null, { wrapLog: (of) => log = new NoticingLog(of) });
  await feed(world, life, new Random(7), 60);
  await drain(world, life);
  await world.clock.until(() => hasCheckpoints(life), "the first checkpoints");
  await world.clock.settle();
  const writes = new HeldWrites(life.stateKv, kind);
  await feed(world, life, new Random(8), 40);
  await more?.(world, life);
  await world.clock.until(() => writes.held.length > 0, "a checkpoint is being written");
  return { world, life, log, writes };
}

/** Windows are fired, and what comes is folded and committed, while the store does not answer. */
async function goOnWithout({ world, life, writes }: Scene): Promise<void> {
  await world.clock.advance(2 * WINDOW_MS);
  await feed(world, life, new Random(9), 40);
  await drain(world, life);
  assert(writes.held.length > 0, "the store has not answered yet");
  writes.release();
}

async function close({ world, life }: Scene): Promise<void> {
  await feed(world, life, new Random(10), 40);
  await drain(world, life);
  await world.clock.until(() => hasCheckpoints(life), "the last checkpoints");
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
}

Deno.test("a claim that ends does not wait for the checkpoint under way, nor does the next one of what it keeps", async () => {
  const scene = await open();
  const { world, life, log, writes } = scene;
  const before = processorsOf(life);
  const [underWay] = writes.held;
  log.giveNotice();
  await world.clock.until(() => log.claims === 2 && life.job.isReady, "the next claim");
  assertEquals(processorsOf(life).map((p, i) => p === before[i]), [true, true]);
  await feed(world, life, new Random(9), 40);
  await drain(world, life);
  assert(writes.held.includes(underWay!), "the store has not answered yet");
  writes.release();
  await close(scene);
  assertEquals(life.worker.recoveries, 0);
});

Deno.test("a cut that is given up ends at once, whatever the store still does", async () => {
  const scene = await open(WRITES, feedMuch);
  const { world, life, log, writes } = scene;
  let ended = false;
  const cuts = life.worker.partitions.map(({ processor }) => processor.gate.encoded());
  void Promise.all(cuts).then(() => ended = true);
  await world.clock.settle();
  assertEquals(ended, false);
  log.giveNotice();
  await world.clock.until(() => ended && log.claims === 2, "the cut has ended");
  assert(writes.held.length > 0, "the store has not answered yet");
  writes.release();
  await close(scene);
  assertEquals(life.worker.recoveries, 0);
});

Deno.test("a store that does not answer when a checkpoint begins holds up neither windows nor commits", async () => {
  const scene = await open(EVENTS);
  await goOnWithout(scene);
  await close(scene);
});

Deno.test("a store that does not answer while a checkpoint is encoded holds up neither windows nor commits for long", async () => {
  const scene = await open(WRITES, feedMuch);
  await goOnWithout(scene);
  await close(scene);
  assertEquals(scene.life.worker.recoveries, 0);
});

Deno.test("a checkpoint that ends behind its claim changes nothing of what the next owner has in the store", async () => {
  const { world, life, log, writes } = await open();
  const gate = Promise.withResolvers<void>();
  log.gate = gate.promise;
  log.giveNotice();
  await world.clock.until(() => life.worker.partitions.length === 0, "the claim is over");
  const other = await world.start();
  await feed(world, other, new Random(9), 40);
  await drain(world, other);
  await world.clock.until(() => hasCheckpoints(other), "the next owner's checkpoints");
  await world.clock.settle();
  const stored = async () => {
    const kinds = ["chunk", "manifest", "head", "mark", "epoch"];
    const entries = await Promise.all(
      kinds.map((kind) => Array.fromAsync(world.stateKv.list({ prefix: [kind] }))),
    );
    return entries.flat();
  };
  const before = await stored();
  assertEquals(writes.held.length, 1);
  writes.release();
  await world.clock.advance(2000);
  assertEquals(writes.held.length, 0);
  assertEquals(await stored(), before);
  await world.stop(other);
  life.kill();
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("what is recovered anew waits until no checkpoint is made of the state that was dropped", async () => {
  const scene = await open();
  const { world, life, log, writes } = scene;
  const partition = writes.held[0]![2] as number;
  const epoch = async () => (await world.stateKv.get(["epoch", "test", partition])).value;
  const before = await epoch();
  const folded = () => processorsOf(life).find((p) => p.partition === partition)!;
  const { position } = folded();
  await feed(world, life, new Random(9), 40);
  while (folded().position === position) await world.clock.settle(); // time stands still: no commit is due
  log.lateCommits = "did not";
  log.giveNotice();
  await world.clock.until(() => log.claims === 2, "the next claim");
  log.lateCommits = "committed";
  await world.clock.advance(2000);
  assertEquals(await epoch(), before);
  writes.release();
  await world.clock.until(() => life.job.isReady, "it is recovered");
  assertEquals(await epoch(), Number(before) + 1);
  await close(scene);
});

/** A job that folds its log again, and whose store does not answer while a checkpoint is written on the way. */
async function openInReplay(): Promise<Scene> {
  const world = await World.open({
    "watchdog.timeout.ms": "3600000",
    "checkpoint.interval.millis": "86400000",
  });
  const first = await world.start();
  for (const seed of [7, 8, 9]) await feed(world, first, new Random(seed), 1000);
  await drain(world, first);
  first.kill();
  let log!: NoticingLog;
  const gate = Promise.withResolvers<void>();
  const life = await world.start(() => null, {
    flags: { "recovery.records.max": "1000", "checkpoint.interval.millis": "1000" },
    wait: false,
    wrapLog: (of) => {
      log = new NoticingLog(of);
      log.gate = gate.promise;
      return log;
    },
  });
  const writes = new HeldWrites(life.stateKv, WRITES);
  gate.resolve();
  await world.clock.until(() => writes.held.length > 0, "a checkpoint is taken on the way");
  return { world, life, log, writes };
}

Deno.test("a recovery that is left to the next claim does not wait for the checkpoint that it takes", async () => {
  const scene = await openInReplay();
  const { world, life, log, writes } = scene;
  log.giveNotice();
  await world.clock.until(() => log.claims === 2, "the next claim");
  assert(writes.held.length > 0, "the store has not answered yet");
  writes.release();
  await close(scene);
  assertEquals(life.worker.recoveries, 0);
});

/** The store is closed behind what is written to it. */
async function stopsBehind({ world, life, writes }: Scene, begun: () => boolean): Promise<void> {
  let isStopped = false;
  const stopped = life.job.stop().finally(() => isStopped = true);
  await world.clock.until(begun, "the claim is over");
  await world.clock.advance(2000);
  assert(writes.held.length > 0 && !isStopped, "the store has not answered yet");
  writes.release();
  await world.clock.run(stopped, "the job stops");
  const last = await world.start();
  await drain(world, last);
  await world.stop(last);
  await world.assertExactlyOnce();
  world.close();
}

Deno.test("a process that stops in the middle of a recovery closes the store behind the checkpoint that this takes", async () => {
  const scene = await openInReplay();
  const { log } = scene;
  await stopsBehind(scene, () => log.closed === 1);
});

Deno.test("a process that stops behind a claim whose last commit was lost closes the store behind the checkpoint under way", async () => {
  const scene = await open();
  const { world, life, log } = scene;
  const areCommitted = () => life.worker.partitions.some((partition) => partition.isCommitted);
  await feed(world, life, new Random(9), 40);
  while (areCommitted()) await world.clock.settle(); // time stands still: no commit is due
  const claim = Promise.withResolvers<void>();
  let isAsked = false;
  log.gate = claim.promise;
  log.onClaim = () => isAsked = true;
  log.lateCommits = "did not";
  log.giveNotice();
  await world.clock.until(() => isAsked, "the claim is over");
  const stopping = stopsBehind(scene, () => true);
  claim.reject(new LostError("The claim was given up"));
  await stopping;
});
