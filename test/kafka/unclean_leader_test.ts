// A cluster of three brokers elects a leader that lacks the last records: Apache Kafka loses what it acknowledged, and
// the job stops. Starts brokers of its own (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
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

/** A scene whose input has one partition, on the second broker and the third. */
async function replicated(): Promise<Scene & { readonly topic: string }> {
  const scene = followers.plain.pop()!;
  const topic = `replicated-${scene.topics[INPUT]}`;
  await stage.withAdmin((admin) =>
    until(`${topic} is created`, () =>
      admin.createTopics({
        topics: [{
          topic,
          replicaAssignment: [{ partition: 0, replicas: [2, 3] }],
          configEntries: [{ name: "unclean.leader.election.enable", value: "true" }],
        }],
        waitForLeaders: true,
      }).then(() => true, () => false))
  );
  await untilLed(topic, 2, [2, 3]);
  return { ...scene, topic, topics: { ...scene.topics, [INPUT]: topic } };
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
  const service = await electTheThird(scene, () => Promise.resolve());
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
