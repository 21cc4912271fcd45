// Logs that lose their last records and grow again past what was committed, as after the unclean election of a leader
// that lacked them: the topic is the same, and holds other records at the offsets that were folded. Also on the oldest
// version, whose topics have no ids. Starts brokers of its own (tools/kit/test_broker.ts).

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { LostError } from "../../src/log/mod.ts";
import { ErrorCode } from "../../src/kafka/client/errors.ts";
import { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import { checkBatch } from "../../src/kafka/log_identity.ts";
import { endingBefore } from "../../src/kafka/look_at_log.ts";
import { NO_EPOCH } from "../../src/kafka/protocol/fetch.ts";
import { systemClock } from "../../src/types/mod.ts";
import { stopInGoodOrder, waitReady } from "../../tools/kit/service.ts";
import { Loader } from "../../tools/kit/load.ts";
import { type Scene, Stage } from "./scene.ts";
import { exitCode, until } from "./until.ts";
import { witness } from "./witness.ts";

const INPUT = "transaction.input.topic";

const newest = await Stage.open({}, [], { version: "4.1.0" });
/** Its topics have no ids. */
const oldest = await Stage.open({}, [], { version: "2.5.1" });

for (const [version, stage] of [["4.1.0", newest], ["2.5.1", oldest]] as const) {
  const test = (name: string, fn: () => Promise<void>) =>
    stage.test(`Apache Kafka ${version}: ${name}`, fn);

  const append = async (topic: string, from: number, count: number) => {
    const loader = await Loader.open(stage.broker.bootstrap, topic);
    for (let id = from; id < from + count; id++) {
      await loader.append([loader.recordOf(`${id}\t1\titem_2\t1`, id)]);
    }
    await loader.close();
  };

  /** Lets the job commit 5 records, of which no checkpoint is kept. */
  const foldFive = async (scene: Scene) => {
    const service = await scene.start({ "checkpoint.interval.millis": "0" });
    await waitReady(service);
    await append(scene.topics[INPUT], 1, 5);
    await stage.untilCommitted(scene, 5, service);
    return service;
  };

  /** The input is empty afterwards, and still the same topic. */
  const loseRecords = async (topic: string) => {
    await stage.broker.stop();
    await Deno.remove(`${stage.broker.folder}/logs/${topic}-0`, { recursive: true });
    await stage.broker.restart();
  };

  const resultsOf = async ({ topics }: Scene) => {
    const results = await witness(stage.broker.bootstrap, topics["transaction.output.topic"]);
    return results.flat().map(({ value }) => value);
  };

  test("a log that holds other records at the committed offset, while the job is stopped: exit 2", async () => {
    const scene = await stage.scene(1);
    await (await foldFive(scene)).kill();
    await loseRecords(scene.topics[INPUT]);
    await append(scene.topics[INPUT], 101, 9);
    const text = await scene.refused();
    assertStringIncludes(text, `partition 0 holds another batch at offset 4 than was read there`);
    assertStringIncludes(text, "empty file for the state");
    assertEquals((await resultsOf(scene)).length, 5);
  });

  test("a log that loses its records while the job runs, and grows again: exit 2", async () => {
    const scene = await stage.scene(1);
    const service = await foldFive(scene);
    const topic = scene.topics[INPUT];
    await loseRecords(topic);
    await append(topic, 101, 9);
    assertEquals(await exitCode(service), 2, service.log());
    assertEquals((await resultsOf(scene)).length, 5);
  });

  test("a log that has lost nothing goes on over restarts of its broker", async () => {
    const scene = await stage.scene(1);
    const service = await foldFive(scene);
    await stage.broker.stop();
    await stage.broker.restart();
    await append(scene.topics[INPUT], 6, 3);
    await stage.untilCommitted(scene, 8, service);
    await service.kill();
    const again = await scene.start();
    await waitReady(again);
    await append(scene.topics[INPUT], 9, 1);
    await stage.untilCommitted(scene, 9, again);
    await stopInGoodOrder(again);
    assertEquals((await resultsOf(scene)).length, 9);
  });

  /** With a client of a topic, and fetches of its partition by offset and epoch of the leader. */
  const withClient = async (
    name: string,
    use: (
      client: KafkaClient,
      fetch: (offset: number, leaderEpoch?: number) => Promise<number>,
    ) => Promise<void>,
  ) => {
    const brokers = [stage.broker.bootstrap];
    const client = new KafkaClient({ brokers, clientId: "test" }, systemClock);
    const limits = { maxWaitMs: 0, maxBytes: 1, partitionMaxBytes: 1 };
    try {
      await client.connect([name]);
      await use(client, async (offset, leaderEpoch = NO_EPOCH) => {
        const from = [{ partition: 0, offset, leaderEpoch }];
        const answer = await client.fetch(
          client.leaderOf(name, 0),
          { name, id: null },
          from,
          limits,
        );
        return answer.partitions[0]!.errorCode;
      });
    } finally {
      await client.close();
    }
  };

  const epochOf = async (client: KafkaClient, name: string) =>
    (await client.describe([name])).get(name)!.leaderEpochs[0]!;

  test("brokers refuse a fetch under another epoch of its leader, and say of an offset beyond the log only that it is out of range", async () => {
    const { topics } = await stage.scene(1);
    const name = topics[INPUT]!;
    await append(name, 1, 3);
    let epoch = -1;
    await withClient(name, async (client, fetch) => {
      epoch = await epochOf(client, name);
      assertEquals(await fetch(0, epoch), 0);
      assertEquals(await fetch(0, epoch + 1), ErrorCode.UnknownLeaderEpoch);
      assertEquals(await fetch(4, epoch), ErrorCode.OffsetOutOfRange);
      const topic = { name, id: null, groupId: "group", isQueries: false };
      const check = (baseOffset: number) =>
        checkBatch(client, topic, { partition: 0, batch: { baseOffset, crc: 7 }, committed: null });
      await assertRejects(() => check(4), LostError, `The log of ${name}-0 ends before offset 4`);
      const partitions = [{ partition: 0, offset: "2" }];
      await stage.withAdmin(async (admin) => {
        await admin.fetchTopicOffsets(name); // kafkajs knows the topic only then
        await admin.deleteTopicRecords({ topic: name, partitions });
      });
      assertEquals(await fetch(1, epoch), ErrorCode.OffsetOutOfRange);
      await check(1);
    });
    // A broker alone that comes back with ZooKeeper leads as before; with KRaft that is an election.
    if (stage === oldest) return;
    await stage.broker.stop();
    await stage.broker.restart();
    await append(name, 4, 1); // waits until the broker leads it again
    await withClient(name, async (client, fetch) => {
      assertEquals(await epochOf(client, name) > epoch, true);
      assertEquals(await fetch(2, epoch), ErrorCode.FencedLeaderEpoch);
    });
  });

  test("brokers answer a fetch behind what they show with nothing, as long as the log reaches the offset", async () => {
    const { topics } = await stage.scene(1);
    const name = topics[INPUT]!;
    await append(name, 1, 3);
    // Records of an open transaction are in the log, and not shown.
    const producer = stage.kafka().producer({ transactionalId: name, maxInFlightRequests: 1 });
    await producer.connect();
    const transaction = await producer.transaction();
    const messages = [4, 5].map((id) => ({ partition: 0, value: `${id}\t1\titem_2\t1` }));
    await transaction.send({ topic: name, messages });
    await withClient(name, async (client, fetch) => {
      assertEquals(await client.offsets(name, [0], "latest"), new Map([[0, 3]]));
      const topic = { name, id: null };
      const ends = async (offset: number) =>
        (await endingBefore(client, topic, [{ partition: 0, offset }])).has(0);
      for (const offset of [3, 4, 5]) {
        assertEquals([await fetch(offset), await ends(offset)], [0, false], `offset ${offset}`);
      }
      assertEquals([await fetch(6), await ends(6)], [ErrorCode.OffsetOutOfRange, true]);
    });
    await transaction.abort();
    await producer.disconnect();
  });
}

oldest.test("Apache Kafka 2.5.1: a topic that is created anew, and as long as before, is known by the CRC of its last batch", async () => {
  const scene = await oldest.scene(1);
  const topic = scene.topics[INPUT];
  const append = async (from: number, count: number) => {
    const loader = await Loader.open(oldest.broker.bootstrap, topic);
    for (let id = from; id < from + count; id++) {
      await loader.append([loader.recordOf(`${id}\t1\titem_2\t1`, id)]);
    }
    await loader.close();
  };
  const service = await scene.start({ "kafka.partition.discovery.interval.ms": "300" });
  await waitReady(service);
  await append(1, 5);
  await oldest.untilCommitted(scene, 5, service);
  await oldest.withAdmin((admin) => admin.deleteTopics({ topics: [topic] }));
  await until(
    `${topic} is created`,
    () => oldest.broker.createTopics([topic], 1).then(() => true, () => false),
    service,
  );
  await append(101, 9);
  assertEquals(await exitCode(service), 2, service.log());
  const results = await witness(oldest.broker.bootstrap, scene.topics["transaction.output.topic"]);
  assertEquals(results.flat().length, 5);
});
