import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Reader, Writer } from "../../../src/kafka/protocol/wire.ts";
import { type JoinedMember, sharePartitions } from "../../../src/kafka/sharing/share_partitions.ts";
import {
  decodeSharing,
  encodeSharing,
  type OwnedPartition,
  type SharingSubscription,
} from "../../../src/kafka/sharing/sharing_subscription.ts";
import {
  readTable,
  type SharingTable,
  watchedBy,
  writeTable,
} from "../../../src/kafka/sharing/sharing_table.ts";

const TRANSACTIONS = "transactions";
const QUERIES = "queries";
const LEADER = lifeOf(0);
const RUNS = { seed: 20261127, numRuns: 100 };

function lifeOf(n: number): string {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
}

/** A process of the group as the test knows it. */
interface Process {
  readonly memberId: string;
  readonly life: string;
  readonly capacity: number;
  /** What it was given last. */
  table: SharingTable | null;
}

function subscriptionOf(process: Process): SharingSubscription {
  const { memberId, life, capacity, table } = process;
  const index = table?.members.findIndex((m) => m.memberId === memberId && m.life === life) ?? -1;
  const partitions = index < 0
    ? []
    : table!.inputs.flatMap(({ topic, owners, since }) =>
      owners.flatMap((owner, partition): OwnedPartition[] =>
        owner === index ? [{ topic, partition, since: since[partition]! }] : []
      )
    );
  const cleared = index < 0 ? [] : table!.lost.filter((slot) => slot.clearedBy === index);
  return {
    life,
    address: `host-${memberId}:8080`,
    capacity,
    slot: index < 0 ? -1 : table!.members[index]!.slot,
    owned: { memberId, confirmed: table?.generation ?? 0, partitions },
    cleared: cleared.map(({ slot, since }) => ({ slot, since })),
    hasCheckpoints: table !== null,
    attempt: capacity,
    shared: { topics: "t,q" },
    table,
  };
}

const joinedOf = (processes: readonly Process[]): JoinedMember[] =>
  processes.map((process) => ({
    memberId: process.memberId,
    subscription: subscriptionOf(process),
  }));

const memberOf = (table: SharingTable, topic: string, partition: number) =>
  table.members[table.inputs.find((input) => input.topic === topic)!.owners[partition]!]?.memberId;

function encoded(table: SharingTable): Uint8Array {
  const w = new Writer();
  writeTable(w, table);
  return w.encoded().buf;
}

function share(
  processes: readonly Process[],
  generation: number,
  partitions: number,
  starting = false,
): SharingTable {
  const inputs = new Map([[TRANSACTIONS, partitions], [QUERIES, Math.ceil(partitions / 2)]]);
  const table = sharePartitions(joinedOf(processes), {
    generation,
    leader: LEADER,
    nonce: 0xfedcba98,
    starting,
    inputs,
  });
  assertEquals(readTable(new Reader(encoded(table))), table);
  return table;
}

/** Everything that must hold of a table, whatever members say. */
function checkTable(table: SharingTable, processes: readonly Process[]): void {
  assertEquals(
    table.members.map(({ memberId }) => memberId),
    processes.map(({ memberId }) => memberId).sort(),
  );
  const total = table.members.reduce((n, { capacity }) => n + capacity, 0);
  for (const { topic, owners } of table.inputs) {
    for (const [index, { capacity }] of table.members.entries()) {
      const part = owners.filter((owner) => owner === index).length;
      const exact = owners.length * capacity / total;
      assert(Math.abs(part - exact) < 1, `${topic}: ${part} of ${exact}`);
    }
    // Each has one owner: there is no other place for one.
    assert(owners.every((owner) => owner >= 0 && owner < table.members.length));
  }
  const slots = table.members.map(({ slot }) => slot);
  const all = [...slots, ...table.lost.map(({ slot }) => slot)];
  assertEquals(new Set(all).size, all.length, "a slot has two uses");
  assert(slots.every((slot) => slot >= 0));
}

/** How many partitions could stay at the most, in a table that is balanced. */
function mostThatStay(before: SharingTable, after: SharingTable, topic: string): number {
  const { owners } = before.inputs.find((input) => input.topic === topic)!;
  const total = after.members.reduce((n, { capacity }) => n + capacity, 0);
  let stay = 0;
  let over = owners.length;
  let wantOneMore = 0;
  for (const { memberId, life, capacity } of after.members) {
    const index = before.members.findIndex((m) => m.memberId === memberId && m.life === life);
    const held = owners.filter((owner) => owner === index).length;
    const part = Math.floor(owners.length * capacity / total);
    over -= part;
    stay += Math.min(held, part);
    if (held > part && owners.length * capacity % total > 0) wantOneMore++;
  }
  return stay + Math.min(over, wantOneMore);
}

