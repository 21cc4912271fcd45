// What the job does when topics get more partitions. Starts a broker of its own (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";
import { exitCode, stockOf, until, untilAnswered } from "./until.ts";
import { witness } from "./witness.ts";

const LOOK_OFTEN = { "kafka.partition.discovery.interval.ms": "200" };

const stage = await Stage.shared();

/** Resolves when the broker gives the new partitions, too: until then a producer drops what is for them, silently. */
const grow = (topic: string, count: number) =>
  stage.withAdmin(async (admin) => {
    await admin.createPartitions({ topicPartitions: [{ topic, count }] });
    await until(`${topic} has ${count} partitions`, async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const { partitions } = topics[0]!;
      return partitions.length === count && partitions.every(({ leader }) => leader >= 0);
    });
  });

stage.test("new partitions of the query topic are answered from their first record on", async () => {
  const { topics, start } = await stage.scene(1);
  const loader = await Loader.open(stage.broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  const service = await start(LOOK_OFTEN);
  await waitReady(service);
  const topic = topics["query.input.topic"];
  await grow(topic, 3);
  const producer = stage.kafka().producer();
  await producer.connect();
  // The job may not know of the partition yet.
  const ask = async (id: number, partition: number) => {
    const sent = await producer.send({ topic, messages: [{ partition, value: `${id} item_2` }] });
    assertEquals(sent.map((s) => s.partition), [partition]);
  };
  await ask(1, 2);
  await ask(2, 0);
  await ask(3, 1);
  await untilAnswered(service, 3);
  await producer.disconnect();
  assertEquals(await stockOf(service, "item_2"), 70);
  await stopInGoodOrder(service);
  const answers = await witness(stage.broker.bootstrap, topics["query.output.topic"]);
  assertEquals(
    answers.flat().map((r) => r.value).toSorted(),
    ["1\titem_2\t70", "2\titem_2\t70", "3\titem_2\t70"],
  );
  await loader.close();
});

stage.test("more partitions of the transaction topic: exit 2, while it runs and at the start", async () => {
  const { topics, start, refused } = await stage.scene(2);
  const topic = topics["transaction.input.topic"];
  const service = await start(LOOK_OFTEN);
  await waitReady(service);
  await grow(topic, 3);
  assertEquals(await exitCode(service), 2, service.log());
  assertStringIncludes(service.log(), `Topic ${topic} has 3 partitions now, not 2`);
  // Results go to the partition with the number of their input's.
  await grow(topics["transaction.output.topic"], 3);
  const text = await refused();
  assertStringIncludes(text, `no committed offset for ${topic}-2`);
  assertStringIncludes(text, "partitions were added");
});
