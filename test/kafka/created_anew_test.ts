// Topics that are deleted and created anew under their names, while the job runs and while it is stopped:
// it never goes on in the middle of another log. Starts a broker of its own (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import type { CommittedOffset } from "../../src/kafka/protocol/offsets.ts";
import { TransactionalProducer } from "../../src/kafka/transactional_producer.ts";
import { systemClock } from "../../src/types/mod.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Scene, Stage } from "./scene.ts";
import { exitCode, until, untilAnswered } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await Stage.shared();
const { broker } = stage;

const LOOK_OFTEN = { "kafka.partition.discovery.interval.ms": "300" };

async function append(topic: string, from: number, count: number): Promise<void> {
  const loader = await Loader.open(broker.bootstrap, topic);
  for (let id = from; id < from + count; id++) {
    await loader.append([loader.recordOf(`${id}\t1\titem_2\t1`, id)]);
  }
  await loader.close();
}

/** Appends as an upstream that writes in transactions does: a marker stands behind each record. */
async function appendInTransactions(topic: string, from: number, count: number): Promise<void> {
  const producer = stage.kafka().producer({ transactionalId: topic, maxInFlightRequests: 1 });
  await producer.connect();
  for (let id = from; id < from + count; id++) {
    const transaction = await producer.transaction();
    await transaction.send({
      topic,
      messages: [{ key: "item_2", value: `${id}\t1\titem_2\t1`, timestamp: "1" }],
    });
    await transaction.commit();
  }
  await producer.disconnect();
}

/** A client that asks a topic of queries for one item. */
async function clientOf(topic: string) {
  const producer = stage.kafka().producer();
  await producer.connect();
  const ask = (...ids: number[]) =>
    producer.send({ topic, messages: ids.map((id) => ({ value: `${id} item_2` })) });
  return { ask, producer };
}

async function createAnew(topic: string, partitions = 1): Promise<void> {
  await stage.withAdmin((admin) => admin.deleteTopics({ topics: [topic] }));
  await untilCreated(topic, partitions);
}

/** A broker may still be busy with the topic before. */
function untilCreated(topic: string, partitions: number): Promise<void> {
  return until(
    `${topic} is created`,
    () => broker.createTopics([topic], partitions).then(() => true, () => false),
  );
}

/** What the group has committed of transactions. */
async function committedOf({ group, topics }: Scene): Promise<CommittedOffset[]> {
  const found: CommittedOffset[] = [];
  await stage.withAdmin(async (admin) => {
    const topic = topics["transaction.input.topic"];
    for (const { partitions } of await admin.fetchOffsets({ groupId: group, topics: [topic] })) {
      for (const { partition, offset, metadata } of partitions) {
        found.push({ partition, offset: Number(offset), metadata: metadata ?? "" });
      }
    }
  });
  return found;
}

/** Brokers forget the offsets of a group with their topic, after a moment. */
function untilForgotten({ group }: Scene, topic: string): Promise<void> {
  return until(`the offsets of ${topic} are forgotten`, async () => {
    let offsets: number[] = [];
    await stage.withAdmin(async (admin) => {
      const found = await admin.fetchOffsets({ groupId: group, topics: [topic] });
      offsets = found.flatMap(({ partitions }) => partitions.map(({ offset }) => Number(offset)));
    });
    return offsets.every((offset) => offset < 0);
  });
}

async function commitAgain(
  { group, topics }: Scene,
  partitions: readonly CommittedOffset[],
): Promise<void> {
  const client = new KafkaClient({ brokers: [broker.bootstrap], clientId: "test" }, systemClock);
  await client.connect();
  const options = { transactionalId: `again-${group}`, timeoutMs: 10_000, groupId: group };
  const producer = await TransactionalProducer.open(client, systemClock, options);
  const topic = topics["transaction.input.topic"];
  await producer.commit([], { memberId: "", generation: -1 }, [{ topic, partitions }]);
  await client.close();
}

async function resultsOf({ topics }: Scene): Promise<(string | null)[]> {
  const results = await witness(broker.bootstrap, topics["transaction.output.topic"]);
  return results.flat().map(({ value }) => value);
}

stage.test("a topic of transactions created anew while the job runs: exit 2, nothing of it executed", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["transaction.input.topic"];
  const service = await scene.start(LOOK_OFTEN);
  await waitReady(service);
  await append(topic, 1, 10);
  await stage.untilCommitted(scene, 10, service);
  await createAnew(topic);
  await append(topic, 100, 25);
  assertEquals(await exitCode(service), 2, service.log());
  assertStringIncludes(service.log(), `Topic ${topic} was deleted and created anew`);
  assertStringIncludes(service.log(), "empty file for the state");
  assertEquals((await resultsOf(scene)).length, 10);
});

