import { assertEquals, assertRejects } from "@std/assert";
import { type ItemOwner, Owners } from "../../src/engine/owners.ts";
import { LostError, type SharedGeneration, UnavailableError } from "../../src/log/mod.ts";
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

/** Owners of a log that processes share; the generation, and what is confirmed, are said by the test. */
function sharedOwners() {
  const generationOf = (generation: number) => ({ generation, claimedBy: () => 0 });
  const confirms: PromiseWithResolvers<SharedGeneration>[] = [];
  const sharing: { active: SharedGeneration | null; confirm(): Promise<SharedGeneration> } = {
    active: generationOf(1),
    confirm: () => {
      confirms.push(Promise.withResolvers());
      return confirms.at(-1)!.promise;
    },
  };
  const owners = new Owners({
    partitioner: Partitioner.Murmur2,
    partitions: PARTITIONS,
    log: { isAvailable: false, isClaimed: true, standsBy: null },
    sharing,
    clock: systemClock,
  });
  /** Each look-up's generation is confirmed at once. */
  const confirmAll = () => sharing.confirm = () => Promise.resolve(sharing.active!);
  return { owners, sharing, confirms, confirmAll, generationOf };
}

/** Lets everything happen that needs no time. */
const turns = async () => {
  for (let n = 0; n < 20; n++) await Promise.resolve();
};

/** What a promise gave by now; null = nothing. */
const given = <T>(promise: Promise<T>) => Promise.race([promise, turns().then(() => null)]);

Deno.test("where partitions are shared, what an owner says counts when its generation is confirmed, behind the question", async () => {
  const { owners, sharing, confirms } = sharedOwners();
  owners.set(0, ownerOf(2n));
  const answer = owners.lookUp([itemOf(0)], new AbortController().signal);
  assertEquals([confirms.length, await given(answer)], [1, null]);
  confirms[0]!.resolve(sharing.active!);
  assertEquals([confirms.length, await answer], [1, [2n]]);
});

Deno.test("what was read in a generation does not count when another one is confirmed", async () => {
  const { owners, sharing, confirms, generationOf } = sharedOwners();
  owners.set(0, ownerOf(1n)); // which somebody else may have changed between the two
  const answer = owners.lookUp([itemOf(0)], new AbortController().signal);
  await turns();
  sharing.active = generationOf(3);
  owners.set(0, ownerOf(2n));
  confirms[0]!.resolve(sharing.active);
  assertEquals([await given(answer), confirms.length], [null, 2]);
  confirms[1]!.resolve(sharing.active);
  assertEquals(await answer, [2n]);
});

Deno.test("while the group is joined, an item is read once a generation is confirmed", async () => {
  const { owners, sharing, confirms, generationOf } = sharedOwners();
  sharing.active = null;
  let asked = 0;
  owners.set(0, { ...ownerOf(0n), lookUp: () => Promise.resolve([BigInt(++asked)]) });
  const answer = owners.lookUp([itemOf(0)], new AbortController().signal);
  await turns();
  assertEquals(asked, 0);
  sharing.active = generationOf(2);
  confirms[0]!.resolve(sharing.active);
  assertEquals([await answer, confirms.length], [[1n], 1]);
});

Deno.test("an owner that another one has followed while it was asked has not answered", async () => {
  const { owners, confirmAll } = sharedOwners();
  confirmAll();
  const { promise, resolve } = Promise.withResolvers<(bigint | null)[]>();
  owners.set(0, { ...ownerOf(0n), lookUp: () => promise });
  const answer = owners.lookUp([itemOf(0)], new AbortController().signal);
  await turns();
  owners.set(0, ownerOf(2n));
  resolve([1n]);
  assertEquals(await answer, [2n]);
});

