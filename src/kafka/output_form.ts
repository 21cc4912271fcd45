// The form in which output topics take records. A record that its topic would refuse goes out in the
// nearest form that it takes: the timestamp moved to within the topic's limits, a key where one is needed,
// a dead letter cut, a batch split. Each change of a record is marked by a header.

import { LostError, RefusedError, StopError } from "../log/mod.ts";
import {
  cutLetter,
  DEAD_LETTER_HEADERS,
  header,
  ORIGINAL_HEADERS,
} from "../engine/dead_letters.ts";
import {
  BATCH_HEADER_BYTES,
  batchInfo,
  decodeBatch,
  decodeUtf8,
  encodeUtf8,
  type LogRecord,
  type NewRecord,
  recordBytes,
  splitIntoBatches,
} from "../types/mod.ts";
import {
  isStamped,
  minTimestamp,
  type Producer,
  recordsOf,
  sequenceBehind,
  sequenceOf,
  stamp,
} from "./batches.ts";
import { ErrorCode } from "./client/errors.ts";
import { NO_LIMITS, type OutputLimits } from "./output_limits.ts";

/** Kept from a limit of timestamps: clocks differ, and batches take their time. */
const MARGIN_MS = 60_000;
/** The same beyond the present, when a timestamp of now was refused. */
const SKEW_MS = 10_000;
/** Without the right to see a topic's settings: its largest batch, once one was refused; Kafka's default. */
const UNKNOWN_BATCH_BYTES = 1_048_588;
/** So often in a row a topic may refuse what was made to fit before that counts as a refusal for good. */
const TRIES_MAX = 3;

/** Refusals that another form of the records may end. */
const BY_FORM: readonly number[] = [
  ErrorCode.MessageTooLarge,
  ErrorCode.RecordListTooLarge,
  ErrorCode.InvalidTimestamp,
  ErrorCode.InvalidRecord,
];

/** A producer's error for what an output topic refused. */
export class OutputRefusedError extends Error {
  override readonly name = "OutputRefusedError";

  constructor(readonly refusal: Refusal) {
    super(refusal.message);
  }
}

/** What an output topic refused. */
export interface Refusal {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  /** In the words of the broker. */
  readonly message: string;
}

export class OutputForm {
  #limits: Readonly<Record<string, OutputLimits>> = {};
  /** How often a topic refused something, by topic and error code. */
  readonly #refusals = new Map<string, number>();
  /** The same since the last commit. */
  readonly #inARow = new Map<string, number>();

  /** @param deadLetters the topic whose records may be cut, and get keys */
  constructor(readonly deadLetters: string | null) {}

  /** Takes the limits as they were read last. */
  use(limits: Readonly<Record<string, OutputLimits>>): void {
    this.#limits = limits;
  }

  onCommitted(): void {
    this.#inARow.clear();
  }

