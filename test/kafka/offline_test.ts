// Partitions without a leader, which Kafka calls offline, are left out of claims, and claimed when they have one.
// Starts brokers of its own (tools/kit/test_broker.ts).

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Service, stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import type { SecondBroker } from "../../tools/kit/test_broker.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Scene, Stage } from "./scene.ts";
import { itemOf, secondBroker, spread } from "./spread.ts";
import { stockOf, until, untilStock } from "./until.ts";
import { witness } from "./witness.ts";

const stage = await Stage.open();
const { broker } = stage;
const INPUT = "transaction.input.topic";
const QUERIES = "query.input.topic";
const ITEMS = [itemOf(0), itemOf(1)] as const;

/** Scenes whose topics are all on the first broker, and the second one, which comes after them. */
const cluster = stage.skipped ? null! : await (async () => {
  const plain = await Promise.all(Array.from({ length: 4 }, () => stage.scene(2)));
  const second = await secondBroker(stage);
  Deno.test.afterAll(() => second.remove());
  return { plain, second };
})();

/** A test with a second broker, which holds one partition of two of the topics that are spread. */
function spreadTest(
  name: string,
  test: (second: SecondBroker, plain: Scene) => Promise<void>,
): void {
  stage.test(name, async () => {
    const { second, plain } = cluster;
    try {
      await test(second, plain.pop()!);
    } catch (error) {
      // The tests behind this one need both brokers.
      await second.kill();
      await second.restart();
      throw error;
    }
  });
}

async function ask(service: Service, path: string) {
  const response = await fetch(`${service.url}${path}`, { signal: AbortSignal.timeout(60_000) });
  return { status: response.status, text: await response.text() };
}

/** Waits until the process says why partition 1 of a topic is left out, and is ready with the others. */
function untilLeftOut(service: Service, topic: string): Promise<void> {
  return until(`partition 1 of ${topic} is left out`, async () => {
    const { status, text } = await ask(service, "/readyz");
    return status === 200 && text.includes(`partition 1 of ${topic} has no leader`);
  }, service);
}

async function appender(topic: string) {
  const loader = await Loader.open(broker.bootstrap, topic);
  let id = 0;
  return {
    close: () => loader.close(),
    /** One more of a partition's item. */
    at: async (partition: 0 | 1) => {
      const line = `${++id}\t1\t${ITEMS[partition]}\t1`;
      await loader.appendTo(partition, [loader.recordOf(line, id)]);
    },
  };
}

spreadTest(
  "an offline partition is left out of claims: the others go on, its look-ups say why, and it is claimed when it has a leader",
  async (second, plain) => {
    const scene = await spread(stage, plain, INPUT);
    const topic = scene.topics[INPUT];
    const { at, close } = await appender(topic);
    await at(0);
    await at(1);
    let service = await scene.start(scene.use);
    await waitReady(service);
    await untilStock(service, ITEMS[1], 1);
    await second.kill();
    await untilLeftOut(service, topic);
    await at(0);
    await untilStock(service, ITEMS[0], 2);
    const { status, text } = await ask(service, `/items/${ITEMS[1]}`);
    assertEquals(status, 503);
    assertStringIncludes(text, `partition 1 of ${topic} has no leader`);
    const { text: metrics } = await ask(service, "/metrics");
    assertMatch(metrics, /stockflow_unavailable\{what="input"\} 1/);
    // A start, which takes the group over, leaves it out too.
    await stopInGoodOrder(service);
    service = await scene.start(scene.use);
    await waitReady(service);
    await untilLeftOut(service, topic);
    await at(0);
    await untilStock(service, ITEMS[0], 3);
    const savepoint = await fetch(`${service.url}/savepoints`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "now" }),
    });
    assertEquals(savepoint.status, 503);
    assertStringIncludes(await savepoint.text(), "has no leader");
    await second.restart();
    await at(1);
    await untilStock(service, ITEMS[1], 2);
    assertEquals(await stockOf(service, ITEMS[0]), 3);
    await stage.untilCommittedOf(topic, scene, 5, service);
    await until(
      "nothing is wrong any more",
      async () => (await ask(service, "/readyz")).text === "ready\n",
      service,
    );
    const begun = service.log().split("\n").filter((line) => line.includes(`"message":"input: `));
    assertEquals(begun.length, 2, begun.join("\n")); // where it begins, and where it ends
    await stopInGoodOrder(service);
    await close();
    const results = await witness(broker.bootstrap, scene.topics["transaction.output.topic"]);
    assertEquals(results.map((r) => r.length), [3, 2]);
  },
);

