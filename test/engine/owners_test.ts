import { assertEquals, assertRejects } from "@std/assert";
import { type ItemOwner, Owners } from "../../src/engine/owners.ts";
import { LostError, UnavailableError } from "../../src/log/mod.ts";
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

/** Owners of a log that processes share; what is confirmed is said by the test. */
function sharedOwners() {
  const asked: number[] = [];
  const answers: PromiseWithResolvers<boolean>[] = [];
  const confirm = (partition: number) => {
    asked.push(partition);
    answers.push(Promise.withResolvers());
    return answers.at(-1)!.promise;
  };
  const owners = new Owners({
    partitioner: Partitioner.Murmur2,
    partitions: PARTITIONS,
    log: { isAvailable: false, isClaimed: true, standsBy: null },
    sharing: { confirm },
    clock: systemClock,
  });
  return { owners, asked, answers };
}

/** Lets everything happen that needs no time. */
const turns = async () => {
  for (let n = 0; n < 20; n++) await Promise.resolve();
};

Deno.test("where partitions are shared, the state is read when it is confirmed, behind the question, that the owner still is one", async () => {
  const { owners, asked, answers } = sharedOwners();
  let stock = 1n;
  const owner = { ...ownerOf(0n), lookUp: () => Promise.resolve([stock]) };
  owners.set(0, owner);
  const answer = owners.lookUp([itemOf(0)], new AbortController().signal);
  await turns();
  assertEquals(asked, [0]);
  stock = 2n;
  answers[0]!.resolve(true);
  assertEquals(await answer, [2n]);
});

Deno.test("an owner that another one has followed while it was confirmed is not asked", async () => {
  const { owners, answers } = sharedOwners();
  owners.set(0, ownerOf(1n));
  const answer = owners.lookUp([itemOf(0)], new AbortController().signal);
  await turns();
  owners.set(0, ownerOf(2n));
  answers[0]!.resolve(true);
  await turns();
  assertEquals(answers.length, 2);
  answers[1]!.resolve(true);
  assertEquals(await answer, [2n]);
});

Deno.test("items of another process are asked for there, and never here for it", async () => {
  const { owners, asked } = sharedOwners();
  const { signal } = new AbortController();
  owners.set(0, ownerOf(1n)); // released a moment later
  owners.setElsewhere(new Map([[0, ownerOf(7n)], [1, ownerOf(8n)]]));
  assertEquals(await owners.lookUp([itemOf(1), itemOf(0)], signal), [8n, 7n]);
  assertEquals([asked, owners.allReady], [[], true]);
  await assertRejects(
    () => owners.lookUpHere(0, [encodeUtf8(itemOf(0))], signal),
    UnavailableError,
    "Another process has partition 0",
  );
  owners.setElsewhere(new Map());
  assertEquals(owners.allReady, false);
});

Deno.test("a look-up that waits for another process ends at once with its signal", async () => {
  const { owners } = sharedOwners();
  const hanging = { ...ownerOf(0n), lookUp: () => new Promise<never>(() => {}) };
  owners.setElsewhere(new Map([[0, hanging]]));
  const stop = new AbortController();
  const answer = owners.lookUp([itemOf(0)], stop.signal);
  await turns();
  stop.abort();
  await assertRejects(() => answer, LostError, "given up");
});

Deno.test("items of a process that cannot be asked are refused over HTTP with the reason, and waited for by queries", async () => {
  const { owners } = sharedOwners();
  let unreachable: string | null = null;
  const elsewhere = {
    ...ownerOf(0n),
    get unreachable() {
      return unreachable;
    },
    lookUp: () => Promise.reject(new LostError("No connection")),
  };
  owners.setElsewhere(new Map([[0, elsewhere]]));
  const { signal } = new AbortController();
  const posted = owners.lookUp([itemOf(0)], signal, false);
  const queried = owners.lookUp([itemOf(0)], signal);
  await turns();
  unreachable = "10.0.0.9:8080 does not answer";
  await assertRejects(() => posted, UnavailableError, unreachable);
  owners.setElsewhere(new Map([[0, ownerOf(7n)]]));
  assertEquals(await queried, [7n]);
});
