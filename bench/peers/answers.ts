// What the engines answered, as it is visible in their topics.

import { decodeBatch, type LogRecord } from "../../src/types/mod.ts";
import { CommittedReader } from "../committed_reader.ts";
import type { Measured } from "./machine.ts";
import { sleep } from "./measure.ts";
import { type Answers, type Digest, RecordSum } from "./record_sum.ts";
import type { EngineName, Work } from "./works.ts";

/** What an engine answered over the input that is the same for all. */
export interface ComparedAnswers extends Measured {
  readonly work: Work;
  readonly engine: EngineName;
  readonly answers: Answers;
}

const LOOK_MS = 50;
const SILENT_MS_MAX = 60_000;

/**
 * Reads a topic under read_committed, each partition in its order, until so many records are visible; what there is
 * if no more come for a minute. Whatever is visible then is read, so more than were expected show too.
 */
export async function readVisible(
  bootstrap: string,
  topic: string,
  expected: number,
  onRecord: (record: LogRecord) => void,
): Promise<void> {
  let records = 0;
  let at = performance.now();
  const reader = await CommittedReader.open(bootstrap, topic, (batch) => {
    for (const record of decodeBatch(batch)) {
      onRecord(record);
      records++;
    }
    at = performance.now();
  }, "earliest");
  try {
    while (records < expected && performance.now() - at < SILENT_MS_MAX) {
      await Promise.race([sleep(LOOK_MS), reader.done]);
    }
    // What was on its way with the last ones.
    for (let before = -1; before < records;) {
      before = records;
      await sleep(4 * LOOK_MS);
    }
  } finally {
    await reader.close();
  }
}

/** The digest of a topic, once so many records are visible. */
export async function digestOf(
  bootstrap: string,
  topic: string,
  expected: number,
): Promise<Digest> {
  const sum = new RecordSum();
  await readVisible(bootstrap, topic, expected, (record) => sum.add(record));
  return sum.digest;
}
