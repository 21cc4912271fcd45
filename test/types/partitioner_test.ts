import { assertEquals, assertThrows } from "@std/assert";
import {
  encodeUtf8,
  fnv1a,
  javaArraysHashCode,
  murmur2,
  Partitioner,
  partitionOf,
} from "../../src/types/mod.ts";

Deno.test("murmur2 gives the values of Kafka's own UtilsTest", () => {
  const cases: [string, number][] = [
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107],
  ];
  for (const [key, hash] of cases) assertEquals(murmur2(encodeUtf8(key)), hash, key);
});

Deno.test("javaArraysHashCode gives the values of java.util.Arrays.hashCode", () => {
  // Printed by OpenJDK 17: Arrays.hashCode(s.getBytes(StandardCharsets.UTF_8))
  const cases: [string, number][] = [
    ["", 1],
    ["0", 79],
    ["123", 78481],
    ["item_2", -291157689],
    ["9223372036854775807", 2112991873],
    ["-1", 2405],
    ["käse_1", 388607567],
  ];
  for (const [key, hash] of cases) assertEquals(javaArraysHashCode(encodeUtf8(key)), hash, key);
});

Deno.test("fnv1a gives the values of the reference vectors", () => {
  // http://www.isthe.com/chongo/src/fnv/test_fnv.c
  const cases: [string, number][] = [["", 0x811c9dc5], ["a", 0xe40c292c], ["foobar", 0xbf9cf968]];
  for (const [key, hash] of cases) assertEquals(fnv1a(encodeUtf8(key)) >>> 0, hash, key);
});

Deno.test("partitionOf follows each producer's partitioner", () => {
  const key = encodeUtf8("item_2");
  assertEquals(
    partitionOf(Partitioner.Murmur2, encodeUtf8("21"), 16),
    (-973932308 & 0x7fffffff) % 16,
  );
  assertEquals(partitionOf(Partitioner.JavaHash, key, 16), 291157689 % 16);
  assertEquals(partitionOf(Partitioner.Consistent, key, 16), 728299111 % 16);
  // Sarama's NewHashPartitioner: int32(hash) % partitions, absolute value.
  assertEquals(
    partitionOf(Partitioner.Fnv1a, encodeUtf8("foobar"), 16),
    Math.abs((0xbf9cf968 | 0) % 16),
  );
  assertThrows(() => partitionOf(Partitioner.None, key, 16), RangeError, "partitioner 0");
});

Deno.test("partitionOf counts Java's smallest int as 0", () => {
  const smallest = Uint8Array.from([0, 14, 4, 5, 23, 1, 26]); // OpenJDK 17: -2147483648
  assertEquals(javaArraysHashCode(smallest), -2147483648);
  assertEquals(partitionOf(Partitioner.JavaHash, smallest, 7), 0);
});
