import { assertEquals } from "@std/assert";
import { Parameters } from "../../src/parameters/mod.ts";
import { threadsOf } from "../../src/service/thread_count.ts";
import type { CheckpointStore } from "../../src/state/mod.ts";

/** A store whose partitions have so many items in their newest checkpoint that can be read. */
function storeOf(...items: readonly number[]): CheckpointStore {
  const list = (partition: number) => {
    const manifest = { scalars: { items: BigInt(items[partition]!) } };
    return Promise.resolve([{ manifest: null }, { manifest }]);
  };
  return { list } as unknown as CheckpointStore;
}

Deno.test("posted records are folded by one thread, and by one more for each million items; others by as many as there are", async () => {
  const machine = navigator.hardwareConcurrency;
  const params = Parameters.of({});
  const empty = storeOf(0, 0, 0, 0);
  assertEquals(await threadsOf(params, 4, empty, true), 1);
  assertEquals(await threadsOf(params, 4, storeOf(300_000, 300_000, 300_000, 90_000), true), 1);
  const million = storeOf(400_000, 300_000, 300_000, 0);
  assertEquals(await threadsOf(params, 4, million, true), Math.min(2, machine));
  assertEquals(await threadsOf(params, 4, storeOf(9e6, 9e6, 9e6, 9e6), true), Math.min(4, machine));
  assertEquals(await threadsOf(params, 4, empty, false), Math.min(4, machine));
  const three = Parameters.of({ "parallelism": "3" });
  assertEquals(await threadsOf(three, 4, empty, true), 3);
  assertEquals(await threadsOf(three, 2, empty, true), 2);
});