stage.test("a topic of transactions created anew, whose offsets a commit brings back: exit 2", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["transaction.input.topic"];
  const service = await scene.start(LOOK_OFTEN);
  await waitReady(service);
  await append(topic, 1, 10);
  await stage.untilCommitted(scene, 10, service);
  await stopInGoodOrder(service);
  const partitions = await committedOf(scene);
  await createAnew(topic);
  await append(topic, 100, 25);
  // As a transaction that was under way when the topic was deleted would.
  await commitAgain(scene, partitions);
  const text = await scene.refused();
  assertStringIncludes(text, `Topic ${topic} was deleted and created anew`);
  assertStringIncludes(text, `group ${scene.group} has committed offset 10`);
  // Nor by the deliberate way past lost offsets.
  assertStringIncludes(await scene.refused({ "accept.offset": "true" }), "created anew");
  assertEquals((await resultsOf(scene)).length, 10);
});

stage.test("a topic created anew, written in transactions like the one before: exit 2, also with --accept-offset", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["transaction.input.topic"];
  await appendInTransactions(topic, 1, 5);
  const service = await scene.start();
  await waitReady(service);
  await stage.untilCommitted(scene, 9, service);
  await stopInGoodOrder(service);
  await createAnew(topic);
  await appendInTransactions(topic, 100, 10);
  assertStringIncludes(await scene.refused(), `has no committed offset for ${topic}-0`);
  await stage.withAdmin((admin) => admin.deleteGroups([scene.group]));
  const text = await scene.refused({ "accept.offset": "true" });
  assertStringIncludes(text, "was deleted and created anew");
  assertStringIncludes(text, "checkpoint");
  assertEquals((await resultsOf(scene)).length, 5);
});

stage.test("a topic of queries created anew while the job runs: exit 2 with the remedy, which helps", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["query.input.topic"];
  await append(scene.topics["transaction.input.topic"], 1, 3);
  const service = await scene.start(LOOK_OFTEN);
  await waitReady(service);
  const { ask, producer } = await clientOf(topic);
  await ask(1, 2, 3);
  // What is answered and not committed is answered by nobody once the topic is gone.
  await stage.untilCommittedOf(topic, scene, 3, service);
  await createAnew(topic);
  await ask(11, 12, 13, 14, 15);
  assertEquals(await exitCode(service), 2, service.log());
  assertStringIncludes(service.log(), `Topic ${topic} was deleted and created anew`);
  assertStringIncludes(service.log(), "start once with --accept-offset");
  const again = await scene.start({ "accept.offset": "true" });
  await waitReady(again);
  await untilAnswered(again, 5);
  await producer.disconnect();
  await stopInGoodOrder(again);
  const answers = await witness(broker.bootstrap, scene.topics["query.output.topic"]);
  assertEquals(
    answers.flat().map(({ value }) => value),
    [1, 2, 3, 11, 12, 13, 14, 15].map((id) => `${id}\titem_2\t3`),
  );
});

stage.test("a topic of queries created anew while the job is stopped, whose offsets the brokers forgot: exit 2 with the remedy, which helps", async () => {
  const scene = await stage.scene(1);
  const topic = scene.topics["query.input.topic"];
  await append(scene.topics["transaction.input.topic"], 1, 3);
  const service = await scene.start();
  await waitReady(service);
  const { ask, producer } = await clientOf(topic);
  await ask(1, 2, 3);
  await stage.untilCommittedOf(topic, scene, 3, service);
  await stopInGoodOrder(service);
  await createAnew(topic);
  await untilForgotten(scene, topic);
  await ask(11, 12, 13);
  const text = await scene.refused();
  assertStringIncludes(text, `Topic ${topic} was deleted and created anew`);
  assertStringIncludes(text, "start once with --accept-offset");
  // Another start does not forget it.
  assertStringIncludes(await scene.refused(), `Topic ${topic} was deleted and created anew`);
  const accepted = await scene.start({ "accept.offset": "true" });
  await waitReady(accepted);
  await untilAnswered(accepted, 3);
  await stopInGoodOrder(accepted);
  const again = await scene.start();
  await waitReady(again);
  await ask(14);
  await untilAnswered(again, 1);
  await producer.disconnect();
  await stopInGoodOrder(again);
  const answers = await witness(broker.bootstrap, scene.topics["query.output.topic"]);
  assertEquals(
    answers.flat().map(({ value }) => value),
    [1, 2, 3, 11, 12, 13, 14].map((id) => `${id}\titem_2\t3`),
  );
});