  #refused(topic: string, errorCode: number): number {
    return this.#refusals.get(`${topic} ${errorCode}`) ?? 0;
  }

  /** The error for a refusal: the recovery path helps where the records go out in another form then. */
  onRefusal({ topic, partition, errorCode, message }: Refusal, of: string): Error {
    const text =
      `Topic ${topic} refuses records of partition ${partition}, outputs of ${of}: ${message}`;
    if (!BY_FORM.includes(errorCode)) return new RefusedError(text);
    const kind = `${topic} ${errorCode}`;
    for (const counts of [this.#refusals, this.#inARow]) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    if (this.#inARow.get(kind)! > TRIES_MAX) return new RefusedError(text);
    return new LostError(`${text}; its limits are read again, and they go out in another form`);
  }

  /** What a topic takes, by its settings and by what it refused. */
  #of(topic: string): OutputLimits {
    const known = this.#limits[topic] ?? NO_LIMITS;
    const tooLarge = this.#refused(topic, ErrorCode.MessageTooLarge);
    const keyless = this.#refused(topic, ErrorCode.InvalidRecord);
    if (tooLarge + keyless === 0) return known;
    const isHidden = known.batchBytes === Infinity && tooLarge > 0;
    return {
      ...known,
      batchBytes: isHidden ? UNKNOWN_BATCH_BYTES / 4 ** (tooLarge - 1) : known.batchBytes,
      needsKey: known.needsKey || topic === this.deadLetters && keyless > 0,
    };
  }

  /**
   * Batches as their topic takes them; those that it takes as they are stay so.
   *
   * @param now ms since the epoch
   * @throws {StopError} when a record has no form that the topic takes
   */
  fit(
    topic: string,
    partition: number,
    batches: readonly Uint8Array[],
    producer: Producer,
    now: number,
  ): readonly Uint8Array[] {
    const limits = this.#of(topic);
    const window = windowOf(limits, this.#refused(topic, ErrorCode.InvalidTimestamp), now);
    if (batches.every((batch) => this.#isFit(topic, batch, limits, window))) return batches;
    return batches.flatMap((batch) =>
      this.#isFit(topic, batch, limits, window)
        ? [batch]
        : this.#reform(`${topic}-${partition}`, topic, batch, producer, limits, window)
    );
  }

  #isFit(topic: string, batch: Uint8Array, limits: OutputLimits, { earliest, latest }: Window) {
    if (batch.length > limits.batchBytes || batchInfo(batch).maxTimestamp > latest) return false;
    if (limits.needsKey && topic === this.deadLetters) return false;
    return earliest === -Infinity || minTimestamp(batch) >= earliest;
  }

  #reform(
    where: string,
    topic: string,
    batch: Uint8Array,
    producer: Producer,
    limits: OutputLimits,
    window: Window,
  ): Uint8Array[] {
    const isLetters = topic === this.deadLetters;
    const room = limits.batchBytes - BATCH_HEADER_BYTES;
    const records = decodeBatch(batch).map((record) => {
      const keyed = isLetters && limits.needsKey && record.key === null ? withKey(record) : record;
      const moved = withinWindow(keyed, window);
      if (recordBytes(moved) <= room) return moved;
      if (isLetters) return cutLetter(moved, room);
      throw new StopError(
        `Topic ${where} takes batches of ${limits.batchBytes} bytes at the most (max.message.bytes); a record ` +
          `of ${recordBytes(moved)} bytes with the key ${
            decodeUtf8(record.key ?? new Uint8Array())
          } does not fit`,
        `set max.message.bytes of ${topic} to what it was`,
      );
    });
    const parts = splitIntoBatches(records, limits.batchBytes);
    if (!isStamped(batch, producer)) return parts;
    // Its sequence numbers are given already: the parts share them.
    let sequence = sequenceOf(batch);
    for (const part of parts) {
      stamp(part, producer, sequence);
      sequence = sequenceBehind(sequence, recordsOf(part));
    }
    return parts;
  }
}

/** The timestamps that a record may have. */
interface Window {
  readonly earliest: number;
  readonly latest: number;
}

/**
 * The timestamps that a topic takes. Before it refused one, all: its broker's clock decides, and the job's own
 * may be wrong. Then by its settings and the job's clock, with a margin that grows with the refusals: first so
 * much inside the limits, then the present, then a little on the other side of it.
 */
export function windowOf(
  { beforeMs, afterMs }: Pick<OutputLimits, "beforeMs" | "afterMs">,
  refusals: number,
  now: number,
): Window {
  if (refusals === 0) return { earliest: -Infinity, latest: Infinity };
  // Where it is not known what the topic takes, the present is the likeliest.
  if (beforeMs === Infinity && afterMs === Infinity) return { earliest: now, latest: now };
  const margin = (own: number, other: number) => {
    if (refusals === 1) return Math.min(MARGIN_MS, Math.ceil(own / 2));
    return refusals === 2 ? own : own + Math.min(SKEW_MS, Math.floor(other / 2));
  };
  const earliest = beforeMs === Infinity ? -Infinity : now - beforeMs + margin(beforeMs, afterMs);
  const latest = afterMs === Infinity ? Infinity : now + afterMs - margin(afterMs, beforeMs);
  return { earliest, latest: Math.max(earliest, latest) };
}

function withinWindow(record: NewRecord, { earliest, latest }: Window): NewRecord {
  const { timestamp, headers = [] } = record;
  if (timestamp >= earliest && timestamp <= latest) return record;
  const moved = timestamp < earliest ? earliest : latest;
  const original = header(ORIGINAL_HEADERS.timestamp, timestamp);
  return { ...record, timestamp: moved, headers: [...headers, original] };
}

/** A dead letter with topic-partition-offset of its origin as its key. */
function withKey(record: LogRecord): LogRecord {
  const valueOf = (name: string) => {
    const value = record.headers.findLast((h) => h.key === name)?.value;
    return value ? decodeUtf8(value) : "";
  };
  const { topic, partition, offset } = DEAD_LETTER_HEADERS;
  const key = encodeUtf8(`${valueOf(topic)}-${valueOf(partition)}-${valueOf(offset)}`);
  const original = { key: ORIGINAL_HEADERS.key, value: null };
  return { ...record, key, headers: [...record.headers, original] };
}
