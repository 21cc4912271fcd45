// Spans of batches, commits and checkpoints.

import { assert, assertEquals } from "@std/assert";
import type { Commit, ReadAnswer } from "../../src/log/mod.ts";
import { Partitioner, partitionOf, type TraceContext } from "../../src/types/mod.ts";
import { OtherSessions } from "../log/log_doubles.ts";
import { drain } from "./feeding.ts";
import { LossyLog } from "./lossy_log.ts";
import { RecordedTracing } from "./recorded_tracing.ts";
import { type Life, line, PARTITIONS, type StartOptions, World } from "./world.ts";

interface Scene {
  readonly world: World;
  readonly life: Life;
  readonly tracing: RecordedTracing;
}

async function open(options: StartOptions = {}): Promise<Scene> {
  const world = await World.open();
  const tracing = new RecordedTracing(world.clock);
  const life = await world.start(undefined, { tracing, ...options });
  return { world, life, tracing };
}

/** Appends a transaction, within the request that the tracing has. */
async function post(
  { world, life }: Pick<Scene, "world" | "life">,
  itemId: string,
): Promise<void> {
  const { record } = line(1, itemId, 5, world.clock.now());
  const partition = partitionOf(Partitioner.Murmur2, record.key, PARTITIONS);
  await world.clock.run(life.log.append("transactions", partition, [record]), "it is appended");
}

async function close({ world, life }: Scene): Promise<void> {
  await world.stop(life);
  await world.assertExactlyOnce();
  world.close();
}

Deno.test("a commit's span is linked to the posts that it serves, and to the batches that they came in", async () => {
  const scene = await open();
  const { world, life, tracing } = scene;
  const requests: TraceContext[] = [];
  for (const itemId of ["item_1", "item_2", "item_3"]) {
    requests.push(tracing.newRequest());
    await post(scene, itemId);
  }
  tracing.request = null;
  await drain(world, life);
  const appends = tracing.named("append");
  assertEquals(appends.map(({ parent }) => parent), requests);
  const commits = tracing.named("commit").filter(({ attributes }) =>
    attributes["topic"] === "transactions"
  );
  const linked = commits.flatMap(({ links }) => links!);
  const served = [...appends, ...tracing.named("fetch")].map(({ context }) => context);
  assertEquals(new Set(linked), new Set(served));
  assertEquals(linked.length, served.length);
  // Each fold belongs to its fetch, and that to its post: they are in the trace of the request.
  for (const name of ["append", "fetch", "fold"]) {
    const ids = tracing.named(name).map(({ context }) => context.traceId);
    assertEquals(ids.toSorted(), requests.map(({ traceId }) => traceId).toSorted(), name);
  }
  for (const commit of commits) {
    assertEquals(commit.parent, commit.links![0]);
    const [write] = tracing.spans.filter(({ parent }) => parent === commit.context);
    assertEquals(write?.name, "log write");
  }
  assert(tracing.spans.every(({ endedAt, failure }) => endedAt !== null && failure === null));
  await close(scene);
});

Deno.test("a batch that is not sampled has no span, nor has its commit; one with a post that is has them", async () => {
  const scene = await open();
  const { world, life, tracing } = scene;
  tracing.samples = false;
  await post(scene, "item_1");
  await drain(world, life);
  assertEquals(tracing.spans, []);
  tracing.newRequest();
  await post(scene, "item_1");
  tracing.request = null;
  await drain(world, life);
  const names = tracing.spans.map(({ name }) => name);
  assertEquals(names, ["append", "fetch", "fold", "commit", "log write"]);
  await close(scene);
});

Deno.test("without tracing, what is read and committed carries nothing of it", async () => {
  const reads: ReadAnswer[] = [];
  const commits: Commit[] = [];
  const world = await World.open();
  const life = await world.start(undefined, {
    wrapLog: (log) =>
      new OtherSessions(log, (session) => ({
        read: async (...args) => {
          const answer = await session.read(...args);
          reads.push(answer);
          return answer;
        },
        commit: (commit, signal) => {
          commits.push(commit);
          return session.commit(commit, signal);
        },
      })),
  });
  await post({ world, life }, "item_1");
  await drain(world, life);
  assert(reads.some(({ batches }) => batches.length > 0) && commits.length > 0);
  for (const answer of reads) assertEquals(Object.keys(answer), ["batches", "endOffset"]);
  for (const commit of commits) assertEquals(Object.keys(commit), ["positions", "outputs"]);
  // No queue waits for a commit, either.
  assertEquals(life.worker.partitions.map(({ traced }) => traced), [null, null]);
  await close({ world, life, tracing: new RecordedTracing(world.clock) });
});

Deno.test("a commit that is lost says so in its span; what it served is served again, and linked again", async () => {
  const scene = await open({
    wrapLog: (log) => new LossyLog(log, (n) => n === 1 ? "did not" : null),
  });
  const { world, life, tracing } = scene;
  tracing.newRequest();
  await post(scene, "item_1");
  tracing.request = null;
  await drain(world, life);
  const [append] = tracing.named("append");
  const ends = tracing.named("commit").map(({ links, failure }) => ({
    serves: links!.includes(append!.context),
    failure,
  }));
  assertEquals(ends, [{ serves: true, failure: "lost" }, { serves: true, failure: null }]);
  await close(scene);
});

Deno.test("a checkpoint's span has its parts, one behind the other", async () => {
  const scene = await open();
  const { world, life, tracing } = scene;
  await post(scene, "item_1");
  await world.clock.until(() => tracing.named("checkpoint").length > 0, "a checkpoint is taken");
  const [checkpoint] = tracing.named("checkpoint");
  assertEquals(checkpoint!.parent, null);
  assertEquals(checkpoint!.failure, null);
  const parts = tracing.spans.filter(({ parent }) => parent === checkpoint!.context);
  assertEquals(parts.map(({ name }) => name), ["encode", "wait for commit", "publish"]);
  const times = parts.flatMap(({ startedAt, endedAt }) => [startedAt!, endedAt!]);
  assertEquals(times, times.toSorted((a, b) => a - b));
  assertEquals(times[0], checkpoint!.startedAt);
  assertEquals(checkpoint!.attributes["offset"], 1);
  await drain(world, life);
  await close(scene);
});

Deno.test("a query's span leads to its answer's commit", async () => {
  const scene = await open();
  const { world, life, tracing } = scene;
  const request = tracing.newRequest();
  const asked = life.job.gateway!.ask([{ queryId: 1n, itemId: "item_1" }]);
  await world.clock.run(asked, "it is answered");
  tracing.request = null;
  await world.clock.until(() => tracing.named("log write").length > 0, "the answer is committed");
  assertEquals(
    tracing.spans.map(({ name, context }) => [name, context.traceId === request.traceId]),
    ["append", "fetch", "answer", "commit", "log write"].map((name) => [name, true]),
  );
  await close(scene);
});
