// What readers of each log see, kept apart from the log itself.

import { positionOf, type StoredPosition } from "../../src/log/embedded_topics.ts";
import { emptyBatch } from "../../src/kafka/batches.ts";
import { batchInfo } from "../../src/types/mod.ts";
import type { InputView, PositionOf } from "./auditor.ts";
import { type Broker, type BrokerPartition, isVisible } from "./broker.ts";
import type { KvFile, Mutation } from "./kv_file.ts";

/** Batches by topic and partition, as `topic/partition`. */
export type Visible = ReadonlyMap<string, readonly Uint8Array[]>;

/**
 * The visible batches of a broker's input.
 *
 * @param withEmpty what readers skip shows as batches without records, as src/kafka reads it
 */
export function viewOf(broker: Broker, withEmpty: boolean): InputView {
  const views = broker.topic(broker.input).map((tp) => new PartitionView(tp, withEmpty));
  return { batches: (partition, from) => views[partition]!.from(from) };
}

/** Grows with the log: what lies below the last stable offset changes no more. */
class PartitionView {
  readonly #batches: Uint8Array[] = [];
  #seen = 0;

  constructor(readonly tp: BrokerPartition, readonly withEmpty: boolean) {}

  from(n: number): readonly Uint8Array[] {
    const { stable } = this.tp;
    for (; this.#seen < stable; this.#seen++) {
      const entry = this.tp.entries[this.#seen]!;
      if (isVisible(entry)) this.#batches.push(entry.bytes!);
      else if (this.withEmpty) this.#batches.push(emptyBatch(entry.base, entry.last));
    }
    return this.#batches.slice(n);
  }
}

/** Everything that ever became visible in an embedded log, taken from its KV file commit by commit. */
export class EmbeddedArchive implements InputView {
  readonly #batches = new Map<string, Uint8Array[]>();
  readonly #ends = new Map<string, number>();

  constructor(readonly file: KvFile, readonly inputTopic: string) {}

  batches(partition: number, from: number): readonly Uint8Array[] {
    return this.of(`${this.inputTopic}/${partition}`).slice(from);
  }

  of(name: string): readonly Uint8Array[] {
    return this.#batches.get(name) ?? [];
  }

  endOf(name: string): number {
    return this.#ends.get(name) ?? 0;
  }

  get names(): string[] {
    return [...this.#batches.keys()];
  }

  /** Takes what an atomic commit made visible; returns it, and the positions of the input in it. */
  take(mutations: readonly Mutation[]): { positions: PositionOf[]; visible: Visible } {
    const positions: PositionOf[] = [];
    const visible = new Map<string, Uint8Array[]>();
    for (const { key, value } of mutations) {
      const [kind, topic, partition] = key as [string, string, number];
      if (kind === "committed" && topic === this.inputTopic) {
        positions.push({ partition, ...positionOf(value as StoredPosition) });
      }
      if (kind !== "end") continue;
      const name = `${topic}/${partition}`;
      const batches = this.#takeUpTo(name, topic, partition, value as number);
      if (topic !== this.inputTopic) visible.set(name, batches);
    }
    return { positions, visible };
  }

  #takeUpTo(name: string, topic: string, partition: number, end: number): Uint8Array[] {
    let at = this.#ends.get(name) ?? 0;
    const taken: Uint8Array[] = [];
    while (at < end) {
      const entry = this.file.get(["batch", topic, partition, at]);
      if (!entry) throw new Error(`The log has no batch at ${name}@${at}, below its end ${end}`);
      const batch = (entry.value as Uint8Array).slice();
      taken.push(batch);
      at = batchInfo(batch).lastOffset + 1;
    }
    this.#ends.set(name, end);
    this.#batches.set(name, [...this.of(name), ...taken]);
    return taken;
  }
}
