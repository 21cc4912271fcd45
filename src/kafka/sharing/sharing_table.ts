// Who has which partition, as the leader of the group says it with every assignment, and as members repeat it when
// they join: a leader may be new, and the one before may be gone together with others.
//
// The whole group is one record of __consumer_offsets, with a subscription and an assignment for each member, and
// a group whose record is too large rebalances for ever. So the table is binary: about 4 bytes for a partition.

import { Reader, Writer } from "../protocol/wire.ts";

/** A process that is in the group. */
export interface SharingMember {
  readonly memberId: string;
  /** Identifies one life of a process: a UUID. */
  readonly life: string;
  /** host:port where others ask it; null = nowhere. */
  readonly address: string | null;
  /** Number of its workers, in proportion to which partitions are shared; from 1 on. */
  readonly capacity: number;
  /** Number in its transactional ids; -1 = it has none yet, for those that are free must be cleared first. */
  readonly slot: number;
}

/** Partitions of one input topic, by their number. */
export interface SharedInput {
  readonly topic: string;
  /** Index of the member that has it; -1 = nobody. */
  readonly owners: readonly number[];
  /** Generation from which on that member has had it without a break. */
  readonly since: readonly number[];
}

/** Transactional ids of a member that is gone: a transaction of theirs may still be open. */
export interface LostSlot {
  readonly slot: number;
  /** Generation in which it was found lost. */
  readonly since: number;
  /** How many workers wrote with its ids. */
  readonly workers: number;
  /** Index of the member that initialises its ids, which ends what is open; then the slot is free. */
  readonly clearedBy: number;
}

export interface SharingTable {
  /** starting: nothing is assigned; the leader alone commits the first offsets, then all join again. */
  readonly state: "starting" | "sharing";
  readonly generation: number;
  /** Life of the leader that made it. */
  readonly leader: string;
  /** Random: a broker that is killed at the wrong moment gives the same generation out twice. */
  readonly nonce: number;
  readonly members: readonly SharingMember[];
  readonly inputs: readonly SharedInput[];
  readonly lost: readonly LostSlot[];
}

/** Version of the layout, the first byte. */
const VERSION = 1;
const STATES = ["starting", "sharing"] as const;
const LIFE_BYTES = 16;
/** Ranges of what is read: a table of another program must not fill the memory. */
const MEMBERS_MAX = 1000;
const PARTITIONS_MAX = 100_000;

/** @throws {RangeError} when a life is not a UUID */
export function writeTable(w: Writer, table: SharingTable): void {
  w.int8(VERSION).int8(STATES.indexOf(table.state)).int32(table.generation);
  writeLife(w, table.leader);
  w.int32(table.nonce | 0);
  w.compactArray(table.members, (member) => {
    w.compactString(member.memberId);
    writeLife(w, member.life);
    w.compactString(member.address).varint(member.capacity).varint(member.slot + 1);
  });
  w.compactArray(table.inputs, ({ topic, owners, since }) => {
    w.compactString(topic).varint(owners.length + 1);
    owners.forEach((owner, partition) => {
      // Generations of owners are near to that of the table.
      w.varint(owner + 1).varint(table.generation - since[partition]!);
    });
  });
  w.compactArray(table.lost, ({ slot, since, workers, clearedBy }) => {
    w.varint(slot).varint(table.generation - since).varint(workers).varint(clearedBy + 1);
  });
}

/** @throws {RangeError} when it is not a table of this version */
export function readTable(r: Reader): SharingTable {
  const version = r.int8();
  if (version !== VERSION) throw new RangeError(`Tables of version ${version} are not known`);
  const state = STATES[r.int8()];
  if (!state) throw new RangeError("The table's state is not known");
  const generation = r.int32();
  const leader = readLife(r);
  const nonce = r.int32() >>> 0;
  const members = readArray(r, MEMBERS_MAX, () => ({
    memberId: r.compactString() ?? "",
    life: readLife(r),
    address: r.compactString(),
    capacity: r.varint(),
    slot: r.varint() - 1,
  }));
  const inputs = readArray(r, MEMBERS_MAX, () => {
    const topic = r.compactString() ?? "";
    const owners: number[] = [];
    const since: number[] = [];
    readArray(r, PARTITIONS_MAX, () => {
      owners.push(indexIn(members, r.varint() - 1));
      since.push(generation - r.varint());
    });
    return { topic, owners, since };
  });
  const lost = readArray(r, MEMBERS_MAX, () => ({
    slot: r.varint(),
    since: generation - r.varint(),
    workers: r.varint(),
    clearedBy: indexIn(members, r.varint() - 1),
  }));
  return { state, generation, leader, nonce, members, inputs, lost };
}

/** @throws {RangeError} when there are more than `max` */
export function readArray<T>(r: Reader, max: number, read: () => T): T[] {
  const count = r.varint() - 1;
  if (count < 0 || count > max) throw new RangeError(`${count} entries, of ${max} at the most`);
  return Array.from({ length: count }, read);
}

function indexIn(members: readonly unknown[], index: number): number {
  if (index >= members.length) throw new RangeError(`Member ${index} of ${members.length}`);
  return index;
}

/** A UUID as its 16 bytes. @throws {RangeError} when it is not one */
export function writeLife(w: Writer, life: string): void {
  const hex = life.replaceAll("-", "");
  if (!/^[0-9a-f]{32}$/.test(hex)) throw new RangeError(`A life must be a UUID, not ${life}`);
  w.bytes(
    Uint8Array.from({ length: LIFE_BYTES }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16)),
  );
}

export function readLife(r: Reader): string {
  const hex = [...r.bytes(LIFE_BYTES)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Index of the member that watches over another one: a ring, so each is watched by one other. -1 if it is alone. */
export function watchedBy(table: SharingTable, member: number): number {
  const { length } = table.members;
  return length < 2 ? -1 : (member + length - 1) % length;
}
