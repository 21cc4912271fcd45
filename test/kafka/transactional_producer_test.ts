// What a producer makes of the answers to its batches, on a client that is made up.

import { assertEquals, assertRejects } from "@std/assert";
import { sequenceOf, stamp } from "../../src/kafka/batches.ts";
import type { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import type { ProducedBatch } from "../../src/kafka/protocol/produce.ts";
import { TransactionalProducer } from "../../src/kafka/transactional_producer.ts";
import { protocolError } from "../../src/kafka/client/internals.ts";
import { ErrorCode } from "../../src/kafka/client/errors.ts";
import { LostError } from "../../src/log/mod.ts";
import { encodeBatch, encodeUtf8 } from "../../src/types/mod.ts";
import { ManualClock } from "../engine/manual_clock.ts";

const MEMBER = { memberId: "me", generation: 1 };

/** A broker that acknowledges each batch at the offsets given, one after the other. */
async function producerOver(offsets: readonly number[], markersMs = 0) {
  const sent: ProducedBatch[] = [];
  const clock = new ManualClock();
  /** When the coordinator was asked to begin a transaction, in ms behind the end of the one before. */
  const begun: number[] = [];
  let endedAt = -Infinity;
  const coordinator = {
    initProducerId: () => Promise.resolve({ producerId: "7", producerEpoch: 3 }),
    addPartitionsToTxn: () => {
      const sinceEnd = clock.monotonic() - endedAt;
      begun.push(sinceEnd);
      return sinceEnd < markersMs
        ? Promise.reject(protocolError(ErrorCode.ConcurrentTransactions))
        : Promise.resolve({});
    },
    addOffsetsToTxn: () => Promise.resolve({}),
    endTxn: () => {
      endedAt = clock.monotonic();
      return Promise.resolve({});
    },
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
  return { producer: await TransactionalProducer.open(client, clock, options), sent, begun, clock };
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

Deno.test("the next transaction begins once the markers of the one before are written, or at once if there is something to write", async () => {
  const MARKERS_MS = 10;
  const { producer, begun, clock } = await producerOver([10, 11, 12, 13], MARKERS_MS);
  const pass = async (ms: number) => {
    for (let i = 0; i < ms; i++) await clock.advance(1);
  };
  const commit = async () => {
    begun.length = 0;
    await producer.commit(to(batchOf(1)), MEMBER, []);
    await clock.settle();
    await pass(100);
    return [...begun];
  };
  // The first one begins with its outputs; behind it the time that markers take is not known yet.
  assertEquals(await commit(), [Infinity, 0, 1, 3, 7, 15]);
  assertEquals(await commit(), [15]);
  assertEquals(await commit(), [14]);
  begun.length = 0;
  await producer.commit(to(batchOf(1)), MEMBER, []);
  await pass(2);
  assertEquals(begun, []);
  const written = producer.write(to(batchOf(1)));
  await clock.settle();
  await pass(100);
  await written;
  assertEquals(begun, [2, 3, 5, 9, 17]);
});
