// The Kafka job against a real broker, with stock clients as witnesses. Starts a broker of its own
// (test/kafka/broker.ts).

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Kafka, logLevel } from "kafkajs";
import { stamp } from "../../src/kafka/batches.ts";
import { checkInternals, type Cluster, RequestQueue } from "../../src/kafka/client/internals.ts";
import { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import { TransactionalProducer } from "../../src/kafka/transactional_producer.ts";
import { encodeBatch, encodeUtf8, systemClock } from "../../src/types/mod.ts";
import { libraries } from "../../tools/kafka/broker.ts";
import { type Service, serviceArguments, stopInGoodOrder, waitReady } from "../system/service.ts";
import { startTestBroker, whySkipped } from "./broker.ts";
import { startJob, TOPICS } from "./job_process.ts";
import { Loader } from "./load.ts";
import { witness } from "./witness.ts";

const skipped = await whySkipped();
const broker = skipped ? null! : await startTestBroker();
const folders: string[] = [];

async function newFolder(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "stockflow-kafka-test-" });
  folders.push(folder);
  return folder;
}

Deno.test.afterAll(async () => {
  if (!skipped) await broker.remove();
  await Promise.all(folders.map((folder) => Deno.remove(folder, { recursive: true })));
});

function kafkaTest(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: skipped ? `${name}: ${skipped}` : name,
    ignore: skipped !== null,
    sanitizeOps: false,
    sanitizeResources: false,
    fn,
  });
}

let count = 0;

/** Topics and a group of its own, and a data folder. */
async function scene(partitions = 2, configs: Record<string, string> = {}) {
  const n = ++count;
  const topics = Object.fromEntries(Object.entries(TOPICS).map(([key, t]) => [key, `${t}-${n}`]));
  await broker.createTopics(Object.values(topics), partitions, configs);
  const folder = await newFolder();
  const flags = { ...topics, "kafka.group.id": `group-${n}`, "parallelism": "1" };
  return {
    topics: topics as Record<keyof typeof TOPICS, string>,
    folder,
    flags,
    group: `group-${n}`,
    start: (more: Record<string, string> = {}) =>
      startJob(broker.bootstrap, folder, { ...flags, ...more }),
  };
}

const kafka = () => new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING });

