// The bundle on Apache Kafka: kafkajs and the module of its threads are in it.

import { assertEquals, assertMatch } from "@std/assert";
import { buildBundle, runBundle, startBundle } from "../../tools/kit/bundle.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Stage } from "./scene.ts";

const stage = await Stage.shared();

stage.test("the bundle folds topics in threads, without a checkout and without a download", async () => {
  const scene = await stage.scene(2);
  const folder = await stage.newFolder();
  const place = { dist: `${folder}/opt`, cwd: scene.folder, home: `${folder}/home` };
  await Deno.mkdir(place.home);
  await buildBundle(place.dist);
  const flags = {
    ...scene.flags,
    job: "kafka",
    parallelism: "2",
    "kafka.bootstrap.servers": stage.broker.bootstrap,
  };
  const args = Object.entries(flags).map(([key, value]) => `--${key}=${value}`);
  const service = await startBundle(place, ...args);
  await waitReady(service);
  const producer = stage.kafka().producer();
  await producer.connect();
  const topic = scene.topics["transaction.input.topic"];
  // kafkajs puts them where the job looks for them.
  const messages = Array.from({ length: 10 }, (_, i) => ({
    key: `item_${i}`,
    value: `${i}\t1700000000000\titem_${i}\t${i + 1}`,
  }));
  await producer.send({ topic, messages });
  await producer.disconnect();
  await stage.untilCommitted(scene, messages.length, service);
  const stocks = await Promise.all(messages.map(async ({ key }) => {
    const { quantity } = await (await fetch(`${service.url}/items/${key}`)).json();
    return quantity;
  }));
  assertEquals(stocks, messages.map((_, i) => i + 1));
  await stopInGoodOrder(service);
  // The state tool finds the file of the job that it is asked about.
  const listed = await runBundle(place, "state", "list", "--job=kafka");
  assertEquals(listed.code, 0, listed.output);
  assertMatch(listed.output, /^ +0 +1 /m);
});
