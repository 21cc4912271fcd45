import { assert, assertEquals, assertThrows } from "@std/assert";
import { StopError } from "../../../src/log/mod.ts";
import {
  CANDIDATES,
  partitionerByHash,
  partitionerOf,
  type PlacedItem,
} from "../../../src/kafka/find_partitioner.ts";
import { PARTITIONERS } from "../../../src/state/mod.ts";
import { encodeUtf8, partitionOf } from "../../../src/types/mod.ts";

const PARTITIONS = 4;

/** Items where a producer with that partitioner puts them. */
function placedBy(name: typeof CANDIDATES[number], count = 100): PlacedItem[] {
  return Array.from({ length: count }, (_, i) => {
    const id = encodeUtf8(`item_${i}`);
    return { id, partition: partitionOf(PARTITIONERS[name], id, PARTITIONS) };
  });
}

Deno.test("partitionerOf finds the partitioner that put the items where they are", () => {
  for (const name of CANDIDATES) {
    assertEquals(partitionerOf(placedBy(name), PARTITIONS, "t"), name);
    const astray = placedBy(name).map((item, i) =>
      i % 10 === 0 ? { ...item, partition: (item.partition + 1) % PARTITIONS } : item
    );
    assertEquals(partitionerOf(astray, PARTITIONS, "t"), name);
  }
});

Deno.test("partitionerOf takes Kafka's default where all fit, and none where there is no item", () => {
  assertEquals(partitionerOf([{ id: encodeUtf8("a"), partition: 0 }], 1, "t"), "murmur2");
  assertEquals(partitionerOf([], PARTITIONS, "t"), null);
});

Deno.test("partitionerOf stops the job over items that nothing puts where they are", () => {
  const anywhere = placedBy("murmur2").map(({ id }, i) => ({ id, partition: i % PARTITIONS }));
  const error = assertThrows(() => partitionerOf(anywhere, PARTITIONS, "t"), StopError);
  assert(error.message.includes("the first 100 records of t"), error.message);
});

Deno.test("partitionerByHash knows a partitioner by the fold parameters that were committed", () => {
  const hashesOf = (name: string) => [`hash of ${name}`, `earlier hash of ${name}`];
  assertEquals(partitionerByHash(new Set(["", "hash of consistent"]), hashesOf), "consistent");
  assertEquals(partitionerByHash(new Set(["earlier hash of fnv1a"]), hashesOf), "fnv1a");
  assertEquals(partitionerByHash(new Set([""]), hashesOf), null);
});
