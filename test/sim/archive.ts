// What readers of each log see, kept apart from the log itself.

import { type CommittedPosition } from "../../src/log/mod.ts";
import { batchInfo } from "../../src/types/mod.ts";
import type { InputView, PositionOf } from "./auditor.ts";
import type { Broker } from "./broker.ts";
import type { KvFile, Mutation } from "./kv_file.ts";

/** Batches by topic and partition, as `topic/partition`. */
export type Visible = ReadonlyMap<string, readonly Uint8Array[]>;

/** The visible batches of a broker's input. */
export function viewOf(broker: Broker): InputView {
  return {
    batches: (partition, from) => broker.topic(broker.input)[partition]!.visibleFrom(0).slice(from),
  };
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
        positions.push({ partition, ...value as CommittedPosition });
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