/** Java's console producer, from the broker's own jars. */
async function consoleProduce(topic: string, lines: readonly string[], codec: string) {
  const child = new Deno.Command("java", {
    args: [
      "-cp",
      `${await libraries()}/*`,
      "org.apache.kafka.tools.ConsoleProducer",
      "--bootstrap-server",
      broker.bootstrap,
      "--topic",
      topic,
      "--property",
      "parse.key=true",
      "--compression-codec",
      codec,
    ],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(encodeUtf8(lines.map((line) => `${line.split("\t")[2]}\t${line}\n`).join("")));
  await writer.close();
  assert((await child.status).success);
}

/** So many values of a topic, by Java's console consumer under read_committed. */
async function consoleConsume(topic: string, messages: number): Promise<string[]> {
  const { stdout } = await new Deno.Command("java", {
    args: [
      "-cp",
      `${await libraries()}/*`,
      "org.apache.kafka.tools.consumer.ConsoleConsumer",
      "--bootstrap-server",
      broker.bootstrap,
      "--topic",
      topic,
      "--from-beginning",
      "--isolation-level",
      "read_committed",
      "--max-messages",
      String(messages),
    ],
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout).trimEnd().split("\n");
}

async function lookUp(service: Service, item: string): Promise<number> {
  const response = await fetch(`${service.url}/items/${item}`);
  return (await response.json()).quantity;
}

kafkaTest("codecs: what Java compresses is read, and what we compress Java reads", async () => {
  const { topics, start } = await scene();
  const codecs = ["gzip", "snappy", "lz4", "zstd"];
  const lines: string[] = [];
  for (const [k, codec] of codecs.entries()) {
    const some = Array.from({ length: 300 }, (_, i) => `${k * 300 + i}\t1\titem_${i % 10}\t1`);
    await consoleProduce(topics["transaction.input.topic"], some, codec);
    lines.push(...some);
  }
  for (const codec of codecs) {
    const service = await start({
      "kafka.compression.type": codec,
      "kafka.group.id": `codec-${codec}`,
      "state.kv": `${await newFolder()}/state.kv`,
    });
    await waitReady(service);
    assertEquals(await lookUp(service, "item_3"), 120);
    await stopInGoodOrder(service);
  }
  const results = await consoleConsume(topics["transaction.output.topic"], 4 * lines.length);
  assertEquals(new Set(results), new Set(lines.map((line) => `${line}\ttrue`)));
});

kafkaTest("an aborted transaction of a stock producer is not folded", async () => {
  const { topics, start } = await scene(1);
  const topic = topics["transaction.input.topic"];
  const producer = kafka().producer({ transactionalId: `stock-${count}`, maxInFlightRequests: 1 });
  await producer.connect();
  for (const [quantity, end] of [[5, "commit"], [100, "abort"], [7, "commit"]] as const) {
    const transaction = await producer.transaction();
    const value = `1\t1\titem_1\t${quantity}`;
    await transaction.send({ topic, messages: [{ partition: 0, key: "item_1", value }] });
    await transaction[end]();
  }
  await producer.disconnect();
  const service = await start();
  await waitReady(service);
  assertEquals(await lookUp(service, "item_1"), 12);
  await stopInGoodOrder(service);
  const [results] = await witness(broker.bootstrap, topics["transaction.output.topic"]);
  assertEquals(results!.map((r) => r.value), ["1\t1\titem_1\t5\ttrue", "1\t1\titem_1\t7\ttrue"]);
});

kafkaTest("a query typed without a key is answered under read_committed", async () => {
  const { topics, start } = await scene();
  const loader = await Loader.open(broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  const service = await start();
  await waitReady(service);
  const producer = kafka().producer();
  await producer.connect();
  await producer.send({
    topic: topics["query.input.topic"],
    messages: [{ value: "123 item_2" }, { value: "124 item_3" }],
  });
  await producer.disconnect();
  const answers = await consoleConsume(topics["query.output.topic"], 2);
  assertEquals(answers.toSorted(), ["123\titem_2\t70", "124\tMISSING"]);
  await stopInGoodOrder(service);
  await loader.close();
});

/** Runs the job until it exits by itself; answers what it said. */
async function refused(folder: string, flags: Record<string, string>): Promise<string> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: serviceArguments(folder, {
      "job": "kafka",
      "kafka.bootstrap.servers": broker.bootstrap,
      ...flags,
    }),
    cwd: new URL("../../", import.meta.url),
  }).output();
  const text = new TextDecoder().decode(stderr);
  assertEquals(code, 2, text);
  return text;
}

kafkaTest("missing topics: exit 2, all of them named; kafka.create.topics makes them", async () => {
  const { folder, flags, start } = await scene();
  const missing = { "transaction.output.topic": "no-such-1", "summary.output.topic": "no-such-2" };
  const text = await refused(folder, { ...flags, ...missing });
  assertStringIncludes(text, "no-such-1");
  assertStringIncludes(text, "no-such-2");
  const service = await start({ ...missing, "kafka.create.topics": "true" });
  await waitReady(service);
  await stopInGoodOrder(service);
});

kafkaTest("an offset that a tool has set: exit 2", async () => {
  const { folder, flags, group, topics } = await scene();
  const admin = kafka().admin();
  await admin.connect();
  await admin.setOffsets({
    groupId: group,
    topic: topics["transaction.input.topic"],
    partitions: [{ partition: 0, offset: "0" }],
  });
  await admin.disconnect();
  assertStringIncludes(await refused(folder, flags), "is not of this job");
});

kafkaTest("checkpoints without a committed offset: exit 2", async () => {
  const { folder, flags, start, topics } = await scene();
  const loader = await Loader.open(broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  await loader.close();
  const service = await start();
  await waitReady(service);
  await stopInGoodOrder(service);
  const text = await refused(folder, { ...flags, "kafka.group.id": "another-group" });
  assertStringIncludes(text, "has no committed offset");
});

kafkaTest("a compacted topic of transactions: exit 2", async () => {
  const { folder, flags } = await scene(1, { "cleanup.policy": "compact" });
  assertStringIncludes(await refused(folder, flags), "is compacted");
});

kafkaTest("a wrong partitioner: exit 2 before anything is committed", async () => {
  const { folder, flags, topics } = await scene(4);
  const loader = await Loader.open(broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append(
    Array.from({ length: 50 }, (_, i) => loader.recordOf(`${i}\t1\titem_${i}\t1`, 1)),
  );
  await loader.close();
  const text = await refused(folder, { ...flags, "transaction.partitioner": "java-hash" });
  assertStringIncludes(text, "transaction.partitioner");
});

kafkaTest("a second process stands by, and takes over when the first is killed", async () => {
  const { start, topics } = await scene();
  const loader = await Loader.open(broker.bootstrap, topics["transaction.input.topic"]);
  await loader.append([loader.recordOf("1\t1\titem_2\t70", 1)]);
  const session = { "kafka.session.timeout.ms": "6000" };
  const first = await start(session);
  await waitReady(first);
  const folder = await newFolder();
  const second = await start({ ...session, "state.kv": `${folder}/state.kv` });
  assertEquals((await fetch(`${second.url}/readyz`)).status, 503);
  await first.kill();
  await loader.append([loader.recordOf("2\t1\titem_2\t-60", 2)]);
  await waitReady(second);
  while (await lookUp(second, "item_2") !== 10);
  await stopInGoodOrder(second);
  const results = await witness(broker.bootstrap, topics["transaction.output.topic"]);
  assertEquals(results.flat().length, 2, JSON.stringify([results, second.log(), first.log()]));
  await loader.close();
});

kafkaTest("sequence numbers go over 2^31 without a break", async () => {
  const { topics } = await scene(1);
  const topic = topics["transaction.output.topic"];
  const client = new KafkaClient({ brokers: [broker.bootstrap], clientId: "test" }, systemClock);
  await client.connect([topic]);
  const transactionalId = `sequence-${count}`;
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

kafkaTest("an idle connection of ours sets no timers", async () => {
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

kafkaTest("another version of kafkajs is refused by name of what differs", () => {
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
