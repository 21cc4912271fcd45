import { assertEquals, assertRejects } from "@std/assert";
import { type AheadWriter, LostError } from "../../src/log/mod.ts";
import { Committer } from "../../src/engine/fold_and_commit.ts";
import type { Committable, Pending } from "../../src/engine/pending.ts";
import type { Commit, CommitOutcome, TopicOutput } from "../../src/log/mod.ts";
import { sessionOf, sessionOver } from "../log/log_doubles.ts";
import { ManualClock } from "./manual_clock.ts";

/** A partition of which so many bytes wait, in one batch; each time all are taken. */
class WaitingPartition implements Committable {
  pendingBytes = 0;
  offset = 0;
  atRest = true;
  acknowledged: number[] = [];

  constructor(readonly partition = 0) {}

  take(): Pending | null {
    if (!this.atRest || this.pendingBytes === 0) return null;
    const batches = [new Uint8Array(this.pendingBytes)];
    this.pendingBytes = 0;
    this.offset++;
    return {
      position: {
        offset: this.offset,
        start: 0,
        watermark: 0n,
        parametersHash: "",
        secret: null,
        raisedAt: null,
      },
      outputs: [{ topic: "results", partition: this.partition, batches }],
    };
  }

  acknowledge({ position }: Pending): void {
    this.acknowledged.push(position.offset);
  }
}

/** A session whose commits and writes end when a test says so. */
function heldSession() {
  const commits: (Commit & PromiseWithResolvers<CommitOutcome>)[] = [];
  const writes: ({ outputs: readonly TopicOutput[] } & PromiseWithResolvers<void>)[] = [];
  const session = sessionOf({
    commit: (commit) => {
      commits.push({ ...commit, ...Promise.withResolvers<CommitOutcome>() });
      return commits.at(-1)!.promise;
    },
  });
  const ahead: AheadWriter = {
    write: (outputs) => {
      writes.push({ outputs, ...Promise.withResolvers<void>() });
      return writes.at(-1)!.promise;
    },
  };
  const writing = sessionOver(session, { ahead });
  return { commits, writes, session, writing };
}

const sizesOf = (outputs: readonly TopicOutput[]) =>
  outputs.flatMap((o) => o.batches).map((batch) => batch.length);
const offsetsOf = ({ positions }: Commit) => positions.map((p) => [p.partition, p.offset]);

const LIMITS = { earlyBytes: 10, maxBytes: 20 };

Deno.test("what came to more than enough during a commit is committed next, without waiting", async () => {
  const clock = new ManualClock();
  const partition = new WaitingPartition();
  const { commits, session } = heldSession();
  const committer = new Committer(session, [partition], 100, clock, undefined, LIMITS);
  const stop = new AbortController();
  const running = committer.run(stop.signal);
  partition.pendingBytes = 12;
  assertEquals(committer.hasRoom, true); // asks for a commit
  await clock.settle();
  assertEquals(commits.length, 1);
  partition.pendingBytes = 20; // folding went on meanwhile
  const folding = committer.room(stop.signal);
  commits[0]!.resolve("committed");
  await clock.settle();
  assertEquals(commits.length, 2, "the clock stands still, so nobody waited for the interval");
  await folding; // what was taken made room
  commits[1]!.resolve("committed");
  await clock.advance(99);
  partition.pendingBytes = 1;
  await clock.settle();
  assertEquals(commits.length, 2, "little waits: the interval counts again");
  await clock.advance(1);
  assertEquals(commits.length, 3);
  assertEquals(partition.acknowledged, [1, 2]);
  stop.abort();
  commits[2]!.resolve("committed");
  await running;
});

