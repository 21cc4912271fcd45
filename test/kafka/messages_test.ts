// What /logs says of topics of Kafka: what is committed, read without a group.

import { assertEquals } from "@std/assert";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Stage } from "./scene.ts";
import { until } from "./until.ts";

const stage = await Stage.shared();

async function getJson(url: string, path: string) {
  const response = await fetch(`${url}${path}`);
  return { status: response.status, body: await response.json() };
}

stage.test("messages of topics are browsed by partition and offset: what is committed, in no group", async () => {
  const { topics, start } = await stage.scene(1);
  const topic = topics["transaction.input.topic"];
  await stage.sendWithOneAborted(topic);
  const service = await start({
    "transaction.partitioner": "murmur2",
    "wrong.partition": "deadletter",
  });
  await waitReady(service);
  const { body: { topics: listed } } = await getJson(service.url, "/logs");
  const names = listed.map((t: { topic: string }) => t.topic);
  for (const name of Object.values(topics)) assertEquals(names.includes(name), true, name);
  const path = `/logs/${topic}/0`;
  const whole = await getJson(service.url, path);
  // The aborted one, and the markers behind each, are passed.
  const values = (body: { records: { value: string }[] }) => body.records.map((r) => r.value);
  assertEquals(values(whole.body), ["1\t1\titem_1\t5", "1\t1\titem_1\t7"]);
  assertEquals([whole.body.start, whole.body.next === whole.body.end], [0, true]);
  const first = await getJson(service.url, `${path}?limit=1`);
  assertEquals([values(first.body), first.body.next], [["1\t1\titem_1\t5"], 1]);
  const rest = await getJson(service.url, `${path}?offset=${first.body.next}`);
  assertEquals(values(rest.body), ["1\t1\titem_1\t7"]);
  const results = `/logs/${topics["transaction.output.topic"]}/0`;
  await until(
    "results are there",
    async () => (await getJson(service.url, results)).body.records.length === 2,
  );
  assertEquals((await getJson(service.url, `${path}?offset=99`)).status, 416);
  assertEquals((await getJson(service.url, `/logs/${topic}/7`)).status, 404);
  assertEquals((await getJson(service.url, "/logs/elsewhere/0")).status, 404);
  const admin = stage.kafka().admin();
  await admin.connect();
  const { groups } = await admin.listGroups();
  await admin.disconnect();
  assertEquals(groups.filter(({ groupId }) => groupId.includes("page")), []);
  await stopInGoodOrder(service);
});
