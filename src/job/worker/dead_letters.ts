import {
  decodeRecord,
  encodeUtf8,
  type Header,
  type LogRecord,
  type NewRecord,
  type Reason,
  reasonName,
  recordBytesMax,
} from "../../types/mod.ts";
import type { DeadLetter } from "../../wasm/mod.ts";

/** Headers that tell where a dead letter comes from. */
export const DEAD_LETTER_HEADERS = {
  topic: "stockflow.topic",
  partition: "stockflow.partition",
  offset: "stockflow.offset",
  timestamp: "stockflow.timestamp",
  reason: "stockflow.reason",
  /** Only if the value was cut: its length. */
  originalLength: "stockflow.original.length",
} as const;

export interface DeadLetterSource {
  readonly topic: string;
  readonly partition: number;
}

/** What is told of an invalid record. */
export interface DeadLetterFacts {
  readonly reason: Reason;
  readonly offset: bigint;
  readonly timestamp: bigint;
}

/** The record that goes to the dead-letter topic for one that the core found invalid. */
export function deadLetterRecord(
  letter: DeadLetter,
  source: DeadLetterSource,
  maxBytes: number,
): NewRecord {
  const { record } = decodeRecord(letter.record, 0, { offset: 0, timestamp: 0 });
  return deadLetterOf(record, letter, source, maxBytes);
}

/**
 * The record that goes to the dead-letter topic: key, value and headers as they came, and where they
 * came from. A value that is too large is cut.
 *
 * @param maxBytes largest record that the topic takes
 */
export function deadLetterOf(
  { key, value, headers }: Pick<LogRecord, "key" | "value" | "headers">,
  { reason, offset, timestamp }: DeadLetterFacts,
  source: DeadLetterSource,
  maxBytes: number,
): NewRecord {
  const provenance: Header[] = [
    header(DEAD_LETTER_HEADERS.topic, source.topic),
    header(DEAD_LETTER_HEADERS.partition, source.partition),
    header(DEAD_LETTER_HEADERS.offset, offset),
    header(DEAD_LETTER_HEADERS.timestamp, timestamp),
    header(DEAD_LETTER_HEADERS.reason, reasonName(reason)),
  ];
  const whole = { timestamp: Number(timestamp), key, value, headers: [...headers, ...provenance] };
  if (recordBytesMax(whole) <= maxBytes) return whole;
  provenance.push(header(DEAD_LETTER_HEADERS.originalLength, value?.length ?? 0));
  const bare = { timestamp: whole.timestamp, key: null, value: null, headers: provenance };
  let room = maxBytes - recordBytesMax(bare);
  const keptKey = key && key.subarray(0, room);
  room -= keptKey?.length ?? 0;
  return { ...bare, key: keptKey, value: value && value.subarray(0, room) };
}

function header(key: string, value: string | number | bigint): Header {
  return { key, value: encodeUtf8(String(value)) };
}
