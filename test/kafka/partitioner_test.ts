// Which partitioner the producers of transactions use.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { encodeUtf8, Partitioner, partitionOf } from "../../src/types/mod.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { freePort } from "../../tools/kit/test_broker.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Scene, Stage } from "./scene.ts";
import { stockOf } from "./until.ts";
import { witness } from "./witness.ts";

const PARTITIONS = 4;
const AUTO = { "transaction.partitioner": "auto" };

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const stage = await Stage.shared();

/** Deliveries of one each for items `item_<from>` and so on, where a producer with that partitioner puts them. */
async function append(
  { topics }: Scene,
  kind: Partitioner,
  from: number,
  count: number,
): Promise<void> {
  const loader = await Loader.open(stage.broker.bootstrap, topics["transaction.input.topic"]);
  const records = Array.from({ length: count }, (_, i) => {
    const id = `item_${from + i}`;
    return {
      record: loader.recordOf(`${i}\t1\t${id}\t1`, i),
      partition: partitionOf(kind, encodeUtf8(id), PARTITIONS),
    };
  });
  for (const [partition, some] of Map.groupBy(records, (r) => r.partition)) {
    await loader.appendTo(partition, some.map(({ record }) => record));
  }
  await loader.close();
}

stage.test("transaction.partitioner=auto waits for the first records, and stays what they showed", async () => {
  const scene = await stage.scene(PARTITIONS);
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const starting = scene.start({ ...AUTO, "http.port": String(port) });
  const readiness = async () => {
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    return { status: answer?.status, text: await answer?.text() ?? "" };
  };
  let seen = await readiness();
  for (; !seen.text.includes("partitioner: "); seen = await readiness()) await sleep(100);
  assertEquals(seen.status, 503);
  await append(scene, Partitioner.JavaHash, 0, 200);
  const first = await starting;
  await waitReady(first);
  await stage.untilCommitted(scene, 200);
  assertStringIncludes(first.log(), "transaction.partitioner=auto: java-hash");
  // Neither checkpoints nor new records decide anew.
  await stopInGoodOrder(first);
  await append(scene, Partitioner.JavaHash, 200, 100);
  const again = await scene.start(AUTO);
  await waitReady(again);
  await stage.untilCommitted(scene, 300);
  assertEquals(await stockOf(again, "item_299"), 1);
  await stopInGoodOrder(again);
  const results = await witness(stage.broker.bootstrap, scene.topics["transaction.output.topic"]);
  assertEquals(results.flat().length, 300);
});

stage.test("a partitioner that stops fitting stops the job, which names the one that fits", async () => {
  const scene = await stage.scene(PARTITIONS);
  await append(scene, Partitioner.Murmur2, 0, 400);
  const service = await scene.start();
  await waitReady(service);
  await stage.untilCommitted(scene, 400);
  await append(scene, Partitioner.Consistent, 1000, 1200);
  const { code } = await service.status;
  assertEquals(code, 2, service.log());
  assertStringIncludes(service.log(), "transaction.partitioner=consistent fits");
  assertStringIncludes(service.log(), "wrong.partition=deadletter");
  // Who knows better goes on: the rest are dead letters.
  const patient = await scene.start({ "wrong.partition": "deadletter" });
  await waitReady(patient);
  await stage.untilCommitted(scene, 1600);
  await stopInGoodOrder(patient);
  const [results, letters] = await Promise.all(
    ["transaction.output.topic", "deadletter.topic"].map((key) =>
      witness(stage.broker.bootstrap, scene.topics[key as keyof typeof scene.topics])
    ),
  );
  assertEquals(results!.flat().length + letters!.flat().length, 1600);
});