/** Steps of a group: a process joins, leaves or is killed, or is started anew under the same member id. */
const histories = fc.record({
  partitions: fc.integer({ min: 1, max: 500 }),
  steps: fc.array(
    fc.record({
      what: fc.constantFrom("join", "join", "leave", "restart"),
      who: fc.nat({ max: 19 }),
      capacity: fc.integer({ min: 1, max: 8 }),
    }),
    { minLength: 1, maxLength: 12 },
  ),
});

Deno.test("partitions are shared within one by capacity, and no more of them move than must", () => {
  fc.assert(
    fc.property(histories, ({ partitions, steps }) => {
      let lives = 1;
      const start = (who: number, capacity: number): Process => ({
        memberId: `member-${who}`,
        life: lifeOf(lives++),
        capacity,
        table: null,
      });
      let processes = [start(0, 1)];
      let before = share(processes, 1, partitions);
      processes[0]!.table = before;
      for (const [n, { what, who, capacity }] of steps.entries()) {
        const others = processes.filter(({ memberId }) => memberId !== `member-${who}`);
        if (what !== "leave") processes = [...others, start(who, capacity)];
        else if (others.length > 0) processes = others;
        const table = share(processes, n + 2, partitions);
        checkTable(table, processes);
        for (const { topic, owners } of table.inputs) {
          const lifeIn = (t: SharingTable, partition: number) =>
            t.members[t.inputs.find((i) => i.topic === topic)!.owners[partition]!]!.life;
          const stayed = owners.filter((_, p) => lifeIn(table, p) === lifeIn(before, p)).length;
          assertEquals(stayed, mostThatStay(before, table, topic), topic);
        }
        assertEquals(share(processes.toReversed(), n + 2, partitions), table, "order of members");
        for (const process of processes) process.table = table;
        before = table;
      }
    }),
    RUNS,
  );
});

Deno.test("since says from which generation on a member has a partition without a break", () => {
  const [a, b]: Process[] = [1, 2].map((n) => ({
    memberId: `m${n}`,
    life: lifeOf(n),
    capacity: 1,
    table: null,
  }));
  a!.table = share([a!], 1, 4);
  const two = share([a!, b!], 2, 4);
  const [{ owners, since }] = two.inputs as [SharingTable["inputs"][0], unknown];
  assertEquals(owners, [0, 0, 1, 1]);
  assertEquals(since, [1, 1, 2, 2]);
  a!.table = b!.table = two;
  assertEquals(share([a!, b!], 3, 4).inputs[0]!.since, [1, 1, 2, 2]);
  assertEquals(share([a!], 4, 4).inputs[0]!.since, [1, 1, 4, 4]);
});

Deno.test("what is owned under another member id counts for nothing, nor do two that are equally new", () => {
  const [a, b]: JoinedMember[] = joinedOf([1, 2].map((n) => ({
    memberId: `m${n}`,
    life: lifeOf(n),
    capacity: 1,
    table: null,
  })));
  const owning = (member: JoinedMember, owned: Partial<SharingSubscription["owned"]>) => ({
    ...member,
    subscription: {
      ...member.subscription,
      owned: {
        memberId: member.memberId,
        confirmed: 5,
        partitions: [0, 1].map((partition) => ({ topic: TRANSACTIONS, partition, since: 3 })),
        ...owned,
      },
    },
  });
  const sinceOf = (...members: JoinedMember[]) =>
    sharePartitions(members, {
      generation: 6,
      leader: LEADER,
      nonce: 1,
      starting: false,
      inputs: new Map([[TRANSACTIONS, 2]]),
    }).inputs[0]!;
  // One that is right, one that was made under an id of before.
  assertEquals(sinceOf(owning(a!, {}), b!).since, [3, 6]);
  assertEquals(sinceOf(owning(a!, { memberId: "m0" }), b!).since, [6, 6]);
  // The newer one wins; equal ones are nobody's, so whoever gets the partition reads its position anew.
  assertEquals(sinceOf(owning(a!, { confirmed: 4 }), owning(b!, {})), {
    topic: TRANSACTIONS,
    owners: [1, 0],
    since: [3, 6],
  });
  assertEquals(sinceOf(owning(a!, {}), owning(b!, {})).since, [6, 6]);
});

