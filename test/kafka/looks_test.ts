// Looks at logs: pages of messages, and the first items of a topic. Brokers say nothing of a log that they refuse an
// offset of, or whose reader's quota is used up.

import { assertEquals, assertRejects } from "@std/assert";
import { isUnavailable } from "../../src/kafka/client/errors.ts";
import { firstItems } from "../../src/kafka/first_items.ts";
import { readPage } from "../../src/kafka/message_reader.ts";
import { OffsetOutOfRangeError } from "../../src/log/mod.ts";
import { codecOf, decodeUtf8 } from "../../src/types/mod.ts";
import { Format } from "../../src/wasm/mod.ts";
import { named, Topic } from "./small_topic.ts";

const pageOf = (client: Topic, offset: number) =>
  readPage(client, { topic: "t", partition: 0, offset, limit: 10, inputBatchBytesMax: 1024 });

Deno.test("a page outside of a log names its bounds, which brokers do not say with the refusal", async () => {
  const client = new Topic();
  client.values = ["a", "b", "c"];
  client.start = 1;
  for (const offset of [0, 9]) {
    const error = await assertRejects(() => pageOf(client, offset), OffsetOutOfRangeError);
    assertEquals(error.message, `Offset ${offset} of t-0 is outside 1..3`);
  }
});

Deno.test("a page that a quota holds back is asked for again, and refused with the reason if that takes long", async () => {
  const client = new Topic();
  client.values = ["a", "b", "c"];
  client.heldBack = 3;
  const { records, next, end } = await pageOf(client, 1);
  assertEquals([records.map(({ offset }) => offset), next, end], [[1, 2], 3, 3]);
  client.heldBack = 1000;
  const error = await assertRejects(() => pageOf(client, 0), Error, "a quota of the broker holds");
  assertEquals(isUnavailable(error), true);
});

Deno.test("the first items of a topic are those of all partitions, also of one that a quota holds back", async () => {
  const client = new Topic();
  client.values = ["1\t1\titem_1\t1"];
  client.heldBack = 3;
  const options = { codec: codecOf(Format.Text), batchBytesMax: 1024 };
  const items = await firstItems(client, named, 2, options);
  assertEquals(items.map(({ id, partition }) => [decodeUtf8(id), partition]), [
    ["item_1", 0],
    ["item_1", 1],
  ]);
  client.heldBack = 1000;
  const error = await assertRejects(() => firstItems(client, named, 2, options));
  assertEquals(isUnavailable(error), true);
});
