// Output topics that do not take every record as it is, and that change while the job runs: no record ends
// the job, and each change has its clear end or wait. Starts a broker of its own (tools/kit/test_broker.ts).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ConfigResourceTypes } from "kafkajs";
import { encodeUtf8, type NewRecord, Partitioner, partitionOf } from "../../src/types/mod.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Scene, Stage } from "./scene.ts";
import { exitCode, until, untilAnswered } from "./until.ts";
import { witness, type WitnessedRecord } from "./witness.ts";

const stage = await Stage.shared();
const { broker } = stage;

const LOOK_OFTEN = { "kafka.partition.discovery.interval.ms": "300", "commit.interval.ms": "50" };
const BEFORE = "message.timestamp.before.max.ms";
const ORIGINAL = "stockflow.original.timestamp";

type Role = keyof Scene["topics"];

async function append(topic: string, records: readonly NewRecord[]): Promise<void> {
  const loader = await Loader.open(broker.bootstrap, topic);
  await loader.appendTo(0, records);
  await loader.close();
}

const transaction = (id: number, quantity: number, timestamp = id): NewRecord => ({
  timestamp,
  key: encodeUtf8("item_2"),
  value: encodeUtf8(`${id}\t1\titem_2\t${quantity}`),
});

async function set(topic: string, name: string, value: string): Promise<void> {
  await stage.withAdmin((admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{
        type: ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: [{ name, value }],
      }],
    })
  );
}

/** A scene in which one output is another topic, with settings of its own. */
async function sceneWith(
  role: Role,
  partitions: number,
  configs: Record<string, string>,
): Promise<Scene & { readonly topic: string; readonly use: Record<string, string> }> {
  const scene = await stage.scene(1);
  const topic = `own-${scene.topics[role]}`;
  await broker.createTopics([topic], partitions, configs);
  return { ...scene, topic, use: { [role]: topic, ...LOOK_OFTEN } };
}

async function read(topic: string): Promise<WitnessedRecord[]> {
  return (await witness(broker.bootstrap, topic)).flat();
}

/** Whether timestamps lie so many ms ago at the most, and headers name those that the records had. */
function assertMoved(
  records: readonly WitnessedRecord[],
  originals: number[],
  agoMs: number,
): void {
  assertEquals(records.map((r) => Number(String(r.headers[ORIGINAL]))), originals);
  for (const { timestamp } of records) {
    assert(timestamp > Date.now() - agoMs - 60_000, `${timestamp}`);
  }
}

stage.test("results, answers and dead letters of old records go to topics that take none: moved, and marked", async () => {
  const scene = await sceneWith("transaction.output.topic", 1, { [BEFORE]: "5000" });
  const { topics } = scene;
  await set(topics["query.output.topic"], BEFORE, "5000");
  await set(topics["deadletter.topic"], BEFORE, "5000");
  const input = topics["transaction.input.topic"];
  await append(input, [transaction(1, 5), transaction(2, -9)]);
  const service = await scene.start({ ...scene.use, "kafka.retries": "0" });
  await waitReady(service);
  assertStringIncludes(
    service.log(),
    `Topic ${scene.topic} refuses timestamps of more than 5000 ms ago`,
  );
  await append(input, [{ timestamp: 3, key: null, value: encodeUtf8("bad") }]);
  await append(topics["query.input.topic"], [{
    timestamp: 7,
    key: null,
    value: encodeUtf8("4 item_2"),
  }]);
  await stage.untilCommitted(scene, 3, service);
  await untilAnswered(service, 1);
  await stopInGoodOrder(service);
  const results = await read(scene.topic);
  assertEquals(results.map((r) => r.value), ["1\t1\titem_2\t5\ttrue", "2\t1\titem_2\t-9\tfalse"]);
  assertMoved(results, [1, 2], 5000);
  assertMoved(await read(topics["query.output.topic"]), [7], 5000);
  assertMoved(await read(topics["deadletter.topic"]), [3], 5000);
});

