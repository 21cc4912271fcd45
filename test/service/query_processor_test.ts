import { assertEquals } from "@std/assert";
import { QueryProcessor } from "../../src/service/query_processor.ts";
import { Owners } from "../../src/engine/owners.ts";
import {
  codecOf,
  decodeBatch,
  encodeBatch,
  encodeUtf8,
  Format,
  Partitioner,
} from "../../src/types/mod.ts";
import { firstPosition } from "../../src/log/mod.ts";
import { ManualClock } from "../engine/manual_clock.ts";

/** A processor of queries in a format, what it has asked its owners for, and what it has answered. */
function processorOf(format: Format) {
  const owners = new Owners({
    partitioner: Partitioner.Murmur2,
    partitions: 1,
    log: { isAvailable: true, isClaimed: true, standsBy: null },
    clock: new ManualClock(),
  });
  const asked: string[] = [];
  const decoder = new TextDecoder();
  owners.set(0, {
    isReady: true,
    ready: Promise.resolve(),
    lookUp: (ids) => {
      asked.push(...ids.map((id) => decoder.decode(id)));
      return Promise.resolve(ids.map(() => 5n));
    },
  });
  const topics = {
    input: "queries",
    results: "answers",
    deadLetters: "dead",
    partitionsOf: () => 1,
    batchBytesMax: 4000,
  };
  const committed = firstPosition(0);
  const answers: unknown[] = [];
  const processor = new QueryProcessor(
    0,
    codecOf(format),
    owners,
    topics,
    committed,
    (_partition, _first, outcomes) => answers.push(...outcomes),
  );
  return { processor, asked, answers };
}

Deno.test("a query that ends in a carriage return is answered as the line that it is", async () => {
  for (
    const [format, value] of [
      [Format.Text, "7 item_1\r"],
      [Format.Json, '{"queryId":7,"itemId":"item_1"}\r'],
    ] as const
  ) {
    const { processor, asked, answers } = processorOf(format);
    const batch = encodeBatch([{ timestamp: 1, key: null, value: encodeUtf8(value) }]);
    await processor.answer(batch, new AbortController().signal);
    assertEquals(asked, ["item_1"]);
    assertEquals(answers, [{ queryId: 7n, itemInfo: { itemId: "item_1", quantity: 5n } }]);
  }
});

Deno.test("a query with a timestamp that no date can have is answered with a valid one", async () => {
  const { processor } = processorOf(Format.Text);
  const batch = encodeBatch(
    [5, 2 ** 53 - 1, 7].map((timestamp) => ({ timestamp, key: null, value: encodeUtf8("7 a") })),
  );
  await processor.answer(batch, new AbortController().signal);
  const { outputs } = processor.take()!;
  const timestamps = outputs.flatMap(({ batches }) => batches)
    .flatMap((bytes) => decodeBatch(bytes)).map(({ timestamp }) => timestamp);
  assertEquals(timestamps, [5, 5, 7]);
});
