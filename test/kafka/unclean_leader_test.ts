// A cluster of three brokers elects a leader that lacks the last records: Apache Kafka loses what it acknowledged, and
// the job stops. Starts brokers of its own (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import { ErrorCode } from "../../src/kafka/client/errors.ts";
import { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import { endingBefore } from "../../src/kafka/look_at_log.ts";
import { NO_EPOCH } from "../../src/kafka/protocol/fetch.ts";
import { systemClock } from "../../src/types/mod.ts";
import { type Service, waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Scene, Stage } from "./scene.ts";
import { secondBroker } from "./spread.ts";
import { exitCode, until } from "./until.ts";
import { witness } from "./witness.ts";

const INPUT = "transaction.input.topic";

const stage = await Stage.open();
const { broker } = stage;

/** Scenes whose topics are all on the first broker, as the coordinators are; and two further ones, for the inputs. */
const followers = stage.skipped ? null! : await (async () => {
  const plain = [await stage.scene(1), await stage.scene(1)];
  const second = await secondBroker(stage);
  const third = await broker.startSecond(3);
  Deno.test.afterAll(async () => {
    await third.remove();
    await second.remove();
  });
  return { plain, second, third };
})();

async function append(topic: string, from: number, count: number): Promise<void> {
  const loader = await Loader.open(broker.bootstrap, topic);
  for (let id = from; id < from + count; id++) {
    await loader.append([loader.recordOf(`${id}\t1\titem_2\t1`, id)]);
  }
  await loader.close();
}

/** Waits until the input has this leader, and these replicas in step. */
function untilLed(topic: string, leader: number, inStep: readonly number[]): Promise<void> {
  return stage.withAdmin((admin) =>
    until(`${topic} is led by ${leader}`, async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      const [found] = topics[0]!.partitions;
      return found?.leader === leader &&
        found.isr.toSorted().join() === inStep.toSorted().join();
    })
  );
}

/** Creates a topic of one partition, on the second broker and the third. */
async function createReplicated(topic: string, name: string, value: string): Promise<void> {
  await stage.withAdmin((admin) =>
    until(`${topic} is created`, () =>
      admin.createTopics({
        topics: [{
          topic,
          replicaAssignment: [{ partition: 0, replicas: [2, 3] }],
          configEntries: [{ name, value }],
        }],
        waitForLeaders: true,
      }).then(() => true, () => false))
  );
  await untilLed(topic, 2, [2, 3]);
}

/** A scene whose input is such a topic. */
async function replicated(): Promise<Scene & { readonly topic: string }> {
  const scene = followers.plain.pop()!;
  const topic = `replicated-${scene.topics[INPUT]}`;
  await createReplicated(topic, "unclean.leader.election.enable", "true");
  return { ...scene, topic, topics: { ...scene.topics, [INPUT]: topic } };
}

/**
 * While its follower is down, a leader has a fourth record that it shows to nobody: answers to fetches there are empty, as
 * long as the log reaches the offset.
 */
async function assertFourthHidden(topic: string): Promise<void> {
  const producer = stage.kafka().producer();
  await producer.connect();
  await producer.send({ topic, acks: 1, messages: [{ partition: 0, value: "4\t1\titem_2\t1" }] });
  await producer.disconnect();
  const client = new KafkaClient({ brokers: [broker.bootstrap], clientId: "test" }, systemClock);
  const limits = { maxWaitMs: 0, maxBytes: 1, partitionMaxBytes: 1 };
  const named = { name: topic, id: null };
  try {
    await client.connect([topic]);
    const fetch = async (offset: number) => {
      const from = [{ partition: 0, offset, leaderEpoch: NO_EPOCH }];
      const answer = await client.fetch(client.leaderOf(topic, 0), named, from, limits);
      const { errorCode, records, highWatermark } = answer.partitions[0]!;
      const ends = await endingBefore(client, named, from);
      return { errorCode, bytes: records.length, highWatermark, ends: ends.has(0) };
    };
    const empty = { errorCode: 0, bytes: 0, highWatermark: 3, ends: false };
    assertEquals([await fetch(3), await fetch(4)], [empty, empty]);
    const { errorCode, ends } = await fetch(5);
    assertEquals([errorCode, ends], [ErrorCode.OffsetOutOfRange, true]);
  } finally {
    await client.close();
  }
}

/** Lets a job commit 9 records of which the third broker has 5, and makes that the leader. */
async function electTheThird(
  scene: Scene & { readonly topic: string },
  beforeElection: (service: Service) => Promise<void>,
): Promise<Service> {
  const { topic } = scene;
  const service = await scene.start({ [INPUT]: topic, "checkpoint.interval.millis": "0" });
  await waitReady(service);
  await append(topic, 1, 5);
  await stage.untilCommitted(scene, 5, service);
  await followers.third.kill();
  await untilLed(topic, 2, [2]);
  await append(topic, 6, 4);
  await stage.untilCommitted(scene, 9, service);
  await beforeElection(service);
  await followers.second.kill();
  await followers.third.restart();
  await untilLed(topic, 3, [3]);
  return service;
}

/** Both brokers are there again: the second has dropped what the third lacked. */
async function heal(topic: string): Promise<void> {
  await followers.second.restart();
  await untilLed(topic, 3, [2, 3]);
}

async function resultsOf({ topics }: Scene): Promise<number> {
  const results = await witness(broker.bootstrap, topics["transaction.output.topic"]);
  return results.flat().length;
}

stage.test("a leader that lacks the last records is elected while the job runs: exit 2, and nothing is executed twice", async () => {
  const scene = await replicated();
  // Below this minimum nothing is shown of what the leader alone has, however long the follower is away.
  const hiding = `hiding-${scene.topic}`;
  await createReplicated(hiding, "min.insync.replicas", "2");
  await append(hiding, 1, 3);
  const service = await electTheThird(scene, () => assertFourthHidden(hiding));
  assertEquals(await exitCode(service), 2, service.log());
  assertStringIncludes(service.log(), "committed up to offset 9, but its log ends at 5");
  assertEquals(await resultsOf(scene), 9);
  await heal(scene.topic);
});

stage.test("a leader that lacks the last records is elected while the job is stopped, and written to: exit 2", async () => {
  const scene = await replicated();
  await electTheThird(scene, (service) => service.kill());
  await append(scene.topic, 101, 9);
  const text = await scene.refused({ [INPUT]: scene.topic });
  assertStringIncludes(text, "partition 0 holds another batch at offset 8 than was read there");
  assertEquals(await resultsOf(scene), 9);
  await heal(scene.topic);
});
