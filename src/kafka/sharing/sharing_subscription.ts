// What a member says of itself when it joins a group that shares partitions.

import { decodeUtf8, encodeUtf8 } from "../../types/mod.ts";
import { Reader, Writer } from "../protocol/wire.ts";
import {
  readArray,
  readLife,
  readTable,
  type SharingTable,
  writeLife,
  writeTable,
} from "./sharing_table.ts";

/** Partitions that a member has: it folds them, or stands where its last acknowledged commit of them left it. */
export interface OwnedPartitions {
  /** The member id under which they were given: under another one they say nothing. */
  readonly memberId: string;
  /** Newest generation that the coordinator has confirmed to this member. */
  readonly confirmed: number;
  readonly partitions: readonly OwnedPartition[];
}

export interface OwnedPartition {
  readonly topic: string;
  readonly partition: number;
  /** Generation from which on it has had the partition without a break. */
  readonly since: number;
}

/** A slot whose transactional ids were initialised, as the assignment asked for. */
export interface ClearedSlot {
  readonly slot: number;
  /** As in the table that named it: the slot may be lost again later. */
  readonly since: number;
}

export interface SharingSubscription {
  /** UUID of this life of the process. */
  readonly life: string;
  readonly address: string | null;
  /** A whole number from 1 on, such as the number of threads that fold. */
  readonly capacity: number;
  /** Slot that it has; -1 = none. */
  readonly slot: number;
  readonly owned: OwnedPartitions;
  readonly cleared: readonly ClearedSlot[];
  /** Whether it has checkpoints of the log: then the group is not a new one. */
  readonly hasCheckpoints: boolean;
  /** Assignments that it could not take: another number each time, so that the bytes differ. */
  readonly attempt: number;
  /** Settings that all members must share, by name. */
  readonly shared: Readonly<Record<string, string>>;
  /** The table of the last assignment that it was given; null = none yet. */
  readonly table: SharingTable | null;
}

const VERSION = 1;
const CLAIMS_MAX = 100_000;
const CLEARED_MAX = 1000;

/**
 * The subscription's user data. It differs for each life of a process: Kafka gives a member that joins again with the
 * same bytes its old generation, without a rebalance.
 */
export function encodeSharing(subscription: SharingSubscription): Uint8Array {
  const { owned } = subscription;
  const w = new Writer().int8(VERSION);
  writeLife(w, subscription.life);
  w.compactString(subscription.address).varint(subscription.capacity)
    .varint(subscription.slot + 1)
    .compactString(owned.memberId).int32(owned.confirmed);
  const byTopic = Map.groupBy(owned.partitions, (partition) => partition.topic);
  w.compactArray([...byTopic], ([topic, partitions]) => {
    w.compactString(topic);
    w.compactArray(partitions, ({ partition, since }) => {
      w.varint(partition).varint(owned.confirmed - since);
    });
  });
  w.compactArray(subscription.cleared, ({ slot, since }) => w.varint(slot).int32(since));
  w.int8(subscription.hasCheckpoints ? 1 : 0).varint(subscription.attempt);
  const shared = encodeUtf8(JSON.stringify(subscription.shared));
  w.varint(shared.length).bytes(shared);
  w.int8(subscription.table ? 1 : 0);
  if (subscription.table) writeTable(w, subscription.table);
  return Uint8Array.from(w.encoded().buf);
}

/** Null when the bytes are not of a member that shares partitions in this version. */
export function decodeSharing(userData: Uint8Array): SharingSubscription | null {
  try {
    return read(new Reader(userData));
  } catch (error) {
    // Bytes of another program: cut, out of range, or no JSON.
    if (error instanceof RangeError || error instanceof SyntaxError) return null;
    throw error;
  }
}

function read(r: Reader): SharingSubscription | null {
  if (r.int8() !== VERSION) return null;
  const life = readLife(r);
  const address = r.compactString();
  const capacity = r.varint();
  const slot = r.varint() - 1;
  const memberId = r.compactString() ?? "";
  const confirmed = r.int32();
  const partitions = readArray(r, CLAIMS_MAX, () => {
    const topic = r.compactString() ?? "";
    return readArray(
      r,
      CLAIMS_MAX,
      () => ({ topic, partition: r.varint(), since: confirmed - r.varint() }),
    );
  }).flat();
  const cleared = readArray(r, CLEARED_MAX, () => ({ slot: r.varint(), since: r.int32() }));
  const hasCheckpoints = r.int8() === 1;
  const attempt = r.varint();
  const shared = JSON.parse(decodeUtf8(r.bytes(r.varint())) ?? "");
  const table = r.int8() === 1 ? readTable(r) : null;
  if (capacity < 1) return null;
  return {
    life,
    address,
    capacity,
    slot,
    owned: { memberId, confirmed, partitions },
    cleared,
    hasCheckpoints,
    attempt,
    shared,
    table,
  };
}
