import { assert } from "@std/assert";
import { StopError } from "../../src/log/mod.ts";
import type { ClaimedPartition, Log, LogSession } from "../../src/log/mod.ts";
import { Random } from "../model/random.ts";
import { drain, feed } from "./feeding.ts";
import { World } from "./world.ts";

/** A log whose first so many claims tell a committed position that another moved on meanwhile. */
class StaleLog implements Log {
  claims = 0;

  constructor(readonly log: Log, readonly stale: number) {}

  get id(): string {
    return this.log.id;
  }

  partitionsOf(topic: string): number {
    return this.log.partitionsOf(topic);
  }

  async claim(input: string, partitions?: readonly number[]): Promise<LogSession> {
    const session = await this.log.claim(input, partitions);
    if (input !== "transactions" || this.claims++ >= this.stale) return session;
    const before = ({ committed, ...rest }: ClaimedPartition): ClaimedPartition => ({
      ...rest,
      logStart: 1,
      committed: { ...committed, offset: committed.offset - 1 },
    });
    return {
      input,
      partitions: session.partitions.map(before),
      read: (p, offset, options) => session.read(p, offset, options),
      commit: (commit) => session.commit(commit),
    };
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
