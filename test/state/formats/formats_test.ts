// Every format that was ever written is still read: files that versions left, kept beside this test.
//
// make.ts made each of them with the program of its commit, in a git worktree:
//   40ccbf3  the first that starts: manifests, segments and positions of format 1
//   7c20101  the last day of exported files of format 1, which had no savepoints
//   9475989  savepoints, logs that begin with one, exported files of format 2
//   974dc06  segments of up to 128 bytes in one raw block of zstd
//   21cebe2  manifests with the topic's id and stray records; the last whose index names no format of segments
//   segment_format  the first whose index does
//   2e19b12  killed, with its newest checkpoint behind what it had committed; the last of version 1 of the fold
// kafka_974dc06.json, of make_kafka.ts, is what test/kafka/kept_state_test.ts goes on with, on a broker.
// kafka_metadata.json: what encodeMetadata of src/kafka/committed_metadata.ts gave at the commits that it names
// ("secrets": the first with the secret by which transactions are remembered).

import { assert, assertEquals } from "@std/assert";
import { decodeMetadata, encodeMetadata } from "../../../src/kafka/committed_metadata.ts";
import { toKv } from "../../../src/kv/mod.ts";
import type { StoredPosition } from "../../../src/log/embedded_topics.ts";
import { JOB_NAME } from "../../../src/service/mod.ts";
import { CheckpointStore, importCheckpoints } from "../../../src/state/mod.ts";
import { readExported } from "../../../src/state/read_exported.ts";
import { decodeIndex } from "../../../src/state/segment_index.ts";
import { NO_TIME, SEGMENT_FORMAT } from "../../../src/wasm/mod.ts";
import { drain, feed } from "../../engine/feeding.ts";
import { type Life, World } from "../../engine/world.ts";
import { Model } from "../../model/model.ts";
import { Random } from "../../../tools/kit/random.ts";
import { fill, type Kept, type KeptFiles, SAVEPOINT } from "./kept.ts";
import first from "./40ccbf3.json" with { type: "json" };
import exports1 from "./7c20101.json" with { type: "json" };
import savepoints from "./9475989.json" with { type: "json" };
import rawBlocks from "./974dc06.json" with { type: "json" };
import topicIds from "./21cebe2.json" with { type: "json" };
import segmentFormat from "./segment_format.json" with { type: "json" };
import killed from "./2e19b12.json" with { type: "json" };
import metadata from "./kafka_metadata.json" with { type: "json" };

const ALL = [first, exports1, savepoints, rawBlocks, topicIds, segmentFormat] as unknown as Kept[];

async function stockOf(life: Life, items: readonly string[]): Promise<Record<string, number>> {
  const found = await life.job.lookUp(items, new AbortController().signal);
  return Object.fromEntries(items.map((item, i) => [item, Number(found[i] ?? -1n)]));
}

async function open(kept: Kept, files: Partial<KeptFiles>): Promise<World> {
  const world = await World.open(kept.flags);
  await fill(world.logKv, files.log ?? []);
  await fill(world.stateKv, files.state ?? []);
  return world;
}

/** Partitions that began with a checkpoint, and folded nothing again that it holds. */
async function restored({ job }: Life): Promise<number> {
  // Each partition has at most one event of a checkpoint that begins, and one of its end, beside it.
  const events = await job.store.history.list(6);
  const now = job.context.clock.now();
  return events.filter(({ kind, at }) => kind === "restored" && Math.abs(at - now) < 60_000).length;
}

function storeOf(kv: Deno.Kv, world: World): Promise<CheckpointStore> {
  return CheckpointStore.open(toKv(kv), { job: JOB_NAME, clock: world.clock, chance: () => 0.5 });
}

/** Models of the records of a kept log, up to where its savepoint stands. */
async function modelsAtSavepoint(kept: Kept): Promise<Model[]> {
  const world = await open(kept, kept.files);
  const savepoint = await (await storeOf(world.stateKv, world)).savepoints.get(SAVEPOINT);
  const models: Model[] = [];
  for (const [partition, member] of savepoint!.partitions.entries()) {
    const model = new Model(world.modelOptions(partition));
    for (const record of await world.read("transactions", partition)) {
      if (record.offset < member!.offset) model.fold(record);
    }
    models.push(model);
  }
  world.close();
  return models;
}

