// What a run left, compared with a computation from the input log: results, summaries, dead letters, answers
// to queries, and the state in the last checkpoints.

import { codecOf, encodeBatch, encodeUtf8, Format, setBaseOffset } from "../../src/types/mod.ts";
import type { CheckpointStore } from "../../src/state/mod.ts";
import { Model } from "../model/model.ts";
import { newestCheckpoint, openStore, stateHashOf } from "../system/evidence.ts";
import { TOPICS } from "../../tools/kit/job_process.ts";
import { witness, type WitnessedRecord } from "../kafka/witness.ts";

export interface Verdict {
  readonly inputs: number;
  /** Results and dead letters: what became of the inputs. */
  readonly results: number;
  /** Results, dead letters, summaries or answers that are missing. */
  readonly lost: number;
  /** Those too many, and those that differ from what the input log gives. */
  readonly doubled: number;
  readonly stateHashEqual: boolean;
  readonly summaries: number;
  readonly deadLetters: number;
  readonly queries: number;
  /** What the first differences are, for whoever has to find the reason. */
  readonly differences: readonly string[];
}

export function verdictLine(v: Verdict): string {
  return `${v.inputs} inputs, ${v.results} results, ${v.lost} lost, ${v.doubled} doubled, state hash ${
    v.stateHashEqual ? "equal" : "DIFFERENT"
  }`;
}

/** What else was compared. */
export function detailLine(v: Verdict): string {
  return `among them ${v.deadLetters} dead letters; ${v.summaries} summaries, ${v.queries} queries`;
}

export function isGood(v: Verdict): boolean {
  return v.inputs > 0 && v.lost + v.doubled === 0 && v.stateHashEqual;
}

type Records = WitnessedRecord[][];

const RECORDS_PER_BATCH = 1000;

/**
 * @param folder the data folder of the process that stopped last
 * @param open opens the checkpoints
 */
export async function compare(
  bootstrap: string,
  folder: string,
  open: (folder: string) => Promise<CheckpointStore> = openStore,
): Promise<Verdict> {
  const [inputs, results, summaries, letters, answers, queries] = await Promise.all(
    ([
      "transaction.input.topic",
      "transaction.output.topic",
      "summary.output.topic",
      "deadletter.topic",
      "query.output.topic",
      "query.input.topic",
    ] as const)
      .map((key) => witness(bootstrap, TOPICS[key])),
  ) as [Records, Records, Records, Records, Records, Records];
  const v = { inputs: 0, results: 0, lost: 0, doubled: 0, summaries: 0, deadLetters: 0 };
  const differences: string[] = [];
  const count = (what: string, found: readonly string[], expected: readonly string[]) => {
    v.lost += Math.max(0, expected.length - found.length);
    v.doubled += Math.max(0, found.length - expected.length);
    const length = Math.min(found.length, expected.length);
    let differing = 0;
    for (let i = 0; i < length; i++) {
      if (found[i] === expected[i]) continue;
      if (differing++ === 0) {
        differences.push(`${what}: number ${i} is "${found[i]}", not "${expected[i]}"`);
      }
    }
    v.doubled += differing;
    if (found.length !== expected.length) {
      differences.push(`${what}: ${found.length}, not ${expected.length}`);
    }
  };
  let stateHashEqual = true;
  const codec = codecOf(Format.Text);
  const store = await open(folder);
  for (const [partition, records] of inputs.entries()) {
    // The options are those of the checkpoint: what the job folded with.
    const { options, stateHash, offset } = await newestCheckpoint(store, partition);
    const model = new Model(options);
    for (const record of records) {
      const { timestamp, value } = record;
      model.fold({
        offset: record.offset,
        timestamp,
        value: value === null ? null : encodeUtf8(value),
      });
    }
    v.inputs += records.length;
    count(
      `results of partition ${partition}`,
      results[partition]!.map(line),
      model.results.map(line),
    );
    const expected = model.summaries.map((s) => codec.formatSummary(s.summary)).toSorted();
    count(
      `summaries of partition ${partition}`,
      summaries[partition]!.map((r) => r.value!).toSorted(),
      expected,
    );
    v.summaries += expected.length;
    const offsets = letters[partition]!.map((r) => String(r.headers["stockflow.offset"]));
    count(
      `dead letters of partition ${partition}`,
      offsets,
      model.deadLetters.map((d) => String(d.offset)),
    );
    v.deadLetters += offsets.length;
    v.results += results[partition]!.length + offsets.length;
    if (stateHashOf(options, batchesOf(records)) !== stateHash) {
      stateHashEqual = false;
      differences.push(
        `state of partition ${partition}: checkpoint at ${offset}, log ends at ${
          records.at(-1)?.offset
        }`,
      );
    }
  }
  store.close();
  const idsOf = (records: Records) =>
    records.flat().map((r) => r.value!.split(/[\t ]/)[0]!).toSorted();
  count("answers", idsOf(answers), idsOf(queries));
  return { ...v, stateHashEqual, queries: answers.flat().length, differences };
}

/** The records of a partition, which follow each other without a gap, in batches. */
function batchesOf(records: readonly WitnessedRecord[]): Uint8Array[] {
  const batches: Uint8Array[] = [];
  for (let at = 0; at < records.length; at += RECORDS_PER_BATCH) {
    const some = records.slice(at, at + RECORDS_PER_BATCH);
    if (some.some(({ offset }, i) => offset !== some[0]!.offset + i)) {
      throw new Error(`The input has a gap behind offset ${some[0]!.offset}`);
    }
    const batch = encodeBatch(
      some.map(({ timestamp, value }) => ({
        timestamp,
        key: null,
        value: value === null ? null : encodeUtf8(value),
      })),
    );
    setBaseOffset(batch, some[0]!.offset);
    batches.push(batch);
  }
  return batches;
}

function line(
  { key, value, timestamp }: { key: string | null; value: string | null; timestamp: number },
) {
  return `${timestamp} ${key} ${value}`;
}
