// Records that are in another partition than their items belong to. A few are a client's fault, and go to the
// dead letters. Many mean that transaction.partitioner is set wrongly: going on would turn valid transactions away.

import {
  type Codec,
  decodeRecord,
  encodeUtf8,
  isSameBytes,
  type ItemTransaction,
  type Partitioner,
  partitionOf,
  Reason,
} from "../types/mod.ts";
import { getLogger } from "@logtape/logtape";
import { PARTITIONERS } from "../state/mod.ts";
import { type DeadLetter, OUTCOME_INVALID } from "../wasm/mod.ts";
import { StopError } from "../log/mod.ts";

const log = getLogger(["stockflow", "job"]);

/** A line, which may be held back, says what the first so many have in common. */
const LOOKED_AT_MAX = 20;

/** A partition stops when more than this many ... */
export const STRAYS_MAX = 100;
/** ... of this many offsets in a row are stray; its first records are not an exception. */
export const STRAY_RANGE = 1000;

/**
 * The offsets of the last stray records of a partition. They are part of its state, so that a restart counts on
 * as if nothing had happened.
 */
export class StrayRecords {
  #offsets: number[];

  /** @param offsets of a checkpoint, in their order */
  constructor(offsets: readonly number[] = []) {
    this.#offsets = [...offsets];
  }

  /** In their order; those that can still count. */
  get offsets(): readonly number[] {
    return this.#offsets;
  }

  /**
   * Counts one more, behind all others.
   *
   * @returns whether too many were stray lately
   */
  add(offset: number): boolean {
    this.#offsets = this.#offsets.filter((before) => before > offset - STRAY_RANGE);
    this.#offsets.push(offset);
    const tooMany = this.#offsets.length > STRAYS_MAX;
    this.#offsets = this.#offsets.slice(-STRAYS_MAX);
    return tooMany;
  }
}

/** What is known of the partition that stray records are in. */
export interface StrayPlace {
  readonly topic: string;
  readonly codec: Codec;
  readonly partitioner: Partitioner;
  readonly partition: number;
  /** Partitions of the topic. */
  readonly partitions: number;
}

/** Reports the stray records of a partition, and stops the job over too many of them. */
export class StrayGuard {
  readonly #records: StrayRecords;

  /**
   * @param stops whether many of them stop the job
   * @param offsets of stray records, from a checkpoint
   */
  constructor(readonly place: StrayPlace, readonly stops: boolean, offsets: readonly number[]) {
    this.#records = new StrayRecords(offsets);
  }

  /** What a checkpoint keeps; see StrayRecords. */
  get offsets(): readonly number[] {
    return this.#records.offsets;
  }

  /**
   * Takes note of stray records that were folded just now, in the order of their offsets.
   *
   * @param isFirst whether nothing of the partition was committed before: then one is too many
   * @throws {StopError} when there are too many
   */
  check(letters: readonly DeadLetter[], isFirst: boolean): void {
    if (letters.length === 0) return;
    for (const { offset } of this.stops ? letters : []) {
      const tooMany = this.#records.add(Number(offset));
      if (isFirst || tooMany) throw this.#stop(letters, Number(offset), isFirst);
    }
    const { topic, partition } = this.place;
    log.error(
      "{count} records of {topic}-{partition} from offset {offset} on belong to other partitions by " +
        "transaction.partitioner, and are dead letters: {fits}",
      {
        count: letters.length,
        topic,
        partition,
        offset: Number(letters[0]!.offset),
        fits: whatFits(letters.slice(0, LOOKED_AT_MAX), this.place),
      },
    );
  }

  /** Takes note of those that are folded again, by the outcomes of the records from an offset on. */
  replayed(outcomes: Uint8Array, first: number): void {
    for (let i = outcomes.indexOf(STRAY); i >= 0; i = outcomes.indexOf(STRAY, i + 1)) {
      this.#records.add(first + i);
    }
  }

  #stop(letters: readonly DeadLetter[], offset: number, isFirst: boolean): StopError {
    const { topic, partition } = this.place;
    const where = `${topic}-${partition}`;
    const fits = whatFits(letters, this.place);
    const again = "another kafka.group.id and an empty file for the state";
    return isFirst
      ? new StopError(
        `The record at offset ${offset} of ${where} belongs to another partition by its item: ${fits}`,
        "set transaction.partitioner to what the producers use: all records of an item must be in one " +
          "partition; if this one is a client's mistake, start with wrong.partition=deadletter",
      )
      : new StopError(
        `More than ${STRAYS_MAX} of the ${STRAY_RANGE} records of ${where} up to offset ${offset} belong to ` +
          `other partitions by their items: ${fits}`,
        `set transaction.partitioner to what the producers use, and start with ${again}, since those before ` +
          "went to the dead letters; if it is the producers that are wrong, start with wrong.partition=deadletter",
      );
  }
}

/** The outcome of a stray record. */
const STRAY = OUTCOME_INVALID | Reason.WrongPartition;

/**
 * What stray records of one partition have in common, for people to read: another partitioner that puts all of
 * them where they are, or keys that are not their items.
 */
export function whatFits(letters: readonly DeadLetter[], place: StrayPlace): string {
  const records = letters.map(({ record }) =>
    decodeRecord(record, 0, { offset: 0, timestamp: 0 }).record
  );
  const ids = records.map(({ value }) => itemIdOf(value, place.codec));
  const items = ids.filter((id): id is Uint8Array => id !== null);
  const keys = records.map(({ key }) => key);
  for (const [name, kind] of Object.entries(PARTITIONERS)) {
    if (kind === PARTITIONERS.none || kind === place.partitioner) continue;
    const fits = items.every((id) => partitionOf(kind, id, place.partitions) === place.partition);
    if (items.length > 0 && fits) return `transaction.partitioner=${name} fits`;
  }
  if (keys.every((key) => key === null)) return "they have no key";
  const isItem = (key: Uint8Array | null, id: Uint8Array | null) =>
    key !== null && id !== null && isSameBytes(key, id);
  if (!keys.every((key, i) => isItem(key, ids[i]!))) return "their keys are not their items";
  return "no partitioner that is known here fits";
}

function itemIdOf(value: Uint8Array | null, codec: Codec): Uint8Array | null {
  let transaction: ItemTransaction;
  try {
    transaction = codec.parseTransactionBytes(value!);
  } catch {
    return null; // cut, as one that was too large is
  }
  return encodeUtf8(transaction.itemId);
}
