// Where the position of the job cannot be known, or going on would lose records, it exits 2 and says what to do.
// What comes to harm on the disk of a broker is in lost_logs_test.ts.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { ConfigResourceTypes } from "kafkajs";
import { encodeUtf8 } from "../../src/types/mod.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { consoleConsume } from "./java_tools.ts";
import { Loader } from "../../tools/kit/load.ts";
import { append, foldAndStop } from "./folded.ts";
import { type Scene, Stage } from "./scene.ts";
import { exitCode, stockOf, until, untilStock } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await Stage.shared();
const { broker } = stage;

/** Lets the job commit more records than its newest checkpoint holds, and kills it. */
async function foldAndKill(scene: Scene, count: number, firstId: number): Promise<void> {
  const service = await scene.start({ "checkpoint.interval.millis": "0" });
  await waitReady(service);
  await append(broker.bootstrap, scene, count, firstId);
  await stage.untilCommitted(scene, firstId - 1 + count);
  await service.kill();
}

/** Removes the records of partition 0 below an offset, as retention does. */
async function removeBelow(
  { topics }: Scene,
  offset: number,
  topic = topics["transaction.input.topic"],
): Promise<void> {
  await stage.withAdmin(async (admin) => {
    await admin.fetchTopicOffsets(topic); // loads the metadata that the next call needs
    const partitions = [{ partition: 0, offset: String(offset) }];
    await admin.deleteTopicRecords({ topic, partitions });
  });
}

stage.test("an offset that a tool has set: exit 2", async () => {
  const { refused, group, topics } = await stage.scene();
  await stage.withAdmin((admin) =>
    admin.setOffsets({
      groupId: group,
      topic: topics["transaction.input.topic"],
      partitions: [{ partition: 0, offset: "0" }],
    })
  );
  assertStringIncludes(await refused(), "is not of this job");
});

stage.test("checkpoints without a committed offset: exit 2", async () => {
  const scene = await stage.scene();
  await foldAndStop(stage, scene, 1);
  const another = await scene.refused({ "kafka.group.id": "another-group" });
  assertStringIncludes(another, "group another-group has no committed offset");
  // What is left when the group's offsets have expired.
  await stage.withAdmin((admin) => admin.deleteGroups([scene.group]));
  const expired = await scene.refused();
  assertStringIncludes(expired, `group ${scene.group} has no committed offset`);
  assertStringIncludes(expired, "--accept-offset");
  const service = await scene.start({ "accept.offset": "true" });
  await waitReady(service);
  await append(broker.bootstrap, scene, 1, 2);
  await untilStock(service, "item_2", 2);
  await stopInGoodOrder(service);
  const results = await witness(broker.bootstrap, scene.topics["transaction.output.topic"]);
  assertEquals(
    results.flat().map((r) => r.value),
    ["1\t1\titem_2\t1\ttrue", "2\t1\titem_2\t1\ttrue"],
  );
});

stage.test("a topic that was deleted and created again: exit 2", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(stage, scene, 3);
  const topic = scene.topics["transaction.input.topic"];
  await stage.withAdmin(async (admin) => {
    await admin.deleteTopics({ topics: [topic] });
    await until("it is gone", async () => !(await admin.listTopics()).includes(topic));
  });
  await broker.createTopics([topic], 1);
  await append(broker.bootstrap, scene, 4, 100);
  // The broker removes the offsets of a topic that it deletes.
  const text = await scene.refused();
  assertStringIncludes(text, `has no committed offset for ${topic}-0`);
  assertStringIncludes(text, "created anew");
});

stage.test("retention went past what is needed: exit 2; a checkpoint behind it serves", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(stage, scene, 3);
  await removeBelow(scene, 2);
  // The checkpoint stands at 3: nothing below is needed.
  const service = await scene.start();
  await waitReady(service);
  assertEquals(await stockOf(service, "item_2"), 3);
  await stopInGoodOrder(service);
  const empty = await stage.newFolder();
  const text = await scene.refused({ "state.kv": `${empty}/state.kv` });
  assertStringIncludes(text, "its log begins at offset 2, behind 0 where its state began");
  // The checkpoint stands at 3, the group at 5, the log begins at 4.
  await foldAndKill(scene, 2, 4);
  await removeBelow(scene, 4);
  assertStringIncludes(await scene.refused(), "the log begins at 4, behind its offset 3");
});

/** Waits until the newest checkpoint of partition 0 stands at an offset. */
function untilCheckpoint(service: Service, offset: number): Promise<void> {
  return until(`a checkpoint stands at ${offset}`, async () => {
    const { checkpoints } = await (await fetch(`${service.url}/checkpoints`)).json() as {
      checkpoints: { offset: number }[];
    };
    return checkpoints[0]?.offset === offset;
  }, service);
}