Deno.test("a partition that is not claimed in the generation is not read", async () => {
  const { owners, sharing, confirmAll, generationOf } = sharedOwners();
  confirmAll();
  sharing.active = { generation: 2, claimedBy: () => null };
  owners.set(0, ownerOf(1n)); // of the generation before
  const stop = new AbortController();
  const answer = owners.lookUp([itemOf(0)], stop.signal);
  assertEquals(await given(answer), null);
  sharing.active = generationOf(3);
  owners.set(0, ownerOf(3n));
  assertEquals(await answer, [3n]);
});

Deno.test("a partition that another worker has claimed in the generation is not read where it was; a late release takes nothing", async () => {
  const { owners, sharing, confirmAll } = sharedOwners();
  confirmAll();
  owners.set(0, ownerOf(1n), 0);
  // Worker 0 hangs since the generation before, in which the partition went elsewhere; it comes back to worker 1.
  sharing.active = { generation: 3, claimedBy: () => 1 };
  const { signal } = new AbortController();
  const answer = owners.lookUp([itemOf(0)], signal);
  assertEquals(await given(answer), null);
  owners.set(0, ownerOf(3n), 1);
  assertEquals(await answer, [3n]);
  owners.set(0, null, 0);
  assertEquals(await owners.lookUp([itemOf(0)], signal), [3n]);
});

Deno.test("another process is answered in the generation that it asks in alone", async () => {
  const { owners, sharing, confirms, generationOf } = sharedOwners();
  const { signal } = new AbortController();
  owners.set(0, ownerOf(1n));
  const item = [encodeUtf8(itemOf(0))];
  // It makes sure of the generation itself, and with it of this process.
  assertEquals([await owners.lookUpHere(1, 0, item, signal), confirms.length], [[1n], 0]);
  sharing.active = generationOf(2);
  await assertRejects(() => owners.lookUpHere(1, 0, item, signal), LostError, "Generation 1");
});

Deno.test("items of another process are asked for there, and never here for it", async () => {
  const { owners, confirmAll } = sharedOwners();
  confirmAll();
  const { signal } = new AbortController();
  owners.set(0, ownerOf(1n)); // released a moment later
  owners.setElsewhere(new Map([[0, ownerOf(7n)], [1, ownerOf(8n)]]), 1);
  assertEquals(await owners.lookUp([itemOf(1), itemOf(0)], signal), [8n, 7n]);
  assertEquals(owners.allReady, true);
  await assertRejects(
    () => owners.lookUpHere(1, 0, [encodeUtf8(itemOf(0))], signal),
    UnavailableError,
    "Another process has partition 0",
  );
  owners.setElsewhere(new Map(), null);
  assertEquals(owners.allReady, false);
});

Deno.test("a look-up that waits for another process ends at once with its signal", async () => {
  const { owners } = sharedOwners();
  const hanging = { ...ownerOf(0n), lookUp: () => new Promise<never>(() => {}) };
  owners.setElsewhere(new Map([[0, hanging]]), 1);
  const stop = new AbortController();
  const answer = owners.lookUp([itemOf(0)], stop.signal);
  await turns();
  stop.abort();
  await assertRejects(() => answer, LostError, "given up");
});

Deno.test("items of a process that cannot be asked are refused over HTTP with the reason, and waited for by queries", async () => {
  const { owners, confirmAll } = sharedOwners();
  confirmAll();
  let unreachable: string | null = null;
  const elsewhere = {
    ...ownerOf(0n),
    get unreachable() {
      return unreachable;
    },
    lookUp: () => Promise.reject(new LostError("No connection")),
  };
  owners.setElsewhere(new Map([[0, elsewhere]]), 1);
  const { signal } = new AbortController();
  const posted = owners.lookUp([itemOf(0)], signal, false);
  const queried = owners.lookUp([itemOf(0)], signal);
  await turns();
  unreachable = "10.0.0.9:8080 does not answer";
  await assertRejects(() => posted, UnavailableError, unreachable);
  owners.setElsewhere(new Map([[0, ownerOf(7n)]]), 1);
  assertEquals(await queried, [7n]);
});