Deno.test("a slot that is lost is not given out before its ids are initialised", () => {
  const [a, b, c]: Process[] = [1, 2, 3].map((n) => ({
    memberId: `m${n}`,
    life: lifeOf(n),
    capacity: 1,
    table: null,
  }));
  const first = share([a!, b!], 1, 4);
  assertEquals(first.members.map(({ slot }) => slot), [0, 1]);
  a!.table = b!.table = first;
  // The one with slot 0 is gone, and another comes: even if all that remembers is one table.
  const second = share([b!, c!], 2, 4);
  assertEquals(second.members.map(({ memberId, slot }) => [memberId, slot]), [["m2", 1], [
    "m3",
    2,
  ]]);
  assertEquals(second.lost, [{ slot: 0, since: 2, workers: 1, clearedBy: 0 }]);
  // Whoever is to initialise it has not seen the assignment: it stays lost.
  assertEquals(share([b!, c!], 3, 4).lost.map(({ slot }) => slot), [0]);
  b!.table = c!.table = second;
  const d: Process = { memberId: "m4", life: lifeOf(4), capacity: 1, table: null };
  const third = share([b!, c!, d], 3, 4);
  assertEquals(third.lost, []);
  assertEquals(third.members.at(-1), {
    memberId: "m4",
    life: lifeOf(4),
    address: "host-m4:8080",
    capacity: 1,
    slot: 0,
  });
});

Deno.test("a slot that two members say they have is lost for both", () => {
  const processes: Process[] = [1, 2].map((n) => ({
    memberId: `m${n}`,
    life: lifeOf(n),
    capacity: 1,
    table: null,
  }));
  const joined = joinedOf(processes).map((member) => ({
    ...member,
    subscription: { ...member.subscription, slot: 0 },
  }));
  const table = sharePartitions(joined, {
    generation: 9,
    leader: LEADER,
    nonce: 1,
    starting: false,
    inputs: new Map([[TRANSACTIONS, 2]]),
  });
  assertEquals(table.members.map(({ slot }) => slot), [1, 2]);
  assertEquals(table.lost.map(({ slot }) => slot), [0]);
});

Deno.test("while a group starts nothing is assigned", () => {
  const a: Process = { memberId: "m1", life: lifeOf(1), capacity: 1, table: null };
  const table = share([a], 1, 3, true);
  assertEquals(table.state, "starting");
  assertEquals(memberOf(table, TRANSACTIONS, 0), undefined);
  assertEquals(table.inputs[0]!.owners, [-1, -1, -1]);
  assertThrows(() => share([], 1, 3), RangeError, "one member or more");
});

Deno.test("each member of a group is watched by one other", () => {
  const processes: Process[] = [1, 2, 3].map((n) => ({
    memberId: `m${n}`,
    life: lifeOf(n),
    capacity: 1,
    table: null,
  }));
  const table = share(processes, 1, 3);
  assertEquals([0, 1, 2].map((member) => watchedBy(table, member)), [2, 0, 1]);
  assertEquals(watchedBy(share(processes.slice(0, 1), 1, 3), 0), -1);
});

Deno.test("a group of 20 members and 500 partitions is a record of less than 300 KB", () => {
  // Kafka makes member ids of the client id, a dash and a UUID.
  const processes: Process[] = Array.from({ length: 20 }, (_, n) => ({
    memberId: `stockflow-${lifeOf(n)}`,
    life: lifeOf(n),
    capacity: 8,
    table: null,
  }));
  const first = share(processes, 1_000_000, 500);
  for (const process of processes) process.table = first;
  // All partitions have moved long ago: generations are far apart.
  const table = share(processes, 2_000_000, 500);
  const shared = { topics: "x".repeat(500), parametersHash: "y".repeat(64) };
  // The frame of Kafka's consumer protocol: version, topics (with an int32 for each partition), length.
  const frame = 2 + 4 + (2 + TRANSACTIONS.length + 4) + (2 + QUERIES.length + 4) + 4;
  const subscriptions = processes.map((process) =>
    frame + encodeSharing({ ...subscriptionOf(process), shared }).length
  );
  const assignment = frame + 4 * (500 + 250) / 20 + encoded(table).length;
  const bytes = subscriptions.reduce((n, length) => n + length, 20 * assignment);
  assert(bytes < 300_000, `${bytes} bytes`);
});

Deno.test("subscriptions are read as they were written; other bytes are not a subscription", () => {
  const a: Process = { memberId: "m1", life: lifeOf(1), capacity: 3, table: null };
  a.table = share([a, { ...a, memberId: "m2", life: lifeOf(2) }], 7, 9);
  const subscription = { ...subscriptionOf(a), cleared: [{ slot: 4, since: 6 }] };
  const bytes = encodeSharing(subscription);
  assertEquals(decodeSharing(bytes), subscription);
  assertEquals(decodeSharing(encodeSharing({ ...subscription, table: null, address: null })), {
    ...subscription,
    table: null,
    address: null,
  });
  for (let length = 0; length < bytes.length; length++) {
    assertEquals(decodeSharing(bytes.subarray(0, length)), null, `cut at ${length}`);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
      // Neither an error nor endless memory, whatever another program says.
      const found = decodeSharing(random);
      assert(found === null || found.capacity >= 1);
    }),
    RUNS,
  );
});
