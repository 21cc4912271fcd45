// How the leader of the group shares partitions among its members: a pure function of what they say of themselves.
//
// Balanced: of each topic a member gets its share by capacity, rounded down or up. Sticky: whoever has a partition
// keeps it as far as that allows, so no more partitions move than must. Safe: a partition is nobody's or one
// member's, and what may not be true counts for nothing.

import type { SharingSubscription } from "./sharing_subscription.ts";
import type { LostSlot, SharedInput, SharingMember, SharingTable } from "./sharing_table.ts";

/** A member that has joined the generation. */
export interface JoinedMember {
  readonly memberId: string;
  readonly subscription: SharingSubscription;
}

/** What the leader knows beside what members say. */
export interface Sharing {
  readonly generation: number;
  /** Life of the leader. */
  readonly leader: string;
  readonly nonce: number;
  /** Whether the group begins: then nothing is assigned before its first offsets are committed. */
  readonly starting: boolean;
  /** Partitions by input topic. */
  readonly inputs: ReadonlyMap<string, number>;
}

/**
 * The table of a generation.
 *
 * @param joined all members of the generation
 * @throws {RangeError} when nobody has joined
 */
export function sharePartitions(joined: readonly JoinedMember[], sharing: Sharing): SharingTable {
  if (joined.length === 0) throw new RangeError("A generation has one member or more");
  const { generation, leader, nonce, starting } = sharing;
  const sorted = joined.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const slots = shareSlots(sorted, generation);
  const members = sorted.map(({ memberId, subscription }, index): SharingMember => ({
    memberId,
    life: subscription.life,
    address: subscription.address,
    capacity: subscription.capacity,
    slot: slots.ofMember[index]!,
  }));
  // Parts of all topics so far: who has less gets the next topic's odd partition.
  const given = new Array<number>(members.length).fill(0);
  const inputs = [...sharing.inputs].map(([topic, count]): SharedInput => {
    if (starting) return nobodys(topic, count, generation);
    const input = shareInput(topic, count, sorted, members, given, generation);
    for (const owner of input.owners) given[owner]!++;
    return input;
  });
  const state = starting ? "starting" : "sharing";
  return { state, generation, leader, nonce, members, inputs, lost: slots.lost };
}

function nobodys(topic: string, count: number, generation: number): SharedInput {
  return {
    topic,
    owners: new Array(count).fill(-1),
    since: new Array(count).fill(generation),
  };
}

function shareInput(
  topic: string,
  count: number,
  joined: readonly JoinedMember[],
  members: readonly SharingMember[],
  given: readonly number[],
  generation: number,
): SharedInput {
  const had = ownersBefore(topic, count, joined);
  const held = members.map((_, index) => had.filter((owner) => owner?.index === index).length);
  const shares = sharesByCapacity(count, members, held, given);
  const owners = new Array<number>(count).fill(-1);
  const since = new Array<number>(count).fill(generation);
  const left = [...shares];
  had.forEach((owner, partition) => {
    if (!owner || left[owner.index] === 0) return;
    left[owner.index]!--;
    owners[partition] = owner.index;
    since[partition] = owner.since;
  });
  const takers = left.flatMap((n, index) => new Array<number>(n).fill(index));
  owners.forEach((owner, partition) => {
    if (owner === -1) owners[partition] = takers.shift()!;
  });
  return { topic, owners, since };
}

/** The member that has a partition, and since which generation. */
interface Owner {
  readonly index: number;
  readonly since: number;
}

/**
 * By partition: the member that has it. If several say so, the newest one counts; if two are equally new, none does.
 * What a member owns counts under the member id alone under which the partition was given.
 */