stage.test("records below a checkpoint that are removed while the job runs: it goes on, also over kill -9", async () => {
  const scene = await stage.scene(1);
  const start = () => scene.start({ "checkpoint.interval.millis": "200" });
  let service = await start();
  let sent = 0;
  for (const end of [3, 6, 9]) {
    await append(broker.bootstrap, scene, end - sent, sent + 1);
    sent = end;
    await untilCheckpoint(service, end);
    await removeBelow(scene, end);
    await append(broker.bootstrap, scene, 1, ++sent);
    await untilStock(service, "item_2", sent);
    await service.kill();
    service = await start();
  }
  await untilStock(service, "item_2", sent);
  await stopInGoodOrder(service);
  const results = await witness(broker.bootstrap, scene.topics["transaction.output.topic"]);
  assertEquals(results.flat().length, sent);
});

stage.test("records that were removed before they were read: exit 2, naming them", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(stage, scene, 3);
  await append(broker.bootstrap, scene, 4, 4);
  await removeBelow(scene, 5);
  const text = await scene.refused();
  assertStringIncludes(text, "records of partition 0 from offset 3 to 4 were removed from the log");
  assertStringIncludes(text, "it begins at 5 now");
});

stage.test("queries that were removed before they were read are warned of, and the next is answered", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(stage, scene, 1);
  const topic = scene.topics["query.input.topic"];
  const loader = await Loader.open(broker.bootstrap, topic);
  for (const id of [1, 2, 3]) {
    await loader.appendTo(0, [{ timestamp: id, key: null, value: encodeUtf8(`${id} item_2`) }]);
  }
  await loader.close();
  await removeBelow(scene, 2, topic);
  const service = await scene.start();
  await waitReady(service);
  const answers = await consoleConsume(broker.bootstrap, scene.topics["query.output.topic"], 1);
  assertEquals(answers, ["3\titem_2\t1"]);
  assertStringIncludes(service.log(), "from offset 0 to 1 were removed before they were read");
  await stopInGoodOrder(service);
});

stage.test("other fold parameters: exit 2, except behind a stop in good order", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(stage, scene, 1);
  await foldAndKill(scene, 1, 2);
  const other = { "time.intervals.in.minutes": "5" };
  const text = await scene.refused(other);
  assertStringIncludes(text, "The fold parameters differ");
  const before = await scene.start();
  await waitReady(before);
  await stopInGoodOrder(before);
  const after = await scene.start(other);
  await waitReady(after);
  assertEquals(await stockOf(after, "item_2"), 2);
  await stopInGoodOrder(after);
});

stage.test("a topic of results whose batches hold no record any more: exit 2", async () => {
  const scene = await stage.scene(1);
  const service = await scene.start();
  await waitReady(service);
  await stage.withAdmin((admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{
        type: ConfigResourceTypes.TOPIC,
        name: scene.topics["transaction.output.topic"],
        // Room for the marker that ends a transaction, and not for a result.
        configEntries: [{ name: "max.message.bytes", value: "85" }],
      }],
    })
  );
  await append(broker.bootstrap, scene, 3);
  assertEquals(await exitCode(service), 2, service.log());
  const topic = scene.topics["transaction.output.topic"];
  assertStringIncludes(service.log(), `Topic ${topic} takes batches of 85 bytes at the most`);
  assertStringIncludes(service.log(), "set it to at least");
});

stage.test("a compacted topic of transactions: exit 2", async () => {
  const { refused } = await stage.scene(1, { "cleanup.policy": "compact" });
  assertStringIncludes(await refused(), "is compacted");
});

stage.test("a topic of results with fewer partitions than the input: exit 2", async () => {
  const { refused, topics } = await stage.scene(2);
  const small = `small-${topics["transaction.output.topic"]}`;
  await broker.createTopics([small], 1);
  const text = await refused({ "transaction.output.topic": small });
  assertStringIncludes(text, `Topic ${small} has 1 partitions`);
});

stage.test("a wrong partitioner: exit 2 before anything is committed", async () => {
  const { refused, topics } = await stage.scene(4);
  const loader = await Loader.open(broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append(
    Array.from({ length: 50 }, (_, i) => loader.recordOf(`${i}\t1\titem_${i}\t1`, 1)),
  );
  await loader.close();
  const text = await refused({ "transaction.partitioner": "java-hash" });
  assertStringIncludes(text, "transaction.partitioner");
  const results = await witness(broker.bootstrap, topics["transaction.output.topic"]);
  assertEquals(results.flat(), []);
});

stage.test("a member of the group that is not a job of ours: exit 2", async () => {
  const { refused, group, topics } = await stage.scene(1);
  const consumer = stage.kafka().consumer({ groupId: group });
  await consumer.connect();
  await consumer.subscribe({ topic: topics["query.input.topic"] });
  const joined = new Promise((resolve) => consumer.on("consumer.group_join", resolve));
  await consumer.run({ eachMessage: () => Promise.resolve() });
  await joined;
  assertStringIncludes(await refused(), "has members that are not stockflow jobs");
  await consumer.disconnect();
});
