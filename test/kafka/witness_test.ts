// The witness by whose word other tests judge.

import { assertEquals } from "@std/assert";
import { Stage } from "./scene.ts";
import { witness } from "./witness.ts";

const stage = await Stage.shared();

stage.test("a witness sees nothing of aborted transactions, in whatever order several of them end", async () => {
  const topic = `witnessed-${crypto.randomUUID()}`;
  await stage.broker.createTopics([topic], 1);
  const producers = ["a", "b", "c"].map((name) =>
    stage.kafka().producer({ transactionalId: `${topic}-${name}`, maxInFlightRequests: 1 })
  );
  await Promise.all(producers.map((producer) => producer.connect()));
  // All are open at once, and the one that began first ends last.
  const transactions = [];
  for (const [n, producer] of producers.entries()) {
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: [{ partition: 0, value: `first of ${n}` }] });
    transactions.push(transaction);
  }
  for (const [n, transaction] of transactions.entries()) {
    await transaction.send({ topic, messages: [{ partition: 0, value: `second of ${n}` }] });
  }
  await transactions[2]!.abort();
  await transactions[1]!.commit();
  await transactions[0]!.abort();
  await Promise.all(producers.map((producer) => producer.disconnect()));
  const [records] = await witness(stage.broker.bootstrap, topic);
  assertEquals(records!.map(({ value }) => value), ["first of 1", "second of 1"]);
});
