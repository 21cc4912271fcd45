// What a producer makes of the answers to its batches, on a client that is made up.

import { assertEquals, assertRejects } from "@std/assert";
import { sequenceOf, stamp } from "../../src/kafka/batches.ts";
import type { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import type { ProducedBatch } from "../../src/kafka/protocol/produce.ts";
import { TransactionalProducer } from "../../src/kafka/transactional_producer.ts";
import { LostError } from "../../src/log/mod.ts";
import { encodeBatch, encodeUtf8 } from "../../src/types/mod.ts";
import { ManualClock } from "../engine/manual_clock.ts";

const MEMBER = { memberId: "me", generation: 1 };

/** A broker that acknowledges each batch at the offsets given, one after the other. */
async function producerOver(offsets: readonly number[]) {
  const sent: ProducedBatch[] = [];
  const coordinator = {
    initProducerId: () => Promise.resolve({ producerId: "7", producerEpoch: 3 }),
    addPartitionsToTxn: () => Promise.resolve({}),
    addOffsetsToTxn: () => Promise.resolve({}),
    endTxn: () => Promise.resolve({}),
    connectionPool: { send: () => Promise.resolve({ topics: [] }) },
  };
  const client = {
    coordinator: () => Promise.resolve(coordinator),
    call: (work: () => Promise<unknown>) => work(),
    leaderOf: () => "1",
    isBroken: false,
    produce: (_node: string, _id: string, batches: readonly ProducedBatch[]) => {
      const partitions = batches.map(({ topic, partition }) => ({
        topic,
        partition,
        errorCode: 0,
        baseOffset: offsets[sent.length]!,
        message: null,
      }));
      sent.push(...batches);
      return Promise.resolve({
        acknowledged: Promise.resolve({ partitions, clientSideThrottleTime: 0 }),
      });
    },
  } as unknown as KafkaClient;
  const options = { transactionalId: "t", timeoutMs: 1000, groupId: "g" };
  return { producer: await TransactionalProducer.open(client, new ManualClock(), options), sent };
}

function batchOf(records: number): Uint8Array {
  const value = encodeUtf8("v");
  return encodeBatch(Array.from({ length: records }, () => ({ timestamp: 1, key: null, value })));
}

const to = (...batches: Uint8Array[]) => [{ topic: "out", partition: 0, batches }];

Deno.test("a producer says which sequence number comes next, whoever stamped the batches", async () => {
  const { producer, sent } = await producerOver([10, 15, 17]);
  assertEquals(producer.nextSequence("out", 0), 0);
  const own = batchOf(5);
  stamp(own, producer.producer, 0);
  await producer.commit(to(own), MEMBER, []);
  assertEquals(producer.nextSequence("out", 0), 5);
  await producer.commit(to(batchOf(2)), MEMBER, []);
  assertEquals(sent.map(({ bytes }) => sequenceOf(bytes)), [0, 5]);
  assertEquals(producer.nextSequence("out", 0), 7);
  assertEquals(producer.nextSequence("out", 1), 0, "each partition has its own");
  const last = batchOf(1);
  stamp(last, producer.producer, 0x7fffffff);
  await producer.write(to(last));
  assertEquals(producer.nextSequence("out", 0), 0, "after 2^31 - 1 comes 0");
});

Deno.test("a batch that is acknowledged at no offset behind the one before was not appended: its commit is lost", async () => {
  for (const again of [10, 9]) {
    const { producer } = await producerOver([10, again]);
    await producer.commit(to(batchOf(5)), MEMBER, []);
    await assertRejects(
      () => producer.commit(to(batchOf(2)), MEMBER, []),
      LostError,
      `A batch of out-0 was acknowledged at offset ${again}, not behind the one before at 10`,
    );
  }
});
