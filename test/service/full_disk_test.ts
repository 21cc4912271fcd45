// A job whose disk is full, or nearly.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Conditions } from "../../src/engine/mod.ts";
import type { RunningJob } from "../../src/service/mod.ts";
import { Disk } from "../../src/service/disk.ts";
import { openWatchedKv } from "../../src/kv/mod.ts";
import { NoRoomError } from "../../src/kv/mod.ts";
import { StopError, UnavailableError } from "../../src/log/mod.ts";
import { FaultKv } from "../kv/fault_kv.ts";
import { Random } from "../../tools/kit/random.ts";
import { capturingLogs } from "../engine/captured_logs.ts";
import { drain, feed } from "../engine/feeding.ts";
import { ManualClock } from "../engine/manual_clock.ts";
import { World } from "../engine/world.ts";

const NEVER = new AbortController().signal;
const MIB = 1024 * 1024;

const recoveriesOf = ({ figures }: { figures: RunningJob["figures"] }) =>
  figures().reduce((n, worker) => n + worker.recoveries, 0);

/** The next life goes on with what is there, exactly once; the world ends with it. */
async function liveOn(world: World): Promise<void> {
  const next = await world.start();
  await drain(world, next);
  await world.stop(next);
  await world.assertExactlyOnce();
  world.close();
}

