import { assertEquals, assertThrows } from "@std/assert";
import { DataGeneratorJob } from "../../src/service/data_generator_job.ts";
import { forEach, type OutputStream, topic } from "../../src/service/streams.ts";
import { KafkaDataGeneratorJob } from "../../src/kafka/kafka_data_generator_job.ts";
import { ParameterError, Parameters } from "../../src/parameters/mod.ts";
import type { ItemTransaction, Query } from "../../src/types/mod.ts";

/** A generator whose methods do what a test says. */
function filledBy(
  transactions: (stream: OutputStream<ItemTransaction>) => void,
  queries: (stream: OutputStream<Query>) => void = () => {},
) {
  class Generator extends DataGeneratorJob {
    override writeTransactions(_: Parameters, stream: OutputStream<ItemTransaction>): void {
      transactions(stream);
    }

    override writeQueries(_: Parameters, stream: OutputStream<Query>): void {
      queries(stream);
    }
  }
  return () => new Generator().filledTopics(Parameters.of({}));
}

Deno.test("DataGeneratorJob: each stream goes to the topic that the job's methods give it", () => {
  assertEquals(filledBy((stream) => stream.addSink(topic("orders")))(), {
    transactions: "orders",
    queries: null,
  });
  const both = filledBy(
    (stream) => stream.addSink(topic("orders")),
    (stream) => stream.addSink(topic("asked")),
  );
  assertEquals(both(), { transactions: "orders", queries: "asked" });
});

Deno.test("DataGeneratorJob: no topic, one topic for both, and a sink in the process are refused", () => {
  assertThrows(filledBy(() => {}), Error, "Generated transactions need a topic");
  const same = filledBy(
    (stream) => stream.addSink(topic("orders")),
    (stream) => stream.addSink(topic("orders")),
  );
  assertThrows(same, ParameterError, "Topic orders is given as transactions and as queries");
  const inProcess = filledBy((stream) =>
    stream.addSink(topic("orders")).addSink(forEach(() => {}))
  );
  assertThrows(inProcess, Error, "Generated transactions go to a topic alone");
});

Deno.test("KafkaDataGeneratorJob fills the topics that the parameters of the Kafka job name", () => {
  const named = { "transaction.input.topic": "orders", "query.input.topic": "asked" };
  const of = (flags: Record<string, string>) =>
    new KafkaDataGeneratorJob().filledTopics(Parameters.of({ ...named, ...flags }));
  assertEquals(of({}), { transactions: "orders", queries: null });
  assertEquals(of({ "generate.queries": "true" }), { transactions: "orders", queries: "asked" });
});