function ownersBefore(
  topic: string,
  count: number,
  joined: readonly JoinedMember[],
): (Owner | null)[] {
  const best = new Array<(Owner & { confirmed: number; alone: boolean }) | null>(count)
    .fill(null);
  joined.forEach(({ memberId, subscription: { owned } }, index) => {
    if (owned.memberId !== memberId) return;
    for (const { topic: of, partition, since } of owned.partitions) {
      if (of !== topic || partition >= count) continue;
      const other = best[partition];
      const { confirmed } = owned;
      const newer = !other || confirmed > other.confirmed ||
        confirmed === other.confirmed && since > other.since;
      if (newer) best[partition] = { index, since, confirmed, alone: true };
      else if (confirmed === other.confirmed && since === other.since && index !== other.index) {
        best[partition] = { ...other, alone: false };
      }
    }
  });
  return best.map((owner) => owner?.alone ? { index: owner.index, since: owner.since } : null);
}

/**
 * How many partitions each member gets: its share by capacity rounded down, and one of those that are left over. They go
 * first to those that have more than their share already, which saves a move, then to those with the fewest so far.
 */
function sharesByCapacity(
  count: number,
  members: readonly SharingMember[],
  held: readonly number[],
  given: readonly number[],
): number[] {
  const total = members.reduce((n, { capacity }) => n + capacity, 0);
  const shares = members.map(({ capacity }) => Math.floor(count * capacity / total));
  const rest = members.map(({ capacity }) => count * capacity % total);
  const over = count - shares.reduce((n, share) => n + share, 0);
  const load = (index: number) => given[index]! / members[index]!.capacity;
  const inOrder = members.map((_, index) => index)
    // Who has a whole number as its share gets no more.
    .filter((index) => rest[index]! > 0)
    .toSorted((a, b) =>
      Number(held[b]! > shares[b]!) - Number(held[a]! > shares[a]!) ||
      load(a) - load(b) || rest[b]! - rest[a]! || a - b
    );
  for (const index of inOrder.slice(0, over)) shares[index]!++;
  return shares;
}

interface Slots {
  readonly ofMember: readonly number[];
  readonly lost: readonly LostSlot[];
}

/**
 * Members keep their slots. Slots of which a table speaks and that no member has are lost: somebody initialises their
 * ids before they are given out again. A slot that two members say they have is lost for both.
 */
function shareSlots(joined: readonly JoinedMember[], generation: number): Slots {
  const tables = joined.flatMap(({ subscription: { table } }) => table ? [table] : []);
  const newest = Math.max(0, ...tables.map((table) => table.generation));
  const holders = new Map<number, number>();
  joined.forEach(({ subscription: { slot } }) => {
    if (slot >= 0) holders.set(slot, (holders.get(slot) ?? 0) + 1);
  });
  const ofMember = joined.map(({ subscription: { slot } }) => holders.get(slot) === 1 ? slot : -1);
  const cleared = new Set(
    joined.flatMap(({ subscription }) => subscription.cleared.map(nameOf)),
  );
  const lost = new Map<number, { since: number; workers: number }>();
  const lose = (slot: number, since: number, workers: number) => {
    if (slot < 0 || ofMember.includes(slot) || cleared.has(nameOf({ slot, since }))) return;
    const known = lost.get(slot) ?? { since, workers };
    lost.set(slot, {
      since: Math.min(since, known.since),
      workers: Math.max(workers, known.workers),
    });
  };
  // A broker may have given a generation out twice: all tables of the newest one count.
  for (const table of tables.filter((t) => t.generation === newest)) {
    for (const { slot, since, workers } of table.lost) lose(slot, since, workers);
    const known = new Set(table.lost.map(({ slot }) => slot));
    for (const { slot, capacity } of table.members) {
      if (!known.has(slot)) lose(slot, generation, capacity);
    }
  }
  joined.forEach(({ subscription: { slot, capacity } }) => {
    if ((holders.get(slot) ?? 0) > 1) lose(slot, generation, capacity);
  });
  let free = 0;
  for (const [index, slot] of ofMember.entries()) {
    if (slot >= 0) continue;
    while (ofMember.includes(free) || lost.has(free)) free++;
    ofMember[index] = free;
  }
  const named = [...lost].toSorted(([a], [b]) => a - b)
    .map(([slot, { since, workers }], n) => ({
      slot,
      since,
      workers,
      clearedBy: n % joined.length,
    }));
  return { ofMember, lost: named };
}

const nameOf = ({ slot, since }: { slot: number; since: number }) => `${slot} ${since}`;