for (const kept of ALL) {
  Deno.test(`formats: a job goes on from checkpoints, log and positions of ${kept.commit}`, async () => {
    const world = await open(kept, kept.files);
    const life = await world.start(undefined, { name: JOB_NAME });
    assertEquals(await restored(life), 2);
    assertEquals(await stockOf(life, Object.keys(kept.files.stock)), kept.files.stock);
    await feed(world, life, new Random(3), 60);
    await drain(world, life);
    await world.stop(life);
    // Windows and counters too, and nothing of what the version wrote is written again.
    const models = await world.assertExactlyOnce();
    assert(models.some((model) => model.summaries.length > 0));
    world.close();
  });
}

for (const kept of ALL.filter((kept) => kept.restored)) {
  Deno.test(`formats: a log that began with a savepoint of ${kept.commit} goes on`, async () => {
    const files = kept.restored!;
    const world = await open(kept, files);
    const life = await world.start(undefined, { name: JOB_NAME });
    assertEquals(await restored(life), 2);
    assertEquals(await stockOf(life, Object.keys(files.stock)), files.stock);
    await feed(world, life, new Random(3), 60);
    await drain(world, life);
    await world.stop(life);
    await world.assertExactlyOnce(await modelsAtSavepoint(kept));
    world.close();
  });
}

for (const kept of ALL.filter((kept) => kept.exported !== null)) {
  Deno.test(`formats: an exported file of ${kept.commit} is imported, and a job begins with its savepoint`, async () => {
    const exported = readExported(Uint8Array.fromBase64(kept.exported!));
    const world = await open(kept, {});
    const store = await storeOf(world.stateKv, world);
    await importCheckpoints(store, exported);
    if (kept.savepointStock) {
      const flags = { restore: SAVEPOINT };
      const life = await world.start(undefined, { name: JOB_NAME, flags });
      assertEquals(await stockOf(life, Object.keys(kept.savepointStock)), kept.savepointStock);
      await world.stop(life);
    } else {
      // Without savepoints checkpoints serve the log that they come from.
      await fill(world.logKv, kept.files.log);
      const life = await world.start(undefined, { name: JOB_NAME });
      assertEquals(await restored(life), 2);
      assertEquals(await stockOf(life, Object.keys(kept.files.stock)), kept.files.stock);
      await world.stop(life);
    }
    world.close();
  });
}

