import { assertEquals } from "@std/assert";
import { type CommitSource, Committer } from "../../src/job/worker/committer.ts";
import type { LogSession } from "../../src/log/mod.ts";
import { ManualClock } from "./manual_clock.ts";

const POSITION = { offset: 1, start: 0, watermark: 0n, parameters: "" };

/** A source of which so many bytes wait; each commit takes them all. */
class Source implements CommitSource {
  readonly partition = 0;
  pendingBytes = 0;
  take() {
    this.pendingBytes = 0;
    return { position: POSITION, outputs: [] };
  }
  acknowledge() {}
}

Deno.test("what came to more than enough during a commit is committed next, without waiting", async () => {
  const clock = new ManualClock();
  const source = new Source();
  const commits: PromiseWithResolvers<"committed">[] = [];
  const session = {
    input: "transactions",
    partitions: [],
    commit: () => (commits.push(Promise.withResolvers()), commits.at(-1)!.promise),
  } as unknown as LogSession;
  const limits = { earlyBytes: 10, maxBytes: 20 };
  const committer = new Committer(session, [source], 100, clock, undefined, limits);
  const stop = new AbortController();
  const running = committer.run(stop.signal);
  source.pendingBytes = 12;
  assertEquals(committer.hasRoom, true); // asks for a commit
  await clock.settle();
  assertEquals(commits.length, 1);
  source.pendingBytes = 20; // folding went on meanwhile
  const folding = committer.room(stop.signal);
  commits[0]!.resolve("committed");
  await clock.settle();
  assertEquals(commits.length, 2, "the clock stands still, so nobody waited for the interval");
  await folding; // what was taken made room
  source.pendingBytes = 0;
  commits[1]!.resolve("committed");
  await clock.settle();
  assertEquals(commits.length, 2, "nothing waits: the interval counts again");
  await clock.advance(100);
  assertEquals(commits.length, 3);
  stop.abort();
  commits[2]!.resolve("committed");
  await running.catch(() => {});
});