Deno.test("what is written ahead is committed with the positions behind it", async () => {
  const clock = new ManualClock();
  const [a, b] = [new WaitingPartition(0), new WaitingPartition(1)];
  const { commits, writes, writing } = heldSession();
  const committer = new Committer(writing, [a, b], 100, clock, undefined, LIMITS);
  const stop = new AbortController();
  const running = committer.run(stop.signal);
  a.pendingBytes = 12;
  assertEquals(committer.hasRoom, true); // asks
  await clock.settle();
  [a.pendingBytes, b.pendingBytes] = [3, 7];
  assertEquals(committer.hasRoom, false, "12 bytes are not acknowledged, 10 wait");
  const folding = committer.room(stop.signal);
  await clock.settle();
  assertEquals(writes.map((w) => sizesOf(w.outputs)), [[12], [3, 7]]);
  writes[0]!.resolve();
  await folding;
  assertEquals(commits.length, 0, "the interval is not over");
  b.pendingBytes = 4;
  a.atRest = false; // it is in the middle of a batch: its position is that of what it wrote
  a.pendingBytes = 5;
  await clock.advance(100);
  assertEquals(commits.map((c) => sizesOf(c.outputs)), [[4]]);
  assertEquals(offsetsOf(commits[0]!), [[0, 2], [1, 2]]);
  assertEquals(a.acknowledged, []);
  writes[1]!.resolve();
  commits[0]!.resolve("committed");
  await clock.settle();
  assertEquals([a.acknowledged, b.acknowledged], [[1, 2], [1, 2]]);
  a.atRest = true;
  await clock.advance(100);
  assertEquals(commits.slice(1).map(offsetsOf), [[[0, 3]]], "nothing is committed twice");
  stop.abort();
  commits[1]!.resolve("committed");
  await running;
});

Deno.test("one who has much and is not at rest keeps nobody busy", async () => {
  const clock = new ManualClock();
  const partition = new WaitingPartition();
  const { commits, writes, writing } = heldSession();
  const committer = new Committer(writing, [partition], 100, clock, undefined, LIMITS);
  const stop = new AbortController();
  const running = committer.run(stop.signal);
  partition.atRest = false;
  partition.pendingBytes = 30;
  const folding = committer.room(stop.signal); // asks, and cannot be helped
  await clock.settle();
  await clock.advance(100);
  assertEquals([writes.length, commits.length], [0, 0]);
  partition.atRest = true;
  await clock.advance(100);
  assertEquals(commits.map((c) => sizesOf(c.outputs)), [[30]]);
  await folding;
  stop.abort();
  commits[0]!.resolve("committed");
  await running;
});

Deno.test("a write that fails is reported by the commit", async () => {
  const clock = new ManualClock();
  const partition = new WaitingPartition();
  const { commits, writes, writing } = heldSession();
  const committer = new Committer(writing, [partition], 100, clock, undefined, LIMITS);
  const running = committer.run(new AbortController().signal);
  partition.pendingBytes = 15;
  assertEquals(committer.hasRoom, true);
  await clock.settle();
  writes[0]!.reject(new Error("The broker is gone"));
  await clock.advance(100);
  commits[0]!.resolve("lost");
  await assertRejects(() => running, LostError, "A commit of transactions was lost");
  assertEquals(partition.acknowledged, []);
});

Deno.test("what comes behind a pause is committed at once, with what comes with it; then the interval counts again", async () => {
  const clock = new ManualClock();
  const [a, b] = [new WaitingPartition(0), new WaitingPartition(1)];
  const { commits, session } = heldSession();
  const committer = new Committer(session, [a, b], 100, clock, undefined, LIMITS);
  const stop = new AbortController();
  const running = committer.run(stop.signal);
  await clock.advance(100);
  await clock.advance(30);
  a.pendingBytes = 1;
  committer.changed();
  await clock.settle();
  b.pendingBytes = 2;
  committer.changed();
  await clock.advance(5);
  assertEquals(commits.map(offsetsOf), [[[0, 1], [1, 1]]]);
  a.pendingBytes = 1;
  committer.changed(); // during the commit
  commits[0]!.resolve("committed");
  await clock.advance(99);
  assertEquals(commits.length, 1);
  await clock.advance(1);
  assertEquals(commits.slice(1).map(offsetsOf), [[[0, 2]]]);
  commits[1]!.resolve("committed");
  await clock.settle();
  assertEquals([a.acknowledged, b.acknowledged], [[1, 2], [1]]);
  // Who says nothing is found by the next look.
  await clock.advance(100);
  b.pendingBytes = 1;
  await clock.advance(100);
  assertEquals(commits.slice(2).map(offsetsOf), [[[1, 2]]]);
  stop.abort();
  commits[2]!.resolve("committed");
  await running;
});