stage.test("a limit of timestamps that comes while the job runs: what was refused goes out once, moved", async () => {
  const scene = await sceneWith("transaction.output.topic", 1, {});
  const input = scene.topics["transaction.input.topic"];
  // It is not looked at the topics before something is refused.
  const service = await scene.start({
    ...scene.use,
    "kafka.partition.discovery.interval.ms": "0",
    "kafka.retries": "0",
  });
  await waitReady(service);
  await append(input, [transaction(1, 5)]);
  await stage.untilCommitted(scene, 1, service);
  await set(scene.topic, BEFORE, "600000");
  await append(input, [transaction(2, 6)]);
  await stage.untilCommitted(scene, 2, service);
  await append(input, [transaction(3, 7)]);
  await stage.untilCommitted(scene, 3, service);
  assertStringIncludes(service.log(), `Topic ${scene.topic} refuses records of partition 0`);
  assertStringIncludes(service.log(), `partition 0 from offset 1 on of ${input}`);
  await stopInGoodOrder(service);
  const results = await read(scene.topic);
  assertEquals(results.map((r) => r.value), [
    "1\t1\titem_2\t5\ttrue",
    "2\t1\titem_2\t6\ttrue",
    "3\t1\titem_2\t7\ttrue",
  ]);
  assertEquals(results[0]!.timestamp, 1);
  assertMoved(results.slice(1), [2, 3], 600_000);
});

stage.test("summaries of an idle partition go to a topic that takes no old timestamps: moved, and marked", async () => {
  const scene = await sceneWith("summary.output.topic", 1, { [BEFORE]: "5000" });
  await append(scene.topics["transaction.input.topic"], [transaction(1, 5), transaction(2, -9)]);
  const service = await scene.start({
    ...scene.use,
    "kafka.retries": "0",
    "window.idle.timeout.ms": "1000",
    "transaction.num.min": "0",
    "transaction.failure.rate.min": "0",
  });
  await waitReady(service);
  const summaries = async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text();
    return Number(/^stockflow_summaries_total (\d+)$/m.exec(text)?.[1] ?? 0);
  };
  await until("a summary is published", async () => await summaries() === 1, service);
  await stopInGoodOrder(service);
  const found = await read(scene.topic);
  assertEquals(found.map((r) => r.value), ["item_2\t0\t60000\t1\t1\t14"]);
  assertMoved(found, [2], 5000);
});

stage.test("max.message.bytes lowered while the job runs: batches are split, nothing is lost or doubled", async () => {
  const scene = await sceneWith("transaction.output.topic", 1, {});
  const input = scene.topics["transaction.input.topic"];
  const service = await scene.start({
    ...scene.use,
    "kafka.retries": "0",
    "commit.interval.ms": "400",
  });
  await waitReady(service);
  await set(scene.topic, "max.message.bytes", "4300");
  const records = Array.from({ length: 3000 }, (_, i) => transaction(i, 1, Date.now()));
  await append(input, records);
  await stage.untilCommitted(scene, records.length, service);
  await stopInGoodOrder(service);
  assertEquals(
    (await read(scene.topic)).map((r) => r.value),
    records.map((_, i) => `${i}\t1\titem_2\t1\ttrue`),
  );
});

stage.test("a compacted topic of dead letters: those without key get topic-partition-offset", async () => {
  const scene = await sceneWith("deadletter.topic", 1, { "cleanup.policy": "compact" });
  const input = scene.topics["transaction.input.topic"];
  await append(input, [transaction(1, 5)]);
  const service = await scene.start({ ...scene.use, "kafka.retries": "0" });
  await waitReady(service);
  assertStringIncludes(service.log(), `Topic ${scene.topic} is compacted`);
  await append(input, [
    { timestamp: 3, key: null, value: encodeUtf8("bad") },
    { timestamp: 4, key: encodeUtf8("key"), value: encodeUtf8("bad too") },
  ]);
  await append(scene.topics["query.input.topic"], [{
    timestamp: 7,
    key: null,
    value: encodeUtf8("?"),
  }]);
  await stage.untilCommitted(scene, 3, service);
  const isReported = () =>
    service.log().includes(`Invalid in ${scene.topics["query.input.topic"]}`);
  await until("the query is reported as invalid", isReported, service);
  await stopInGoodOrder(service);
  const letters = new Map((await readKeyed(scene.topic)).map((r) => [r.value, r]));
  assertEquals(letters.get("bad")!.key, `${input}-0-1`);
  assert("stockflow.original.key" in letters.get("bad")!.headers);
  assertEquals(letters.get("bad too")!.key, "key");
  assert(!("stockflow.original.key" in letters.get("bad too")!.headers));
  assertEquals(letters.get("?")!.key, `${scene.topics["query.input.topic"]}-0-0`);
});

/** Records of a topic that takes none without a key, which the witness writes. */
async function readKeyed(topic: string): Promise<WitnessedRecord[]> {
  await set(topic, "cleanup.policy", "delete");
  return await read(topic);
}

