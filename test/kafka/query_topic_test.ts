// Which topic of queries was read, as a store of checkpoints remembers it: see created_anew_test.ts for the whole job on
// a real broker. Needs no broker.

import { assertEquals, assertRejects } from "@std/assert";
import { LostError, type ReadTopicIds, StopError } from "../../src/log/mod.ts";
import type { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import { QueryTopic } from "../../src/kafka/query_topic.ts";
import { systemClock } from "../../src/types/mod.ts";

const NAME = "cluster/queries";
const PARTITIONS = 2;

/** A client of a group that has committed these offsets of the topic; -1 = none. */
function clientOf(...offsets: readonly number[]): () => Promise<KafkaClient> {
  const partitions = offsets.map((offset, partition) => ({
    partition,
    offset,
    metadata: "",
    errorCode: 0,
  }));
  const send = () => Promise.resolve({ topics: [{ topic: "queries", partitions }] });
  const client = {
    coordinator: () => Promise.resolve({ connectionPool: { send } }),
    call: (work: () => Promise<unknown>) => work(),
    waits: null,
  };
  return () => Promise.resolve(client as unknown as KafkaClient);
}

const FORGOTTEN = clientOf(-1, -1);

function topicOf(readTopics: ReadTopicIds, acceptOffset = false): QueryTopic {
  return new QueryTopic({
    topic: "queries",
    name: NAME,
    groupId: "group",
    readTopics,
    acceptOffset,
    clock: systemClock,
  });
}

function storeOf(ids: Map<string, string>): ReadTopicIds {
  return {
    idOf: (name) => Promise.resolve(ids.get(name) ?? null),
    keep: (name, id) => Promise.resolve(void ids.set(name, id)),
  };
}

Deno.test("QueryTopic keeps the id of the topic of a store that has none", async () => {
  const ids = new Map<string, string>();
  await topicOf(storeOf(ids)).check("first", PARTITIONS, FORGOTTEN);
  assertEquals(ids, new Map([[NAME, "first"]]));
  await topicOf(storeOf(ids)).check("first", PARTITIONS, FORGOTTEN);
});

Deno.test("QueryTopic refuses another topic whose offsets are forgotten, until it is accepted", async () => {
  const ids = new Map([[NAME, "first"]]);
  const error = await assertRejects(
    () => topicOf(storeOf(ids)).check("second", PARTITIONS, FORGOTTEN),
    StopError,
    "its id was first when its queries were read last, and its id is second now",
  );
  assertEquals(error.remedy.includes("--accept-offset"), true);
  assertEquals(ids.get(NAME), "first");
  await topicOf(storeOf(ids), true).check("second", PARTITIONS, FORGOTTEN);
  await topicOf(storeOf(ids)).check("second", PARTITIONS, FORGOTTEN);
});

Deno.test("QueryTopic takes a topic that another process has accepted: the group has its offsets", async () => {
  const ids = new Map([[NAME, "first"]]);
  await topicOf(storeOf(ids)).check("second", PARTITIONS, clientOf(-1, 3));
  assertEquals(ids.get(NAME), "second");
});

Deno.test("QueryTopic: without topic ids nothing is asked of a store", async () => {
  const readTopics: ReadTopicIds = {
    idOf: () => Promise.reject(new Error("it is asked")),
    keep: () => Promise.reject(new Error("it is asked")),
  };
  await topicOf(readTopics).check(null, PARTITIONS, FORGOTTEN);
});

Deno.test("QueryTopic: a store that does not answer is waited for; one that cannot be written to holds no query up", async () => {
  const away: ReadTopicIds = {
    idOf: () => Promise.reject(new LostError("The store does not answer")),
    keep: () => Promise.resolve(),
  };
  await assertRejects(() => topicOf(away).check("first", PARTITIONS, FORGOTTEN), LostError);
  const kept: string[] = [];
  let isFull = true;
  const full: ReadTopicIds = {
    idOf: () => Promise.resolve(null),
    keep: (_, id) => {
      if (isFull) return Promise.reject(new Error("The disk is full"));
      kept.push(id);
      return Promise.resolve();
    },
  };
  const topic = topicOf(full);
  await topic.check("first", PARTITIONS, FORGOTTEN);
  isFull = false;
  await topic.check("first", PARTITIONS, FORGOTTEN);
  await topic.check("first", PARTITIONS, FORGOTTEN);
  assertEquals(kept, ["first"]);
});
