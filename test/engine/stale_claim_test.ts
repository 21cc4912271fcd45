import { assert } from "@std/assert";
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
import { World } from "./world.ts";

/** A log whose first so many claims answer a committed position that another moved on meanwhile. */
class StaleLog extends ForwardingLog {
  claims = 0;

  constructor(log: Log, readonly stale: number) {
    super(log);
  }

  override async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    const session = await super.claim(input, partitions);
    if (input !== "transactions" || this.claims++ >= this.stale) return session;
    const before = ({ committed, ...rest }: ClaimedPartition): ClaimedPartition => ({
      ...rest,
      logStart: 1,
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
