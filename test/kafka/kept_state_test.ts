// What an earlier version left on a broker and in its file, when it was killed: this version goes on with it, exactly
// once. test/state/formats/make_kafka.ts made the file with the program of its commit, the last whose offsets are noted
// in the first form ("stockflow1") and whose fold is of version 1.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { Loader } from "../../tools/kit/load.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { fill, type KeptOnKafka } from "../state/formats/kept.ts";
import json from "../state/formats/kafka_974dc06.json" with { type: "json" };
import { placeOf, setPlace } from "./places.ts";
import { Stage } from "./scene.ts";
import { until } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await Stage.shared();
const { broker } = stage;
const kept = json as unknown as KeptOnKafka;
const INPUT = "transaction.input.topic";

async function stockOf({ url }: Service): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const item of Object.keys(kept.stock)) {
    const response = await fetch(`${url}/items/${encodeURIComponent(item)}`);
    found[item] = (await response.json()).quantity;
  }
  return found;
}

/** The checkpoint that the newest start began with, and up to where it folded behind it. */
async function lastRestored(folder: string) {
  const kv = await Deno.openKv(`${folder}/state.kv`);
  const events: { kind: string; sequence: number; offset: number }[] = [];
  for await (const { value } of kv.list({ prefix: ["history"] })) events.push(value as never);
  kv.close();
  const { sequence, offset } = events.filter(({ kind }) => kind === "restored").at(-1)!;
  return { sequence, offset };
}

/** Checkpoints name the cluster and the topic that they are of, and those of a test are others. */
async function moveCheckpoints(kv: Deno.Kv, topic: string): Promise<void> {
  let cluster = "";
  await stage.withAdmin(async (admin) => {
    cluster = (await admin.describeCluster()).clusterId;
  });
  for await (const { key, value } of kv.list<Uint8Array>({ prefix: ["manifest"] })) {
    // A SHA-256, and the JSON that it is of.
    const manifest = JSON.parse(new TextDecoder().decode(value.subarray(32)));
    const json = new TextEncoder().encode(
      JSON.stringify({ ...manifest, logId: `${cluster}/${topic}` }),
    );
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", json));
    await kv.set(key, Uint8Array.from([...hash, ...json]));
  }
}

stage.test("a job of the earlier version of the fold, killed on Kafka, goes on from its checkpoint and its committed offset", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics[INPUT];
  const loader = await Loader.open(broker.bootstrap, topic);
  const append = async (records: KeptOnKafka["records"]) => {
    await loader.append(records.map(({ line, timestamp }) => loader.recordOf(line, timestamp)));
  };
  // In the batches of then: checkpoints know the last one.
  await append(kept.records.slice(0, 18));
  await append(kept.records.slice(18));
  const kv = await Deno.openKv(`${scene.folder}/state.kv`);
  await fill(kv, kept.state);
  await moveCheckpoints(kv, topic);
  kv.close();
  await setPlace(stage, scene, topic, kept.transactions);
  await setPlace(stage, scene, scene.topics["query.input.topic"], kept.queries);

  const first = await scene.start(kept.flags);
  await waitReady(first);
  assertEquals(await stockOf(first), kept.stock);
  const [last] = kept.records.slice(-1);
  const more = Array.from({ length: 5 }, (_, i) => ({
    timestamp: last!.timestamp,
    line: `${9000 + i}\t${last!.timestamp}\titem_1\t1`,
  }));
  const stock = (added: number) => ({ ...kept.stock, item_1: kept.stock["item_1"]! + added });
  await append(more.slice(0, 3));
  const committed = kept.records.length + 3;
  await until(
    "the records are committed",
    async () => (await placeOf(stage, scene, topic)).offset === committed,
    first,
  );
  // From now on each commit says where the newer version began.
  const { metadata } = await placeOf(stage, scene, topic);
  assertStringIncludes(metadata, "stockflow3 ");
  assertStringIncludes(metadata, ` raised=${kept.transactions.offset}`);
  await first.kill();
  assertEquals(await lastRestored(scene.folder), { sequence: 1, offset: kept.transactions.offset });

  const second = await scene.start(kept.flags);
  await waitReady(second);
  assertEquals(await stockOf(second), stock(3));
  await append(more.slice(3));
  await until(
    "the last records are committed",
    async () => (await placeOf(stage, scene, topic)).offset === committed + 2,
    second,
  );
  await stopInGoodOrder(second);
  await loader.close();
  // The results of what the earlier version had committed stand in the topic of its day.
  const results = await witness(broker.bootstrap, scene.topics["transaction.output.topic"]);
  assertEquals(results.flat().map(({ value }) => value), more.map(({ line }) => `${line}\ttrue`));
});
