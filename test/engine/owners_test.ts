import { assertEquals, assertRejects } from "@std/assert";
import { type ItemOwner, Owners } from "../../src/engine/owners.ts";
import { UnavailableError } from "../../src/log/mod.ts";
import { encodeUtf8, Partitioner, partitionOf, systemClock } from "../../src/types/mod.ts";

const PARTITIONS = 2;

/** An owner that is ready, and knows one stock for all items. */
function ownerOf(stock: bigint): ItemOwner {
  return {
    isReady: true,
    ready: Promise.resolve(),
    lookUp: (ids) => Promise.resolve(ids.map(() => stock)),
  };
}

/** An item of a partition. */
function itemOf(partition: number): string {
  const isOf = (n: number) =>
    partitionOf(Partitioner.Murmur2, encodeUtf8(`item_${n}`), PARTITIONS) === partition;
  let n = 0;
  while (!isOf(n)) n++;
  return `item_${n}`;
}

function newOwners(): Owners {
  return new Owners({
    partitioner: Partitioner.Murmur2,
    partitions: PARTITIONS,
    log: { isAvailable: true, isClaimed: true, standsBy: null },
    clock: systemClock,
  });
}

Deno.test("a look-up of a partition that is offline is refused with the reason; those of the others are answered", async () => {
  const owners = newOwners();
  const { signal } = new AbortController();
  owners.set(0, ownerOf(7n));
  assertEquals(owners.allReady, false);
  owners.setOffline(1, "it has no leader");
  assertEquals(owners.allReady, true);
  assertEquals(await owners.lookUp([itemOf(0)], signal, false), [7n]);
  const refused = () => owners.lookUp([itemOf(1)], signal, false);
  await assertRejects(refused, UnavailableError, "it has no leader");
  owners.set(1, null);
  assertEquals(owners.allReady, false);
});

Deno.test("a look-up that waits for a partition that is offline is answered when it has an owner", async () => {
  const owners = newOwners();
  owners.setOffline(1, "it has no leader");
  const waiting = owners.lookUp([itemOf(1)], new AbortController().signal);
  owners.set(1, ownerOf(3n));
  assertEquals(await waiting, [3n]);
});

Deno.test("nothing is ready while all partitions are offline", () => {
  const owners = newOwners();
  for (let p = 0; p < PARTITIONS; p++) owners.setOffline(p, "it has no leader");
  assertEquals(owners.allReady, false);
});
