// The Kafka job against a real broker, with stock clients as witnesses. Starts a broker of its own
// (tools/kit/test_broker.ts).

import { assertEquals, assertStringIncludes } from "@std/assert";
import { stamp } from "../../src/kafka/batches.ts";
import {
  checkInternals,
  type Cluster,
  createCluster,
  RequestQueue,
} from "../../src/kafka/client/internals.ts";
import { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import { callCoordinator } from "../../src/kafka/client/retry.ts";
import { TransactionalProducer } from "../../src/kafka/transactional_producer.ts";
import { encodeBatch, encodeUtf8, systemClock } from "../../src/types/mod.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { consoleConsume, consoleProduce } from "./java_tools.ts";
import { Loader } from "../../tools/kit/load.ts";
import { Stage } from "./scene.ts";
import { stockOf, until, untilStock } from "./until.ts";
import { witness } from "./witness.ts";

// Retention is looked at all the time: what it removed would be seen.
const stage = await Stage.open({
  "log.initial.task.delay.ms": "500",
  "log.retention.check.interval.ms": "500",
});
const { broker } = stage;

stage.test("codecs: what Java compresses is read, and what we compress Java reads", async () => {
  const { topics, start } = await stage.scene();
  const codecs = ["gzip", "snappy", "lz4", "zstd"];
  const lines: string[] = [];
  for (const [k, codec] of codecs.entries()) {
    const some = Array.from({ length: 300 }, (_, i) => `${k * 300 + i}\t1\titem_${i % 10}\t1`);
    await consoleProduce(broker.bootstrap, topics["transaction.input.topic"], some, codec);
    lines.push(...some);
  }
  for (const codec of codecs) {
    const service = await start({
      "kafka.compression.type": codec,
      "kafka.group.id": `codec-${codec}`,
      "state.kv": `${await stage.newFolder()}/state.kv`,
    });
    await waitReady(service);
    assertEquals(await stockOf(service, "item_3"), 120);
    await stopInGoodOrder(service);
  }
  const results = await consoleConsume(
    broker.bootstrap,
    topics["transaction.output.topic"],
    4 * lines.length,
  );
  assertEquals(new Set(results), new Set(lines.map((line) => `${line}\ttrue`)));
});

stage.test("an aborted transaction of a stock producer is not folded", async () => {
  const { topics, start } = await stage.scene(1);
  const topic = topics["transaction.input.topic"];
  await stage.sendWithOneAborted(topic);
  const service = await start();
  await waitReady(service);
  assertEquals(await stockOf(service, "item_1"), 12);
  await stopInGoodOrder(service);
  const [results] = await witness(broker.bootstrap, topics["transaction.output.topic"]);
  assertEquals(results!.map((r) => r.value), ["1\t1\titem_1\t5\ttrue", "1\t1\titem_1\t7\ttrue"]);
});

stage.test("a query typed without a key is answered under read_committed", async () => {
  const { topics, start } = await stage.scene();
  const loader = await Loader.open(broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  const service = await start();
  await waitReady(service);
  const producer = stage.kafka().producer();
  await producer.connect();
  await producer.send({
    topic: topics["query.input.topic"],
    messages: [{ value: "123 item_2" }, { value: "124 item_3" }],
  });
  await producer.disconnect();
  const answers = await consoleConsume(broker.bootstrap, topics["query.output.topic"], 2);
  assertEquals(answers.toSorted(), ["123\titem_2\t70", "124\tMISSING"]);
  await stopInGoodOrder(service);
  await loader.close();
});

stage.test("missing topics: exit 2, all of them named; kafka.create.topics makes them", async () => {
  const { start, refused } = await stage.scene();
  const missing = { "transaction.output.topic": "no-such-1", "summary.output.topic": "no-such-2" };
  const text = await refused(missing);
  assertStringIncludes(text, "no-such-1");
  assertStringIncludes(text, "no-such-2");
  const service = await start({ ...missing, "kafka.create.topics": "true" });
  await waitReady(service);
  await stopInGoodOrder(service);
});

stage.test("a second process stands by, and takes over when the first is killed", async () => {
  const { start, topics } = await stage.scene();
  const loader = await Loader.open(broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  const session = { "kafka.session.timeout.ms": "6000" };
  const first = await start(session);
  await waitReady(first);
  const folder = await stage.newFolder();
  const second = await start({ ...session, "state.kv": `${folder}/state.kv` });
  assertEquals((await fetch(`${second.url}/readyz`)).status, 503);
  await first.kill();
  await loader.append([loader.recordOf("2\t1\titem_2\t-60", 2)]);
  await waitReady(second);
  await untilStock(second, "item_2", 10);
  await stopInGoodOrder(second);
  const results = await witness(broker.bootstrap, topics["transaction.output.topic"]);
  assertEquals(results.flat().length, 2, JSON.stringify([results, second.log(), first.log()]));
  await loader.close();
});

stage.test("a broker that is away is waited for, and no look-up is answered meanwhile", async () => {
  const { start, topics } = await stage.scene(1);
  const loader = await Loader.open(broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  await loader.close();
  const service = await start({ "kafka.session.timeout.ms": "6000" });
  await waitReady(service);
  assertEquals(await stockOf(service, "item_2"), 70);
  await broker.stop();
  const readyz = async () => await (await fetch(`${service.url}/readyz`)).text();
  const isReported = async () => (await readyz()).includes("The log does not answer");
  await until("the broker's absence is reported", isReported, service);
  // Another process may be the owner by now.
  let answered = false;
  const stock = stockOf(service, "item_2").finally(() => answered = true);
  await systemClock.sleep(1000);
  assertEquals(answered, false);
  await broker.restart();
  assertEquals(await stock, 70);
  await waitReady(service);
  await stopInGoodOrder(service);
});

stage.test("sequence numbers go over 2^31 without a break", async () => {
  const { topics } = await stage.scene(1);
  const topic = topics["transaction.output.topic"];
  const client = new KafkaClient({ brokers: [broker.bootstrap], clientId: "test" }, systemClock);
  await client.connect([topic]);
  const transactionalId = "sequence";
  const { producer } = await TransactionalProducer.open(client, systemClock, {
    transactionalId,
    timeoutMs: 60_000,
    groupId: "none",
  });
  const coordinator = await client.coordinator("transaction", transactionalId);
  const identity = {
    transactionalId,
    producerId: String(producer.id),
    producerEpoch: producer.epoch,
  };
  await coordinator.addPartitionsToTxn({ ...identity, topics: [{ topic, partitions: [0] }] });
  const records = Array.from(
    { length: 5 },
    () => ({ timestamp: 1, key: null, value: encodeUtf8("x") }),
  );
  for (const sequence of [2 ** 31 - 10, 2 ** 31 - 5, 0, 5]) {
    const bytes = encodeBatch(records);
    stamp(bytes, producer, sequence);
    const sent = await client.produce(client.leaderOf(topic, 0), transactionalId, [
      { topic, partition: 0, bytes },
    ]);
    const { partitions } = await sent.acknowledged;
    assertEquals(partitions[0]!.errorCode, 0, `sequence ${sequence}`);
  }
  await coordinator.endTxn({ ...identity, transactionResult: true });
  assertEquals((await witness(broker.bootstrap, topic)).flat().length, 20);
  await client.close();
});

stage.test("an idle connection of ours sets no timers", async () => {
  const client = new KafkaClient({ brokers: [broker.bootstrap], clientId: "test" }, systemClock);
  await client.connect();
  await client.refresh();
  const { prototype } = RequestQueue;
  const check = Object.getOwnPropertyDescriptor(prototype, "checkPendingRequests")!;
  let firings = 0;
  Object.defineProperty(prototype, "checkPendingRequests", {
    ...check,
    value: function (this: unknown) {
      firings++;
      return check.value.call(this);
    },
  });
  for (let turn = 0; turn < 100; turn++) await systemClock.sleep(1);
  assertEquals(firings, 0);
  Object.defineProperty(prototype, "checkPendingRequests", check);
  await client.close();
});

stage.test("the coordinators of many transactional ids are found by one request", async () => {
  let single = 0;
  let batches = 0;
  const client = new KafkaClient({
    brokers: [broker.bootstrap],
    clientId: "test",
    createCluster: (config) => {
      const cluster = createCluster(config);
      const find = cluster.findGroupCoordinator.bind(cluster);
      cluster.findGroupCoordinator = (args) => {
        single++;
        return find(args);
      };
      return cluster;
    },
  }, systemClock);
  await client.connect();
  const send = client.send.bind(client);
  client.send = (node, exchange) => {
    batches += exchange.request.apiName === "FindCoordinator" ? 1 : 0;
    return send(node, exchange);
  };
  const [known, ...ids] = Array.from({ length: 70 }, (_, n) => `found-${n}`);
  // A broker that has just started makes the topic of coordinators with the first question.
  const first = await callCoordinator(
    client,
    systemClock,
    "transaction",
    known!,
    (c) => c.initProducerId({ transactionalId: known!, transactionTimeout: 1000 }).then(() => c),
  );
  single = 0;
  await client.findCoordinators("transaction", ids);
  for (const id of ids) assertEquals(await client.coordinator("transaction", id), first);
  assertEquals([single, batches], [0, 1]);
  await client.close();
});

stage.test("another version of kafkajs is refused by name of what differs", () => {
  const cluster = { brokerPool: { metadata: null }, connect() {} } as unknown as Cluster;
  let message = "";
  try {
    checkInternals(cluster);
  } catch (error) {
    message = (error as Error).message;
  }
  assertStringIncludes(message, "Cluster has no disconnect");
  checkInternals();
  return Promise.resolve();
});
