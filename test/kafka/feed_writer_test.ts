// What the writer of feeds repeats, on a broker that is made up.

import { assertEquals, assertRejects } from "@std/assert";
import { recordsOf, sequenceOf } from "../../src/kafka/batches.ts";
import { ErrorCode } from "../../src/kafka/client/errors.ts";
import type { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import { KafkaFeedWriter } from "../../src/kafka/feed_writer.ts";
import type { ProducedBatch } from "../../src/kafka/protocol/produce.ts";
import { encodeUtf8, type NewRecord, systemClock } from "../../src/types/mod.ts";

const PRODUCER_ID_AT = 43;

/** Takes each batch of a producer once, in the order of its sequence numbers, as a broker does. */
class FakeBroker {
  /** Records by partition. */
  readonly taken = new Map<number, number>();
  /** By producer and partition: the next sequence number. */
  readonly #expected = new Map<string, number>();
  #producers = 0;
  /** What becomes of the next batches of a partition: their answer is lost, or is an error. */
  readonly next = new Map<number, ("lost" | number)[]>();

  client(): KafkaClient {
    const broker = {
      initProducerId: () =>
        Promise.resolve({ producerId: String(++this.#producers), producerEpoch: 0 }),
    };
    const client = {
      connect: () => Promise.resolve(),
      close: () => Promise.resolve(),
      controller: () => Promise.resolve(broker),
      call: (work: () => Promise<unknown>) => work(),
      leaderOf: () => "1",
      produce: (_node: string, _id: null, [batch]: readonly ProducedBatch[]) =>
        Promise.resolve({ acknowledged: this.#answer(batch!) }),
    };
    return client as unknown as KafkaClient;
  }

  async #answer({ topic, partition, bytes }: ProducedBatch) {
    const next = this.next.get(partition)?.shift();
    const errorCode = typeof next === "number" ? next : this.#append(partition, bytes);
    await systemClock.yield();
    if (next === "lost") throw new Error("The answer is lost");
    return { partitions: [{ topic, partition, errorCode, baseOffset: 0, message: null }] };
  }

  #append(partition: number, bytes: Uint8Array): number {
    const producer = new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(PRODUCER_ID_AT);
    const key = `${producer} ${partition}`;
    const expected = this.#expected.get(key) ?? 0;
    if (sequenceOf(bytes) < expected) return ErrorCode.DuplicateSequence;
    if (sequenceOf(bytes) > expected) return ErrorCode.OutOfOrderSequence;
    this.#expected.set(key, expected + recordsOf(bytes));
    this.taken.set(partition, (this.taken.get(partition) ?? 0) + recordsOf(bytes));
    return 0;
  }
}

const records = (count: number): NewRecord[] =>
  Array.from({ length: count }, (_, n) => ({ timestamp: n, key: null, value: encodeUtf8(`${n}`) }));

Deno.test("what is repeated is there once, also when the numbers of another partition begin anew meanwhile", async () => {
  const broker = new FakeBroker();
  const writer = new KafkaFeedWriter(
    { brokers: [], clientId: "feeds" },
    "none",
    systemClock,
    () => broker.client(),
  );
  for (const partition of [0, 1]) await writer.append("input", partition, records(3));
  broker.next.set(0, [ErrorCode.OutOfOrderSequence]);
  broker.next.set(1, ["lost"]);
  const [refused, lost] = [records(5), records(7)];
  await assertRejects(() => writer.append("input", 1, lost), Error, "The answer is lost");
  await assertRejects(() => writer.append("input", 0, refused));
  await writer.append("input", 0, refused);
  await writer.append("input", 1, lost);
  assertEquals([broker.taken.get(0), broker.taken.get(1)], [8, 10]);
  // Both go on under the producer that has begun.
  for (const partition of [0, 1]) await writer.append("input", partition, records(2));
  assertEquals([broker.taken.get(0), broker.taken.get(1)], [10, 12]);
  await writer.close();
});
