// Recovery when reads of the log or of a checkpoint give less than expected.

import { assert, assertEquals } from "@std/assert";
import { type Log, OffsetOutOfRangeError } from "../../src/log/mod.ts";
import { Random } from "../../tools/kit/random.ts";
import { OtherSessions } from "../log/log_doubles.ts";
import { drain, feed } from "./feeding.ts";
import { type Life, PARTITIONS, World } from "./world.ts";

/** Reads give nothing once in a while, as a fetch may. */
function sparing(log: Log): Log {
  let reads = 0;
  return new OtherSessions(log, (session) => ({
    read: async (p, offset, options) => {
      const answer = await session.read(p, offset, options);
      return reads++ % 3 < 2 ? { ...answer, batches: [] } : answer;
    },
  }));
}

/** The log has removed the batch folded last since the claim: the first read says so. */
function forgetting(log: Log): Log {
  let reads = 0;
  return new OtherSessions(log, (session) => ({
    read: (p, offset, options) => {
      const { input } = session;
      if (input !== "transactions" || reads++ > 0) return session.read(p, offset, options);
      const end = offset + 1;
      return Promise.reject(new OffsetOutOfRangeError(input, p, offset, end, end));
    },
  }));
}

/** The log gives nothing below its end, as long as nobody gives up. */
function withholding(log: Log): Log {
  return new OtherSessions(log, () => ({
    read: (_partition, _offset, { signal }) =>
      new Promise((resolve) => {
        const giveUp = () => resolve({ batches: [], endOffset: -1 });
        signal?.addEventListener("abort", giveUp);
        if (signal?.aborted) giveUp();
      }),
  }));
}

/** Reads are answered once all partitions of transactions are read. */
function gathering(log: Log): Log {
  const read = new Set<number>();
  const all = Promise.withResolvers<void>();
  return new OtherSessions(log, (session) => ({
    read: async (p, offset, options) => {
      if (session.input === "transactions" && read.add(p).size === PARTITIONS) all.resolve();
      if (session.input === "transactions") await all.promise;
      return await session.read(p, offset, options);
    },
  }));
}

/** The log ends in offsets which readers skip, as behind a transaction of Kafka's producers. */
function marked(log: Log): Log {
  return new OtherSessions(log, ({ partitions }) => ({
    partitions: partitions.map((p) => ({ ...p, logEnd: p.logEnd + 1 })),
  }));
}

/** A world whose first life was fed, and stopped in good order. */
async function livedOnce(seed: number): Promise<World> {
  const world = await World.open();
  const life = await world.start();
  await feed(world, life, new Random(seed), 60);
  await drain(world, life);
  await world.stop(life);
  return world;
}

/** A second life whose log is another; it is fed as well. */
async function liveAgain(
  seed: number,
  wrapLog: (log: Log) => Log,
  look: (next: Life) => void,
): Promise<void> {
  const world = await livedOnce(seed);
  const next = await world.start(() => null, { wrapLog });
  look(next);
  await feed(world, next, new Random(seed + 1), 60);
  await drain(world, next);
  await world.assertExactlyOnce();
  await world.stop(next);
  world.close();
}

Deno.test("job recovers although reads give nothing once in a while", () =>
  liveAgain(11, sparing, (next) => assertEquals(next.job.failure, null)));

Deno.test("recovery does without the batch folded last when the log removes it meanwhile", () =>
  liveAgain(
    15,
    forgetting,
    (next) => assertEquals(next.worker.recoveries, 0),
  ));

Deno.test("partitions are recovered side by side: none waits until another has its records", () =>
  liveAgain(17, gathering, (next) => assertEquals(next.worker.recoveries, 0)));

Deno.test("a job that is asked to stop does not wait until all is folded again", async () => {
  const world = await World.open({ "checkpoint.interval.millis": "0" });
  const life = await world.start();
  await feed(world, life, new Random(16), 60);
  await drain(world, life);
  await world.stop(life);
  const next = await world.start(() => null, {
    wrapLog: withholding,
    wait: false,
  });
  await world.clock.run(world.clock.sleep(100), "it folds again");
  await world.clock.run(next.job.stop(), "it stops");
  assertEquals(next.job.failure, null);
  const last = await world.start();
  assert(last.worker.partitions.length > 0);
  await world.assertExactlyOnce();
  await world.stop(last);
  world.close();
});

Deno.test("an owner is ready when nothing that readers see is left, wherever the log ends", async () => {
  const world = await livedOnce(13);
  const next = await world.start(() => null, { wrapLog: marked, wait: false });
  await world.clock.until(() => next.job.isReady, "the job is ready");
  await world.stop(next);
  world.close();
});

Deno.test("a checkpoint that its new owner removes while it is loaded is not taken for damaged", async () => {
  const world = await livedOnce(14);
  // While the next life loads the checkpoint, another takes the partition over and removes a chunk of it.
  const kv = world.stateKv;
  const getMany = kv.getMany.bind(kv);
  let removed = false;
  kv.getMany = (async (keys: Deno.KvKey[]) => {
    const entries = await getMany(keys);
    if (removed || keys[0]![0] !== "chunk") return entries;
    removed = true;
    const epoch = ["epoch", "test", keys[0]![2]!];
    await kv.set(epoch, (await kv.get<number>(epoch)).value! + 1);
    return [{ ...entries[0]!, value: null, versionstamp: null }, ...entries.slice(1)];
  }) as typeof kv.getMany;
  const next = await world.start();
  assert(removed);
  assertEquals(next.worker.recoveries, 1);
  const events = await next.job.checkpointEvents(100);
  assertEquals(events.filter((event) => event.kind === "damaged"), []);
  await world.assertExactlyOnce();
  await world.stop(next);
  world.close();
});
