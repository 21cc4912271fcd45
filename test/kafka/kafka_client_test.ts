import { assert, assertEquals, assertRejects } from "@std/assert";
import type { BrokerInternals, Exchange } from "../../src/kafka/client/internals.ts";
import { KafkaClient } from "../../src/kafka/client/kafka_client.ts";
import { ManualClock } from "../engine/manual_clock.ts";
import { connectionTo } from "./connection.ts";

const TIMEOUT_MS = 30_000;
/** A call may take so much longer until it is noticed. */
const WATCH_MS = 1000;
const NOTHING = new TextEncoder().encode("");

const EXCHANGE = {
  request: { apiKey: 1, apiName: "Fetch", apiVersion: 13, encode: () => ({}) },
  response: { decode: () => NOTHING, parse: () => NOTHING },
} as unknown as Exchange<Uint8Array>;

/** A client of a broker that answers a request when a test does. */
function client() {
  const asked: PromiseWithResolvers<unknown>[] = [];
  const send = <T>(): Promise<T> => {
    asked.push(Promise.withResolvers());
    return asked.at(-1)!.promise as Promise<T>;
  };
  const connectionPool = { send, getConnection: () => Promise.reject(new Error("not asked for")) };
  const clock = new ManualClock();
  const broker = { connectionPool } as unknown as BrokerInternals;
  return { clock, broker, asked, client: new KafkaClient(connectionTo(broker), clock) };
}

Deno.test("a request without an answer breaks the client for all that is under way, and for what comes", async () => {
  const { clock, broker, asked, client: kafka } = client();
  const first = kafka.send(broker, EXCHANGE);
  await clock.advance(TIMEOUT_MS / 2);
  const second = kafka.send(broker, EXCHANGE);
  const third = kafka.send(broker, EXCHANGE);
  asked[2]!.resolve("answer");
  assertEquals(await third, "answer" as unknown as Uint8Array);
  const failing = Promise.all([
    assertRejects(() => first, Error, `Kafka gave no answer to Fetch in ${TIMEOUT_MS} ms`),
    assertRejects(() => second, Error, "Kafka gave no answer to Fetch"),
  ]);
  await clock.advance(TIMEOUT_MS / 2 - WATCH_MS);
  assert(!kafka.isBroken);
  await clock.advance(2 * WATCH_MS);
  await failing;
  assert(kafka.isBroken);
  await assertRejects(() => kafka.send(broker, EXCHANGE), Error, "Kafka gave no answer to Fetch");
  assertEquals(asked.length, 3);
});

Deno.test("time in which a quota keeps a client from asking does not count as waiting for an answer", async () => {
  const { clock, broker, asked, client: kafka } = client();
  const throttledMs = 2 * TIMEOUT_MS;
  const fetched = kafka.fetch("0", { name: "topic", id: null }, [], {
    maxWaitMs: 0,
    maxBytes: 1,
    partitionMaxBytes: 1,
  });
  await clock.settle();
  asked[0]!.resolve({ clientSideThrottleTime: throttledMs, errorCode: 0, partitions: [] });
  await fetched;
  const next = kafka.send(broker, EXCHANGE);
  await clock.advance(throttledMs + TIMEOUT_MS - WATCH_MS);
  assert(!kafka.isBroken);
  asked[1]!.resolve("answer");
  await next;
  const last = kafka.send(broker, EXCHANGE);
  const failing = assertRejects(() => last, Error, "Kafka gave no answer to Fetch");
  await clock.advance(TIMEOUT_MS + 2 * WATCH_MS);
  await failing;
});

Deno.test("a call that fails before it is sent is not under way: it does not break the client later", async () => {
  const { clock, broker, asked, client: kafka } = client();
  const refusing = {
    connectionPool: {
      send: () => {
        throw new Error("It has no frame");
      },
    },
  } as unknown as BrokerInternals;
  await assertRejects(() => kafka.send(refusing, EXCHANGE), Error, "It has no frame");
  await clock.advance(TIMEOUT_MS / 2);
  const next = kafka.send(broker, EXCHANGE);
  await clock.advance(TIMEOUT_MS / 2 + 2 * WATCH_MS);
  assert(!kafka.isBroken);
  asked[0]!.resolve("answer");
  await next;
});