Deno.test("a full disk ends no session: look-ups go on, nothing is folded again, and it heals by itself", async () => {
  const world = await World.open({ "restart.attempts": "0" });
  const life = await world.start();
  const { job, logKv, stateKv } = life;
  await feed(world, life, new Random(1), 50);
  // What was appended finds no room for its results.
  for (const kv of [logKv, stateKv]) kv.plan = () => "full";
  for (let i = 0; i < 30; i++) {
    await world.clock.advance(1000);
    const [stock] = await world.clock.run(job.lookUp(["item_1"], NEVER), "it is answered");
    assert(typeof stock === "bigint" || stock === null);
    assert(job.isReady);
  }
  const error = await world.clock.run(
    feed(world, life, new Random(2), 5).catch((error) => error),
    "it is refused",
  );
  assert(error instanceof NoRoomError, String(error));
  assertEquals(job.context.conditions.blocking("writes")?.what, "disk");
  assertEquals(job.context.conditions.blocking("lookups"), null);
  for (const kv of [logKv, stateKv]) kv.plan = () => null;
  // Nobody writes: it finds by itself that there is room again.
  await world.clock.until(() => job.context.conditions.list().length === 0, "it has healed");
  await feed(world, life, new Random(3), 50);
  await drain(world, life);
  assertEquals(recoveriesOf({ figures: () => job.figures() }), 0);
  assertEquals(job.queries.recoveries, 0);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("a recovery on a full disk waits for room, however long, and counts no attempt", async () => {
  const world = await World.open({ "restart.attempts": "1" });
  const life = await world.start();
  await feed(world, life, new Random(1), 50);
  // Its next commit fails for another reason, and then the disk is full.
  life.logKv.plan = () => life.job.isReady ? "fails" : "full";
  life.stateKv.plan = () => "full";
  for (let i = 0; i < 100; i++) await world.clock.advance(1000);
  assertEquals(life.job.failure, null);
  assert(!life.job.isReady);
  // Whoever asks hears why, and does not wait for as long as that takes.
  const lookUp = life.job.lookUp(["item_1"], NEVER).catch((error) => error);
  const error = await world.clock.run(lookUp, "the look-up is answered");
  assert(error instanceof UnavailableError, String(error));
  assertStringIncludes(error.message, "full");
  life.logKv.plan = life.stateKv.plan = () => null;
  await world.clock.until(() => life.job.isReady, "it has recovered");
  await drain(world, life);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("a stop on a full disk ends, and what was not committed comes after the next start", async () => {
  const world = await World.open();
  const life = await world.start();
  await feed(world, life, new Random(1), 50);
  life.logKv.plan = life.stateKv.plan = () => "full";
  // A checkpoint is under way by then, and waits for the commit of its position.
  for (let i = 0; i < 10; i++) await world.clock.advance(500);
  await world.stop(life);
  assertEquals(life.job.failure, null);
  await liveOn(world);
});

Deno.test("a job that recovers while the state's disk is full stops, though a query of its own waits for an answer", async () => {
  const world = await World.open({ "generate.queries": "true" });
  const life = await world.start();
  await feed(world, life, new Random(1), 50);
  life.stateKv.plan = () => "full";
  life.logKv.plan = () => life.job.isReady ? "fails" : null;
  await world.clock.until(() => !life.job.isReady, "a commit is lost");
  const { queryWaiters } = life.job.gateway!;
  await world.clock.until(() => queryWaiters.count === 1, "a query waits");
  await world.stop(life);
  assertEquals(life.job.failure, null);
  await liveOn(world);
});

Deno.test("below disk.free.bytes.min records are refused with the reason, and what was taken is committed", async () => {
  const world = await World.open();
  let free = 100 * MIB;
  const life = await world.start(() => null, { freeBytes: () => Promise.resolve(free) });
  const { job } = life;
  await feed(world, life, new Random(1), 50);
  free = 60 * MIB;
  await world.clock.advance(1000);
  const error = await world.clock.run(
    feed(world, life, new Random(2), 5).catch((error) => error),
    "it is refused",
  );
  assertStringIncludes(error.message, "the disk of data/log.kv has 62914560 bytes left");
  assertStringIncludes(error.message, "disk.free.bytes.min is 67108864");
  assertEquals(job.context.conditions.list().map(({ what, blocks }) => [what, blocks]), [
    ["disk", "writes"],
  ]);
  await drain(world, life);
  // A little more is not enough yet.
  free = 65 * MIB;
  await world.clock.advance(1000);
  assert(job.context.conditions.blocking("writes"));
  free = 80 * MIB;
  await world.clock.advance(1000);
  assertEquals(job.context.conditions.list(), []);
  await feed(world, life, new Random(3), 50);
  await drain(world, life);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("what retention has freed within the log's own file counts as room: a disk that our log filled heals", async () => {
  const world = await World.open();
  let unused = 0;
  const life = await world.start(() => null, {
    freeBytes: () => Promise.resolve(60 * MIB),
    unusedBytes: () => unused,
  });
  const { conditions } = life.job.context;
  await world.clock.advance(1000);
  assert(conditions.blocking("writes"));
  unused = 5 * MIB;
  await world.clock.advance(1000);
  assertStringIncludes(conditions.blocking("writes")!.reason, "and the file itself 5242880");
  // Not their sum: what the disk has left is for checkpoints.
  unused = 80 * MIB;
  await world.clock.advance(1000);
  assertEquals(conditions.list(), []);
  await feed(world, life, new Random(1), 50);
  await drain(world, life);
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("generated transactions wait below disk.free.bytes.min, and go on above it", async () => {
  const world = await World.open({
    "generate.transactions": "true",
    "generate.rate": "1000",
    "generate.queries": "true",
    "num.items": "100",
  });
  let free = 0;
  const life = await world.start(() => null, { freeBytes: () => Promise.resolve(free) });
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds; i++) await world.clock.advance(1000);
  };
  const folded = () => life.job.figures()[0]!.recordsIn;
  await pass(20);
  const before = folded();
  await pass(60);
  assertEquals(folded(), before);
  assert(life.job.isReady);
  free = 100 * MIB;
  await pass(20);
  assert(folded() > before + 60_000, `${folded()} after ${before}`);
  assertEquals(life.job.figures()[0]!.recoveries, 0);
  await world.stop(life);
  world.close();
});

Deno.test("a start on a full disk waits for room", () =>
  capturingLogs(async (logged) => {
    const world = await World.open();
    let full = true;
    const starting = world.start((_, n) => full && n > 0 ? "full" : null);
    await world.clock.advance(60_000);
    full = false;
    const life = await starting;
    assertEquals(life.job.failure, null);
    await world.stop(life);
    assertEquals(logged.filter((line) => line.includes("disk: the disk of")).length, 1);
    world.close();
  }));

Deno.test("an I/O error of a file whose disk is full counts as a full disk", async () => {
  const clock = new ManualClock();
  const kv = new FaultKv(await Deno.openKv(":memory:"), () => "answer lost");
  let free = 4096;
  const disk = new Disk({
    file: "log",
    path: "data/log.kv",
    bytesMin: 0,
    freeBytes: () => Promise.resolve(free),
    blocks: "writes",
    conditions: new Conditions(clock),
    clock,
  });
  const surroundings = { clock, chance: () => 0.5, openKv: () => Promise.resolve(kv) };
  const watched = await openWatchedKv(
    surroundings,
    { path: "data/log.kv", timeoutMs: 1000, disk },
    (kv) => Promise.resolve(kv),
  );
  const write = () => watched.atomic().set(["a"], 1).commit().catch((error) => error.name);
  assertEquals(await write(), "NoRoomError");
  assertEquals(disk.refusal, "the disk of data/log.kv is full");
  free = 100 * MIB;
  assertEquals(await write(), "KvFileError");
  kv.kv.close();
});

Deno.test("a job whose log cannot be read says why it failed, though the log cannot be closed either", async () => {
  const world = await World.open({ "restart.attempts": "0" });
  const life = await world.start();
  const before = life.logKv.commits;
  // The append happens; the commit of its result finds nothing there any more.
  life.logKv.plan = (n) => n === before + 2 ? "dies before" : null;
  const transaction = { transactionId: 1n, ts: 0, itemId: "a", quantity: 1 };
  const posted = life.job.gateway!.execute([transaction]);
  const error = await world.clock.run(life.job.finished.catch((e) => e), "it ends");
  await posted;
  assertEquals(error, life.job.failure);
  assert(error instanceof StopError, String(error));
  world.close();
});
