import { StopError } from "../log/mod.ts";

/** What an output topic takes, by its settings; can be cloned for another thread. */
export interface OutputLimits {
  /** Bytes of a batch (max.message.bytes); Infinity = not known. */
  readonly batchBytes: number;
  /** How far a timestamp may lie before the broker's clock, in ms; Infinity = any. */
  readonly beforeMs: number;
  /** How far it may lie ahead of it, in ms; Infinity = any. */
  readonly afterMs: number;
  /** A record without key is refused: the topic is compacted. */
  readonly needsKey: boolean;
}

export type Settings = ReadonlyMap<string, string | null>;

export const NO_LIMITS: OutputLimits = {
  batchBytes: Infinity,
  beforeMs: Infinity,
  afterMs: Infinity,
  needsKey: false,
};

/** Smaller batches could not hold a record. */
export const BATCH_BYTES_MIN = 4224;

/** Up to Apache Kafka 3.5 one setting limits both directions. */
const DIFFERENCE = "message.timestamp.difference.max.ms";
const BEFORE = "message.timestamp.before.max.ms";
const AFTER = "message.timestamp.after.max.ms";
/** Brokers have no narrower limit for "any" than int64's largest number. */
const ANY_MS = 2 ** 62;

/** @param settings of the topic; undefined: the job's user may not see them */
export function limitsOf(settings: Settings | undefined): OutputLimits {
  if (!settings) return NO_LIMITS;
  const number = (name: string) => {
    const value = settings.get(name);
    return value ? Number(value) : Infinity;
  };
  const isFree = settings.get("message.timestamp.type") === "LogAppendTime";
  const limit = (name: string) => {
    const ms = Math.min(number(name), number(DIFFERENCE));
    return isFree || ms > ANY_MS ? Infinity : ms;
  };
  return {
    batchBytes: number("max.message.bytes"),
    beforeMs: limit(BEFORE),
    afterMs: limit(AFTER),
    needsKey: settings.get("cleanup.policy")?.includes("compact") ?? false,
  };
}

/** Whether a topic is known to keep its batches as they were written, until retention removes them. */
export function keepsBatches({ needsKey, batchBytes }: OutputLimits): boolean {
  return !needsKey && batchBytes < Infinity; // else its settings are not known
}

/** @throws {StopError} when a topic takes batches that hold no record */
export function checkBatchBytes(topic: string, { batchBytes }: OutputLimits): void {
  if (batchBytes >= BATCH_BYTES_MIN) return;
  throw new StopError(
    `Topic ${topic} takes batches of ${batchBytes} bytes at the most (max.message.bytes)`,
    `set it to at least ${BATCH_BYTES_MIN}`,
  );
}

/**
 * What an output will refuse of what its input may hold, in words for a warning.
 *
 * @param isDeadLetters its records may be without key
 */
export function warningsOf(
  topic: string,
  own: OutputLimits,
  inputs: readonly OutputLimits[],
  isDeadLetters: boolean,
): string[] {
  const warnings: string[] = [];
  if (own.beforeMs < Infinity) {
    warnings.push(
      `Topic ${topic} refuses timestamps of more than ${own.beforeMs} ms ago (${BEFORE}): older ones are moved ` +
        "to within that limit, and marked by a header",
    );
  }
  if (inputs.some((input) => own.afterMs < input.afterMs)) {
    warnings.push(
      `Topic ${topic} refuses timestamps of more than ${own.afterMs} ms ahead (${AFTER}), which its input ` +
        "takes: later ones are moved to within that limit, and marked by a header",
    );
  }
  if (isDeadLetters && own.needsKey) {
    warnings.push(
      `Topic ${topic} is compacted: dead letters without key get topic-partition-offset as their key; of those ` +
        "with the same key Kafka keeps the last",
    );
  }
  return warnings;
}