spreadTest(
  "with a thread for each partition, the one whose partition is offline waits, and claims it when it has a leader",
  async (second, plain) => {
    const scene = await spread(stage, plain, INPUT);
    const topic = scene.topics[INPUT];
    const { at, close } = await appender(topic);
    await at(0);
    await at(1);
    const service = await scene.start({ ...scene.use, "parallelism": "2" });
    await waitReady(service);
    await stage.untilCommittedOf(topic, scene, 2, service);
    await second.kill();
    await untilLeftOut(service, topic);
    await at(0);
    await untilStock(service, ITEMS[0], 2);
    await second.restart();
    await at(1);
    await untilStock(service, ITEMS[1], 2);
    await stopInGoodOrder(service);
    await close();
    const results = await witness(broker.bootstrap, scene.topics["transaction.output.topic"]);
    assertEquals(results.map((r) => r.length), [2, 2]);
  },
);

spreadTest(
  "an offline partition of the query topic is left out: queries of the others are answered, and its own once it has a leader",
  async (second, plain) => {
    const scene = await spread(stage, plain, QUERIES);
    const topic = scene.topics[QUERIES];
    const service = await scene.start(scene.use);
    await waitReady(service);
    await stage.untilCommittedOf(topic, scene, 0, service);
    await second.kill();
    await untilLeftOut(service, topic);
    const loader = await Loader.open(broker.bootstrap, topic);
    const query = (partition: number, id: number) =>
      loader.appendTo(partition, [{
        timestamp: id,
        key: null,
        value: new TextEncoder().encode(`${id}\t${ITEMS[0]}`),
      }]);
    await query(0, 1);
    await stage.untilCommittedOf(topic, scene, 1, service);
    await second.restart();
    await query(1, 2);
    await stage.untilCommittedOf(topic, scene, 2, service);
    await stopInGoodOrder(service);
    await loader.close();
    const answers = await witness(broker.bootstrap, scene.topics["query.output.topic"]);
    assertEquals(answers.flat().length, 2);
  },
);

spreadTest(
  "an output's partition that has no leader stops only what writes to it, though its transaction cannot end",
  async (second, plain) => {
    const scene = await spread(stage, plain, "transaction.output.topic");
    const topic = scene.topics[INPUT];
    const results = scene.topics["transaction.output.topic"];
    const { at, close } = await appender(topic);
    await at(0);
    await at(1);
    let service = await scene.start(scene.use);
    await waitReady(service);
    await stage.untilCommittedOf(topic, scene, 2, service);
    await second.kill();
    // Without anything to write nobody notices.
    await at(0);
    await at(1);
    await untilLeftOut(service, results);
    await untilStock(service, ITEMS[0], 2);
    assertEquals((await ask(service, `/items/${ITEMS[1]}`)).status, 503);
    await stage.untilCommittedOf(topic, scene, 3, service);
    // The same after a kill, of a process that takes the group over.
    await service.kill();
    service = await scene.start(scene.use);
    await untilLeftOut(service, results);
    await at(0);
    await stage.untilCommittedOf(topic, scene, 4, service);
    await second.restart();
    await untilStock(service, ITEMS[1], 2);
    await at(0);
    await stage.untilCommittedOf(topic, scene, 6, service);
    await stopInGoodOrder(service);
    await close();
    const read = await witness(broker.bootstrap, results);
    assertEquals(read.map((r) => r.length), [4, 2]);
  },
);
