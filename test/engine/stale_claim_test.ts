import { assert, assertEquals } from "@std/assert";
import {
  type ClaimedPartition,
  ForwardingLog,
  type Log,
  type LogSession,
  StopError,
} from "../../src/log/mod.ts";
import { sessionOver } from "../log/log_doubles.ts";
import { Random } from "../../tools/kit/random.ts";
import { drain, feed } from "./feeding.ts";
import { SharedLog } from "./shared_log.ts";
import { World } from "./world.ts";

/** A log whose first so many claims answer a committed position that another moved on meanwhile. */
class StaleLog extends ForwardingLog {
  claims = 0;

  /** @param logStart where the log begins then; null = where it does */
  constructor(log: Log, readonly stale: number, readonly logStart: number | null = 1) {
    super(log);
  }

  override async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    const session = await super.claim(input, partitions);
    if (input !== "transactions" || this.claims++ >= this.stale) return session;
    const before = ({ committed, ...rest }: ClaimedPartition): ClaimedPartition => ({
      ...rest,
      ...(this.logStart === null ? {} : { logStart: this.logStart }),
      committed: { ...committed, offset: committed.offset - 1 },
    });
    return sessionOver(session, { partitions: session.partitions.map(before) });
  }
}

/** Starts a job over checkpoints with so many stale claims; resolves why it failed, if it did. */
async function startWithStaleClaims(stale: number): Promise<Error | null> {
  const world = await World.open({ "checkpoint.retained": "1" });
  const life = await world.start();
  await feed(world, life, new Random(7), 60);
  await drain(world, life);
  await world.stop(life);
  const next = await world.start(() => null, { wrapLog: (log) => new StaleLog(log, stale) });
  const { failure } = next.job;
  if (!failure) await world.assertExactlyOnce();
  next.kill();
  world.close();
  return failure;
}

Deno.test("a claim that is older than the newest checkpoint is made again", async () => {
  const failure = await startWithStaleClaims(1);
  assert(failure === null, `It stopped: ${failure}`);
});

Deno.test("job stops when a claim that is made again is still behind the newest checkpoint", async () => {
  const failure = await startWithStaleClaims(100);
  assert(failure instanceof StopError, `It did not stop: ${failure}`);
  assert(failure.message.includes("is ahead of the committed"), failure.message);
});

/** Starts a process of a group over checkpoints, with so many claims of offsets that were set back. */
async function startSetBack(stale: number, acceptsOffset = false): Promise<Error | null> {
  const world = await World.open();
  const life = await world.start();
  await feed(world, life, new Random(7), 60);
  await drain(world, life);
  await world.stop(life);
  const next = await world.start(() => null, {
    flags: { "accept.offset": String(acceptsOffset) },
    wrapLog: (log) => new SharedLog(new StaleLog(log, stale, null)),
  });
  const { failure } = next.job;
  next.kill();
  world.close();
  return failure;
}

Deno.test("where partitions are shared, committed offsets that were set back stop the job, though the log leads there", async () => {
  const failure = await startSetBack(100);
  assert(failure instanceof StopError, `It did not stop: ${failure}`);
  assert(failure.message.includes("where the newest checkpoint stands"), failure.message);
  assertEquals(await startSetBack(1), null);
  assertEquals(await startSetBack(100, true), null);
});
