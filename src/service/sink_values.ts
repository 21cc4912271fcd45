// The values that a sink in the process is given, out of the batches of its topic.

import { getLogger } from "@logtape/logtape";
import { DamagedBatchError } from "../log/mod.ts";
import { batchInfo, decodeBatch, decodeUtf8, InvalidRecordError, isIntact } from "../types/mod.ts";

const log = getLogger(["stockflow", "sink"]);

/** Values that stand one behind the other in a partition. */
export interface Run {
  readonly offset: number;
  readonly values: unknown[];
}

/** Whose values they are. */
interface Reader {
  /** Of the sink. */
  readonly name: string;
  readonly topic: string;
  /** @throws {InvalidRecordError} when it is not a value of the stream */
  readonly parse: (value: string) => unknown;
}

/**
 * The values of a batch from an offset on; what cannot be read is logged, and leaves a gap.
 *
 * @throws {DamagedBatchError} when the batch is not as it was written
 */
export function runsOf(
  batch: Uint8Array,
  partition: number,
  from: number,
  { name, topic, parse }: Reader,
): Run[] {
  if (!isIntact(batch)) {
    const where = `${topic}-${partition} at offset ${batchInfo(batch).baseOffset}`;
    throw new DamagedBatchError(
      where,
      `The log is damaged: sink ${name} cannot read ${where}: its CRC is wrong`,
      "restore the log from a copy; skipping the batch would lose what the sink is to be given",
    );
  }
  const runs: Run[] = [];
  for (const { offset, value } of decodeBatch(batch)) {
    if (offset < from) continue;
    const parsed = valueOf(value, parse);
    if (parsed === null) {
      log.error("Sink {name}: a record of {topic} cannot be read, and is left out: {offset}", {
        name,
        topic,
        offset: `${partition} at ${offset}`,
      });
      continue;
    }
    const last = runs.at(-1);
    if (last && last.offset + last.values.length === offset) last.values.push(parsed.value);
    else runs.push({ offset, values: [parsed.value] });
  }
  return runs;
}

/** Null: it is not a value of the stream; somebody else has written it. */
function valueOf(
  value: Uint8Array | null,
  parse: Reader["parse"],
): { readonly value: unknown } | null {
  const text = value && decodeUtf8(value);
  if (text === null) return null;
  try {
    return { value: parse(text) };
  } catch (error) {
    if (error instanceof InvalidRecordError) return null;
    throw error;
  }
}