stage.test("dead letters are whole up to their own topic's limit, whatever the other outputs take", async () => {
  const scene = await sceneWith("deadletter.topic", 1, { "max.message.bytes": "1048588" });
  const { topics } = scene;
  await set(topics["summary.output.topic"], "max.message.bytes", "5000");
  await set(topics["transaction.input.topic"], "max.message.bytes", "3000000");
  const headers = [{ key: "origin", value: encodeUtf8("upstream") }];
  const value = new Uint8Array(900_000).fill(65);
  const service = await scene.start(scene.use);
  await waitReady(service);
  const input = topics["transaction.input.topic"];
  await append(input, [transaction(1, 5)]);
  await append(input, [{ timestamp: 2, key: encodeUtf8("item_2"), value, headers }]);
  await append(input, [
    { timestamp: 3, key: encodeUtf8("item_2"), value: new Uint8Array(2_000_000).fill(66), headers },
  ]);
  await stage.untilCommitted(scene, 3, service);
  await stopInGoodOrder(service);
  const [whole, cut] = await read(scene.topic);
  assertEquals(whole!.bytes.value!.length, 900_000);
  assertEquals(String(whole!.headers["origin"]), "upstream");
  assert(!("stockflow.original.length" in whole!.headers));
  assert(cut!.bytes.value!.length > 1_048_000, `${cut!.bytes.value!.length}`);
  assertEquals(String(cut!.headers["stockflow.original.length"]), "2000000");
  assertEquals(String(cut!.headers["origin"]), "upstream");
});

stage.test("more partitions of an output: answers go where readers look for them by hash", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["query.output.topic"];
  await append(scene.topics["transaction.input.topic"], [transaction(1, 5)]);
  const service = await scene.start(LOOK_OFTEN);
  await waitReady(service);
  await stage.withAdmin((admin) =>
    admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
  );
  const isSeen = () => service.log().includes(`Topic ${topic} has 4 partitions now`);
  await until("the new partitions are seen", isSeen, service);
  await waitReady(service);
  await new Promise((resolve) => setTimeout(resolve, 1000)); // the next generation of the group
  const ids = Array.from({ length: 20 }, (_, i) => i);
  await append(
    scene.topics["query.input.topic"],
    ids.map((id) => ({ timestamp: 1, key: null, value: encodeUtf8(`${id} item_2`) })),
  );
  await untilAnswered(service, 20);
  await stopInGoodOrder(service);
  for (const { key, partition } of await read(topic)) {
    assertEquals(partition, partitionOf(Partitioner.JavaHash, encodeUtf8(key!), 4), `query ${key}`);
  }
});

stage.test("an output that is deleted is waited for, with its name, and written to when it is back", async () => {
  const scene = await sceneWith("transaction.output.topic", 1, {});
  const input = scene.topics["transaction.input.topic"];
  const service = await scene.start(scene.use);
  await waitReady(service);
  await append(input, [transaction(1, 5)]);
  await stage.untilCommitted(scene, 1, service);
  await stage.withAdmin((admin) => admin.deleteTopics({ topics: [scene.topic] }));
  await append(input, [transaction(2, 6)]);
  const ready = async () => await (await fetch(`${service.url}/readyz?for=writes`)).text();
  const isMissed = async () =>
    (await ready()).includes(`${scene.topic} (transaction.output.topic)`);
  await until("the topic is missed", isMissed, service);
  // Its outputs cannot be committed, so the partition is recovered, which waits for the topic: who asks hears so.
  const lookUp = async () => await (await fetch(`${service.url}/items/item_2`)).text();
  const isTold = async () => (await lookUp()).includes(scene.topic);
  await until("a look-up is answered with the reason", isTold, service);
  const isCreated = () => broker.createTopics([scene.topic], 1).then(() => true, () => false);
  await until("the topic is created", isCreated, service);
  await stage.untilCommitted(scene, 2, service);
  await stopInGoodOrder(service);
  assertEquals((await read(scene.topic)).map((r) => r.value), ["2\t1\titem_2\t6\ttrue"]);
});

stage.test("a topic of results created anew with fewer partitions than the input: exit 2", async () => {
  const scene = await stage.scene(2);
  const topic = scene.topics["transaction.output.topic"];
  const service = await scene.start(LOOK_OFTEN);
  await waitReady(service);
  await stage.withAdmin((admin) => admin.deleteTopics({ topics: [topic] }));
  const isCreated = () => broker.createTopics([topic], 1).then(() => true, () => false);
  await until("the topic is created", isCreated, service);
  assertEquals(await exitCode(service), 2, service.log());
  assertStringIncludes(service.log(), `Topic ${topic} has 1 partitions, its input`);
  assertStringIncludes(service.log(), "at least 2 partitions");
});
