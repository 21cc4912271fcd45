import { assert, assertEquals, assertRejects } from "@std/assert";
import { DamagedBatchError, LostError, RefusedError, StopError } from "../../src/log/mod.ts";
import { supervise } from "../../src/engine/supervise.ts";
import type { Log, LogSession } from "../../src/log/mod.ts";
import { sessionOver } from "../log/log_doubles.ts";
import { TestClock } from "../log/log_fixture.ts";
import { Random } from "../../tools/kit/random.ts";
import { drain, feed } from "./feeding.ts";
import { LossyLog } from "./lossy_log.ts";
import { World } from "./world.ts";

/** Runs sessions that end with these errors, one after the other, then without one; counts them. */
async function run(errors: readonly Error[]): Promise<number> {
  let sessions = 0;
  await supervise(
    () => {
      const error = errors[sessions++];
      return error ? Promise.reject(error) : Promise.resolve();
    },
    new AbortController().signal,
    {
      name: "Test",
      clock: new TestClock(),
      chance: () => 0.5,
      attempts: 2,
      retries: 3,
      progress: () => 0,
    },
  );
  return sessions;
}

const damaged = (offset: number) => new DamagedBatchError(`t-0 at ${offset}`, "Damaged", "restore");

Deno.test("supervise recovers from lost sessions without end", async () => {
  assertEquals(await run(Array.from({ length: 50 }, () => new LostError("lost"))), 51);
});

Deno.test("supervise recovers from what a log refuses kafka.retries times, then stops", async () => {
  const refused = (times: number) => Array.from({ length: times }, () => new RefusedError("no"));
  assertEquals(await run(refused(3)), 4);
  const error = await assertRejects(() => run(refused(4)), StopError, "refused 4 times");
  assert((error as StopError).remedy.includes("kafka.retries"));
  // Other errors are counted apart.
  assertEquals(await run([...refused(3), new Error("a"), new Error("b")]), 6);
  await assertRejects(
    () => run([...refused(3), new Error("a"), new Error("b"), new Error("c")]),
    StopError,
    "failed 3 times",
  );
});

Deno.test("supervise reads a damaged batch once more, each for itself", async () => {
  assertEquals(await run([damaged(1), damaged(2)]), 3);
  await assertRejects(() => run([damaged(1), damaged(2), damaged(1)]), StopError, "Damaged");
});

/** A log whose n-th reads of transactions come with a byte that is wrong. */
class DamagingLog extends LossyLog {
  reads = 0;

  constructor(log: Log, readonly damages: (read: number) => boolean) {
    super(log, () => null);
  }

  override async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    const session = await super.claim(input, partitions);
    return sessionOver(session, {
      read: async (p, offset, options) => {
        const answer = await session.read(p, offset, options);
        if (input !== "transactions" || answer.batches.length === 0) return answer;
        if (!this.damages(++this.reads)) return answer;
        const [first, ...others] = answer.batches;
        const wrong = first!.slice();
        wrong[wrong.length - 1]! ^= 1;
        return { ...answer, batches: [wrong, ...others] };
      },
    });
  }
}

Deno.test("a batch that comes with a wrong CRC once is folded when it comes again", async () => {
  const world = await World.open();
  const life = await world.start(() => null, {
    wrapLog: (log) => new DamagingLog(log, (read) => read === 2),
  });
  await feed(world, life, new Random(21), 60);
  await drain(world, life);
  assertEquals(life.worker.recoveries, 1);
  await world.assertExactlyOnce();
  await world.stop(life);
  world.close();
});

Deno.test("a batch whose CRC stays wrong stops the job, which names its offset", async () => {
  const world = await World.open();
  const life = await world.start();
  await feed(world, life, new Random(22), 60);
  await drain(world, life);
  life.kill();
  const next = await world.start(() => null, {
    flags: { "checkpoint.interval.millis": "0" },
    wrapLog: (log) => new DamagingLog(log, () => true),
  });
  const { failure } = next.job;
  assert(failure instanceof StopError, String(failure));
  assert(
    /The log is damaged: .*transactions-\d at offset \d+/.test(failure.message),
    failure.message,
  );
  world.close();
});
