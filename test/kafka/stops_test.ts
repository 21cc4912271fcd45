// Where the position of the job cannot be known, or going on would lose records, it exits 2 and says
// what to do. Starts brokers of its own (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import { ConfigResourceTypes } from "kafkajs";
import { encodeUtf8 } from "../../src/types/mod.ts";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { startTestBroker } from "../../tools/kit/test_broker.ts";
import { consoleConsume } from "./java_tools.ts";
import { startJob } from "../../tools/kit/job_process.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Scene, Stage } from "./scene.ts";
import { exitCode, stockOf, until, untilStock } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await Stage.open();
const { broker } = stage;

/** Appends deliveries of one of item_2, each a batch of its own. */
async function append(
  bootstrap: string,
  { topics }: Pick<Scene, "topics">,
  count: number,
  firstId = 1,
): Promise<void> {
  const loader = await Loader.open(bootstrap, topics["transaction.input.topic"]);
  for (let id = firstId; id < firstId + count; id++) {
    await loader.append([loader.recordOf(`${id}\t1\titem_2\t1`, id)]);
  }
  await loader.close();
}

/** Lets the job fold so many records, commit them and leave a checkpoint. */
async function foldAndStop(scene: Scene, count: number): Promise<void> {
  await append(broker.bootstrap, scene, count);
  const service = await scene.start();
  await waitReady(service);
  await stopInGoodOrder(service);
}

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

/** Partition 0 is empty afterwards, as when the disk of its broker is lost. */
async function loseRecords({ topics }: Scene): Promise<void> {
  await broker.stop();
  const folder = `${broker.folder}/logs/${topics["transaction.input.topic"]}-0`;
  await Deno.remove(folder, { recursive: true });
  await broker.restart();
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
  await foldAndStop(scene, 1);
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

stage.test("a log that lost its records goes on at its end, if that is accepted", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(scene, 3);
  await loseRecords(scene);
  const service = await scene.start({ "accept.offset": "true" });
  await waitReady(service);
  await append(broker.bootstrap, scene, 1, 4);
  // The checkpoint is ahead of the log, and the log has nothing else.
  await untilStock(service, "item_2", 1);
  await stopInGoodOrder(service);
  const again = await scene.start();
  await waitReady(again);
  assertEquals(await stockOf(again, "item_2"), 1);
  await stopInGoodOrder(again);
});

stage.test("a topic that was deleted and created again: exit 2", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(scene, 3);
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

stage.test("a log that lost its records: exit 2, also when others took their offsets", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(scene, 3);
  await loseRecords(scene);
  assertStringIncludes(await scene.refused(), "committed up to offset 3, but its log ends at 0");
  await append(broker.bootstrap, scene, 4, 100);
  assertStringIncludes(
    await scene.refused(),
    "has lost records that were read, and was written to since",
  );
});

stage.test("retention went past what is needed: exit 2; a checkpoint behind it serves", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(scene, 3);
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
  await foldAndStop(scene, 3);
  await append(broker.bootstrap, scene, 4, 4);
  await removeBelow(scene, 5);
  const text = await scene.refused();
  assertStringIncludes(text, "records of partition 0 from offset 3 to 4 were removed from the log");
  assertStringIncludes(text, "it begins at 5 now");
});

stage.test("queries that were removed before they were read are warned of, and the next is answered", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(scene, 1);
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

stage.test("a state of another cluster: exit 2", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(scene, 1);
  const other = await startTestBroker();
  try {
    // The group has committed there too.
    await other.createTopics(Object.values(scene.topics), 1);
    await append(other.bootstrap, scene, 1);
    const service = await startJob(other.bootstrap, await stage.newFolder(), scene.flags);
    await waitReady(service);
    await stopInGoodOrder(service);
    const text = await scene.refused({ "kafka.bootstrap.servers": other.bootstrap });
    assertStringIncludes(text, "belongs to another log");
  } finally {
    await other.remove();
  }
});

stage.test("other fold parameters: exit 2, except behind a stop in good order", async () => {
  const scene = await stage.scene(1);
  await foldAndStop(scene, 1);
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

stage.test("a batch that is damaged on disk: read once more, then exit 2 naming its offset", async () => {
  const scene = await stage.scene(1);
  await append(broker.bootstrap, scene, 3);
  const topic = scene.topics["transaction.input.topic"];
  await broker.stop();
  const file = `${broker.folder}/logs/${topic}-0/00000000000000000000.log`;
  const bytes = await Deno.readFile(file);
  bytes[bytes.length - 3]! ^= 1; // in the last record: the broker checks no CRC when it is fetched
  await Deno.writeFile(file, bytes);
  await broker.restart();
  const text = await scene.refused();
  assertStringIncludes(text, `${topic}-0 at offset 2`);
  assertStringIncludes(text, "it is read once more");
  assertStringIncludes(text, "stockflow: The log is damaged");
});

stage.test("queries that are damaged on disk: read once more, then exit 2, and no item is mixed up with another", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["query.input.topic"];
  await foldAndStop(scene, 3);
  const producer = stage.kafka().producer();
  await producer.connect();
  await producer.send({ topic, messages: [{ value: "1 item_2" }] });
  await producer.disconnect();
  await broker.stop();
  const file = `${broker.folder}/logs/${topic}-0/00000000000000000000.log`;
  const bytes = await Deno.readFile(file);
  const at = new TextDecoder("latin1").decode(bytes).lastIndexOf("item_2") + 5;
  bytes[at]! ^= 1; // item_3
  await Deno.writeFile(file, bytes);
  await broker.restart();
  const text = await scene.refused();
  assertStringIncludes(text, `cannot read the queries of ${topic}-0 at offset 0: Its CRC is wrong`);
  assertStringIncludes(text, "it is read once more");
  const answers = await witness(broker.bootstrap, scene.topics["query.output.topic"]);
  assertEquals(answers.flat(), []);
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