Deno.test("formats: a log of the earlier version of the fold goes on behind kill -9, and no earlier program opens it any more", async () => {
  const kept = killed as unknown as Kept;
  const world = await open(kept, kept.files);
  const offsetOf = async (partition: number) =>
    (await world.logKv.get<StoredPosition>(["committed", "transactions", partition])).value!;
  const before = await Promise.all([0, 1].map(offsetOf));
  const life = await world.start(undefined, { name: JOB_NAME });
  assertEquals(await restored(life), 2);
  assertEquals(await stockOf(life, Object.keys(kept.files.stock)), kept.files.stock);
  for (const partition of [0, 1]) {
    // What was committed was folded behind the checkpoint that was there.
    const committed = before[partition]!;
    const [manifest] = (await life.job.store.list(partition)).map(({ manifest }) => manifest!);
    assertEquals(manifest!.parameters.foldVersion, 1);
    assert(Number(manifest!.scalars.position) < committed.offset);
    assertEquals(life.worker.partitions[partition]!.processor.raisedAt, committed.offset);
    assertEquals(await offsetOf(partition), committed);
  }
  assertEquals((await world.logKv.get<{ version: number }>(["log"])).value?.version, 2);
  await feed(world, life, new Random(3), 60);
  await drain(world, life);
  for (const partition of [0, 1]) {
    // Every commit says from now on where the newer version began.
    const { parameters, raisedAt, start } = await offsetOf(partition);
    assert(parameters !== before[partition]!.parameters);
    assertEquals([raisedAt, start], [before[partition]!.offset, 0]);
  }
  life.kill();
  const next = await world.start(undefined, { name: JOB_NAME });
  await feed(world, next, new Random(4), 60);
  await drain(world, next);
  await world.stop(next);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("formats: checkpoints of the earlier version of the fold, and the log's start, lead behind where the newer one began", async () => {
  const kept = killed as unknown as Kept;
  const world = await open(kept, kept.files);
  const remove = async (partition: number, mayGo: (foldVersion: number) => boolean) => {
    const store = await storeOf(world.stateKv, world);
    for (const { sequence, manifest } of await store.list(partition)) {
      if (!mayGo(manifest!.parameters.foldVersion)) continue;
      await world.stateKv.delete(["manifest", JOB_NAME, partition, sequence]);
    }
  };
  const flags = { "checkpoint.interval.millis": "1000" } as const;
  const live = async (seed: number) => {
    const life = await world.start(undefined, { name: JOB_NAME, flags });
    await feed(world, life, new Random(seed), 60);
    await drain(world, life);
    await world.clock.advance(3000);
    return life;
  };
  const first = await live(3);
  first.kill();
  for (const partition of [0, 1]) await remove(partition, (version) => version === 2);
  const second = await live(4);
  for (const { recovery, processor } of second.worker.partitions) {
    assert(recovery!.restored > 0 && recovery!.replayed > 0);
    assert(processor.raisedAt !== null && processor.raisedAt < processor.position);
  }
  second.kill();
  for (const partition of [0, 1]) await remove(partition, () => true);
  const third = await live(5);
  for (const { recovery, processor } of third.worker.partitions) {
    assertEquals(recovery!.restored, 0);
    assert(processor.raisedAt !== null && processor.raisedAt < processor.position);
  }
  await world.stop(third);
  await world.assertExactlyOnce();
  world.close();
});

Deno.test("formats: segments are written with their format, though the checkpoint before named none", async () => {
  const kept = topicIds as unknown as Kept;
  const world = await open(kept, kept.files);
  const life = await world.start(undefined, { name: JOB_NAME });
  const formatsOf = async (partition: number) => {
    const [found] = await life.job.store.list(partition);
    const chunks = await life.job.store.chunks(partition, found!.manifest!.index);
    // The second byte of an entry, see segment_index.ts.
    const written = new Set<number>();
    for (const chunk of chunks) {
      const view = new DataView(chunk.buffer, chunk.byteOffset);
      for (let at = 0; at < chunk.length; at += 44 + 32 * view.getUint16(at + 2, true)) {
        written.add(chunk[at + 1]!);
      }
    }
    for (const { format } of decodeIndex(chunks[0]!).values()) assertEquals(format, 1);
    return written;
  };
  assertEquals(await formatsOf(0), new Set([0]));
  await feed(world, life, new Random(3), 5);
  await drain(world, life);
  await world.stop(life);
  assertEquals(await formatsOf(0), new Set([SEGMENT_FORMAT]));
  world.close();
});

Deno.test("formats: metadata of committed offsets on Kafka is read as every version wrote it", () => {
  for (const { metadata: text, position, identity } of metadata) {
    const { watermark, parameters: parametersHash, ...rest } = position;
    const expected = {
      secret: null,
      raisedAt: null,
      ...rest,
      parametersHash,
      watermark: watermark === null ? NO_TIME : BigInt(watermark),
    };
    assertEquals(decodeMetadata(position.offset, text), { position: expected, identity });
  }
  // The newest are those that are written now.
  const newest = metadata.filter(({ commit }) => commit === "secrets");
  for (const { metadata: text, position } of newest) {
    const { position: read, identity } = decodeMetadata(position.offset, text)!;
    assertEquals(encodeMetadata(read, identity), text);
  }
  assertEquals(newest.length, 18);
});
