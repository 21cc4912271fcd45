import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { StopError } from "../../../src/log/mod.ts";
import { hideColons, hostOf, shownAddress } from "../../../src/kafka/client/addresses.ts";
import { checkVersions } from "../../../src/kafka/client/versions.ts";

const range = (minVersion: number, maxVersion: number) => ({ minVersion, maxVersion });

/** What is needed, as Apache Kafka 2.5.0 offers it. */
const KAFKA_2_5 = {
  0: range(0, 8),
  1: range(0, 11),
  3: range(0, 9),
  9: range(0, 7),
  11: range(0, 7),
  28: range(0, 3),
};

Deno.test("a broker that is too old is refused by the request that it does not offer, and the first that does", () => {
  checkVersions(KAFKA_2_5);
  // Apache Kafka 2.4.1
  const old = assertThrows(() => checkVersions({ ...KAFKA_2_5, 9: range(0, 6) }), StopError);
  assertStringIncludes(old.message, "too old: they offer versions 0 to 6 of OffsetFetch");
  assertStringIncludes(old.message, "version 7 is needed (Apache Kafka 2.5)");
  assertStringIncludes(old.remedy, "Apache Kafka 2.5 to 4.x");
  const { 28: _, ...without } = KAFKA_2_5;
  assertStringIncludes(
    assertThrows(() => checkVersions(without), StopError).message,
    "no TxnOffsetCommit",
  );
  const young = assertThrows(() => checkVersions({ ...KAFKA_2_5, 1: range(12, 19) }), StopError);
  assertStringIncludes(young.message, "too new");
});

Deno.test("an IPv6 address goes through kafkajs, which splits at the first colon", () => {
  for (
    const [address, host] of [
      ["[::1]:9092", "::1"],
      ["[fe80::1.2.3.4]:9092", "fe80::1.2.3.4"],
      ["kafka_1.example:9092", "kafka_1.example"],
      ["10.0.0.1:9092", "10.0.0.1"],
    ] as const
  ) {
    const [split, port] = hideColons(address).split(":");
    assertEquals([hostOf(split!), port], [host, "9092"]);
    assertEquals(shownAddress(`${split}:${port}`), address);
  }
  // As brokers advertise it.
  assertEquals(shownAddress("::1:9092"), "[::1]:9092");
});
