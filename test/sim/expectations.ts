// What must stand in the outputs, by the model: extended with every commit, in the order of commits.

import { DEAD_LETTER_HEADERS, ORIGINAL_HEADERS } from "../../src/engine/dead_letters.ts";
import {
  type Codec,
  codecOf,
  decodeBatch,
  decodeUtf8,
  type LogRecord,
  reasonName,
} from "../../src/types/mod.ts";
import type { Model } from "../model/model.ts";
import { RetryAudit } from "./retries.ts";
import type { Promised, Sim } from "./sim.ts";

export interface OutputNames {
  readonly results: string;
  readonly summaries: string;
  readonly deadLetters: string;
}

interface Counts {
  readonly results: number;
  readonly summaries: number;
  readonly deadLetters: number;
}

/** Records of one commit by topic and partition, as text. */
export interface ExpectedOutput {
  add(partition: number, model: Model, before: Counts): void;
  readonly byTopic: ReadonlyMap<string, readonly string[]>;
}

export class Expectations {
  readonly #codec: Codec;
  readonly #retries: RetryAudit;
  /** The input's invalid records by partition and offset, to recognise them among the dead letters. */
  readonly #records = new Map<string, LogRecord>();

  constructor(
    readonly sim: Sim,
    readonly topics: OutputNames,
    readonly sidePartitions: number,
    /** Whether a topic has more partitions than at first. */
    readonly hasGrown: (topic: string) => boolean,
  ) {
    this.#codec = codecOf(sim.plan.core.format);
    this.#retries = new RetryAudit(sim, topics.results);
  }

  onInvalid(partition: number, record: LogRecord): void {
    this.#records.set(`${partition}/${record.offset}`, record);
  }

  countsOf({ results, summaries, deadLetters }: Model): Counts {
    return {
      results: results.length,
      summaries: summaries.length,
      deadLetters: deadLetters.length,
    };
  }

  begin(): ExpectedOutput {
    const byTopic = new Map<string, string[]>();
    const put = (topic: string, partition: number, lines: string[]) => {
      if (lines.length === 0) return;
      const key = `${topic}/${partition}`;
      byTopic.set(key, [...byTopic.get(key) ?? [], ...lines]);
    };
    return {
      byTopic,
      add: (partition, model, before) => {
        const { results, summaries, deadLetters } = this.topics;
        const side = partition % this.sidePartitions;
        put(
          results,
          partition,
          model.results.slice(before.results).map((r) =>
            `${r.key} ${r.value} ${r.timestamp}${r.duplicate ? " duplicate" : ""}`
          ),
        );
        put(
          summaries,
          side,
          model.summaries.slice(before.summaries).map(({ summary, timestamp }) =>
            `${summary.itemId} ${this.#codec.formatSummary(summary)} ${timestamp}`
          ),
        );
        put(
          deadLetters,
          side,
          model.deadLetters.slice(before.deadLetters).map(({ offset, reason, timestamp }) => {
            const { key, value } = this.#records.get(`${partition}/${offset}`)!;
            return `${partition}@${offset} ${reasonName(reason)} ${timestamp} ${key} ${value}`;
          }),
        );
      },
    };
  }

  /** What a record of an output topic says, in the words of the expected output. */
  #shown(topic: string, record: LogRecord): string {
    const { value, headers } = record;
    const original = (name: string) => headers.findLast((h) => h.key === name);
    // An output that refuses a record gets it in another form, which names what it had.
    const moved = original(ORIGINAL_HEADERS.timestamp);
    const timestamp = moved ? decodeUtf8(moved.value!) : record.timestamp;
    const key = original(ORIGINAL_HEADERS.key) ? null : record.key;
    if (topic !== this.topics.deadLetters) {
      const duplicate = original("stockflow.duplicate") ? " duplicate" : "";
      return `${decodeUtf8(key!)} ${decodeUtf8(value!)} ${timestamp}${duplicate}`;
    }
    const values = new Map(headers.map((h) => [h.key, h.value && decodeUtf8(h.value)]));
    const { partition, offset, reason } = DEAD_LETTER_HEADERS;
    return `${values.get(partition)}@${values.get(offset)} ${
      values.get(reason)
    } ${timestamp} ${key} ${value}`;
  }

  /** Fails unless the batches that became visible with a commit are those expected. */
  compare(
    expected: ExpectedOutput,
    visible: ReadonlyMap<string, readonly Uint8Array[]>,
  ): void {
    for (const [name, batches] of visible) this.#retries.look(name, batches);
    const names = new Set([...expected.byTopic.keys(), ...visible.keys()]);
    // Of a topic that has grown it is not known which number of partitions a commit went by.
    const together = (name: string) => {
      const topic = name.slice(0, name.lastIndexOf("/"));
      return this.hasGrown(topic) ? [...names].filter((n) => n.startsWith(`${topic}/`)) : [name];
    };
    const done = new Set<string>();
    for (const name of names) {
      if (done.has(name)) continue;
      const topic = name.slice(0, name.lastIndexOf("/"));
      const same = together(name);
      for (const other of same) done.add(other);
      const found = same.flatMap((n) => visible.get(n) ?? []).flatMap((b) => decodeBatch(b))
        .map((record) => this.#shown(topic, record));
      const wanted = same.flatMap((n) => expected.byTopic.get(n) ?? []);
      const summaries = topic === this.topics.summaries;
      // The items of a window have no order among each other.
      if (summaries || same.length > 1) { for (const list of [found, wanted]) list.sort(); }
      // Partitions that share one for dead letters have no order among each other.
      if (topic === this.topics.deadLetters) {
        for (const list of [found, wanted]) list.sort((a, b) => parseInt(a) - parseInt(b));
      }
      const promise: Promised = summaries ? "P9" : "P2";
      const at = wanted.findIndex((line, i) => line !== found[i]);
      if (at < 0 && found.length === wanted.length) continue;
      const i = at < 0 ? wanted.length : at;
      this.sim.violate(
        promise,
        `${name}: ${found.length} records became visible, ${wanted.length} were to; ` +
          `number ${i} is ${show(found[i])}, not ${show(wanted[i])}`,
      );
    }
  }
}

function show(line: string | undefined): string {
  return line === undefined ? "missing" : JSON.stringify(line.slice(0, 120));
}
