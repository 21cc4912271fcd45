import {
  decodeRecord,
  encodeUtf8,
  type Header,
  type LogRecord,
  type NewRecord,
  type Reason,
  reasonName,
  recordBytes,
} from "../types/mod.ts";
import type { DeadLetter } from "../wasm/mod.ts";

/** Headers that say where a dead letter comes from. */
export const DEAD_LETTER_HEADERS = {
  topic: "stockflow.topic",
  partition: "stockflow.partition",
  offset: "stockflow.offset",
  timestamp: "stockflow.timestamp",
  reason: "stockflow.reason",
} as const;

/** Headers that name what a record had, where the output did not take all of it. */
export const ORIGINAL_HEADERS = {
  /** Its value was cut: the length of the whole. */
  length: "stockflow.original.length",
  /** Its key was cut: the length of the whole. */
  keyLength: "stockflow.original.key.length",
  /** Headers were left out: how many there were. */
  headers: "stockflow.original.headers",
  /** It got a key: the one that it had, null = none. */
  key: "stockflow.original.key",
  /** Its timestamp was moved: the one that it had. */
  timestamp: "stockflow.original.timestamp",
} as const;

/** Where the record of a dead letter stands. */
export interface DeadLetterPlace {
  readonly topic: string;
  readonly partition: number;
}

/** Bytes of a batch that are not its records', and a little more. */
const BATCH_OVERHEAD_BYTES = 100;

/** Bytes of a dead letter at the most, in a log that takes batches of a size. */
export function letterBytesMax(
  { batchBytesMax, deadLetterBytesMax = batchBytesMax }: {
    readonly batchBytesMax: number;
    readonly deadLetterBytesMax?: number;
  },
): number {
  return deadLetterBytesMax - BATCH_OVERHEAD_BYTES;
}

/** What is said of an invalid record. */
export interface DeadLetterFacts {
  readonly reason: Reason;
  readonly offset: bigint;
  readonly timestamp: bigint;
}

/** The record that goes to the dead-letter topic for one that the core found invalid. */
export function deadLetterRecord(
  letter: DeadLetter,
  place: DeadLetterPlace,
  maxBytes: number,
): NewRecord {
  const { record } = decodeRecord(letter.record, 0, { offset: 0, timestamp: 0 });
  return deadLetterOf(record, letter, place, maxBytes);
}

/**
 * The record that goes to the dead-letter topic: key, value and headers as they came, and where they
 * came from. What is too large is cut.
 *
 * @param maxBytes largest record that the topic takes
 */
export function deadLetterOf(
  { key, value, headers }: Pick<LogRecord, "key" | "value" | "headers">,
  { reason, offset, timestamp }: DeadLetterFacts,
  place: DeadLetterPlace,
  maxBytes: number,
): NewRecord {
  const provenance = [
    header(DEAD_LETTER_HEADERS.topic, place.topic),
    header(DEAD_LETTER_HEADERS.partition, place.partition),
    header(DEAD_LETTER_HEADERS.offset, offset),
    header(DEAD_LETTER_HEADERS.timestamp, timestamp),
    header(DEAD_LETTER_HEADERS.reason, reasonName(reason)),
  ];
  const whole = { timestamp: Number(timestamp), key, value, headers: [...headers, ...provenance] };
  return cutLetter(whole, maxBytes);
}

/** A varint of a length may take so many bytes more than that of 0; one each for record, key, value, headers. */
const VARINTS_MAX = 4 * 4;

/**
 * A dead letter within a size: its headers of provenance stay, its key takes half of the room at the most,
 * and its value and its own headers share what is left: of the headers those that fit into half of it, or
 * into what the value leaves. Every cut is named by a header.
 *
 * @param maxBytes largest record that the topic takes
 */
export function cutLetter(whole: NewRecord, maxBytes: number): NewRecord {
  if (recordBytes(whole) <= maxBytes) return whole;
  const { key, value, headers = [] } = whole;
  // A record that was a dead letter before has these headers twice; the last ones are of this one.
  const behind = headers.findLastIndex((h) => h.key === DEAD_LETTER_HEADERS.topic);
  const own = headers.slice(0, Math.max(0, behind));
  const provenance = headers.slice(Math.max(0, behind));
  const marks = [
    header(ORIGINAL_HEADERS.length, value?.length ?? 0),
    header(ORIGINAL_HEADERS.keyLength, key?.length ?? 0),
    header(ORIGINAL_HEADERS.headers, own.length),
  ] as const;
  const bare = { ...whole, key: null, value: null, headers: [...provenance, ...marks] };
  const room = Math.max(0, maxBytes - recordBytes(bare) - VARINTS_MAX);
  const keptKey = key && key.subarray(0, Math.floor(room / 2));
  const left = room - (keptKey?.length ?? 0);
  let forHeaders = Math.max(Math.floor(left / 2), left - (value?.length ?? 0));
  const keptHeaders = own.filter((h) => {
    const bytes = recordBytes({ ...EMPTY, headers: [h] });
    if (bytes > forHeaders) return false;
    forHeaders -= bytes;
    return true;
  });
  const taken = keptHeaders.reduce((n, h) => n + recordBytes({ ...EMPTY, headers: [h] }), 0);
  const keptValue = value && value.subarray(0, left - taken);
  const isCut = [
    keptValue?.length !== value?.length,
    keptKey?.length !== key?.length,
    keptHeaders.length < own.length,
  ];
  const cuts = marks.filter((_, i) => isCut[i]);
  return {
    ...whole,
    key: keptKey,
    value: keptValue,
    headers: [...keptHeaders, ...provenance, ...cuts],
  };
}

const EMPTY: NewRecord = { timestamp: 0, key: null, value: null };

/** A header whose value is a text. */
export function header(key: string, value: string | number | bigint): Header {
  return { key, value: encodeUtf8(String(value)) };
}
