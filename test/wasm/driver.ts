// Drives a core the way the partition processor does, and collects what comes out.

import { type Chance, decodeBatch, decodeUtf8, isIntact } from "../../src/types/mod.ts";
import {
  Code,
  Core,
  type CoreOptions,
  type DeadLetter,
  type FoldOptions,
  SEGMENTS,
} from "../../src/wasm/mod.ts";
import { assert, assertEquals } from "@std/assert";
import { FastRandom, seedOfTest } from "../../tools/kit/random.ts";
import type { Counts, ModelOptions } from "../model/model.ts";
import { decodeSegment } from "../model/segments.ts";

/** Parameters of tests that do not care about them. */
export const PLAIN: ModelOptions = {
  format: 0,
  partitioner: 0,
  partition: 0,
  partitions: 1,
  windowMs: 0,
  eventTime: false,
  outOfOrderMs: 60_000,
  maxAheadMs: 86_400_000,
  alertTotalMin: 2,
  alertRateMin: 0.5,
};

export interface Written {
  readonly key: string;
  readonly value: string;
  readonly timestamp: number;
  /** The result of a repetition. */
  readonly duplicate?: true;
}

const random = new FastRandom(seedOfTest());
/** Each core that is tested has a secret of its own. */
const secrets: Chance = () => random.fraction();

/** A core and all that it put out. */
export class Driver {
  readonly results: Written[] = [];
  readonly summaries: Written[] = [];
  readonly deadLetters: DeadLetter[] = [];
  readonly outcomes: number[] = [];
  readonly batches: Uint8Array[] = [];
  core: Core;

  /** Each driver has a secret of its own: nothing that comes out may depend on it. */
  constructor(readonly options: CoreOptions, chance: Chance = secrets) {
    this.core = new Core(options, chance);
  }

  /** Folds a whole batch; returns Done or the code of its refusal. */
  fold(batch: Uint8Array, options: FoldOptions = {}): Code {
    let code = this.core.begin(batch, options);
    if (code < 0) return code;
    while ((code = this.core.run()) > Code.Done && code !== Code.StateFull) {
      if (code === Code.WindowsDue) this.fire(true);
      else if (code === Code.CheckpointFirst) this.onCheckpointFirst();
      this.#collect(false);
    }
    this.#collect(true);
    return code;
  }

  onCheckpointFirst: () => void = () => {
    throw new Error("No checkpoint is being cut");
  };

  fire(emit: boolean): void {
    while (this.core.fire(emit) !== Code.Done) this.#collect(false);
    this.#collect(true);
  }

  idle(): void {
    this.core.idle();
    this.fire(true);
  }

  #collect(seal: boolean): void {
    const output = seal ? this.core.take() : this.core.takeFinished();
    for (
      const [batches, list] of [[output.results, this.results], [
        output.summaries,
        this.summaries,
      ]] as const
    ) {
      for (const batch of batches) {
        assert(isIntact(batch.bytes));
        this.batches.push(batch.bytes);
        const records = decodeBatch(batch.bytes);
        assertEquals(records.length, batch.records);
        records.forEach((record, i) => {
          assertEquals(record.offset, i);
          const duplicate = record.headers.length > 0;
          assertEquals(
            record.headers.map(({ key, value }) => [key, value]),
            duplicate ? [["stockflow.duplicate", null]] : [],
          );
          list.push({
            key: decodeUtf8(record.key!)!,
            value: decodeUtf8(record.value!)!,
            timestamp: record.timestamp,
            ...(duplicate ? { duplicate } : {}),
          });
        });
      }
    }
    this.deadLetters.push(...output.deadLetters);
    this.outcomes.push(...output.outcomes);
  }

  /** Encodes the whole state: cut and all segments at once. */
  checkpoint(published = true): Map<number, Uint8Array> {
    assertEquals(this.core.cut(), Code.Done);
    return this.encodeAll(published);
  }

  encodeAll(published = true): Map<number, Uint8Array> {
    const segments = new Map<number, Uint8Array>();
    for (let next = this.core.encodeNext(); next; next = this.core.encodeNext()) {
      segments.set(next.segment, next.bytes);
    }
    this.core.endCut(published);
    return segments;
  }

  /** A new core with the state of this one as of the checkpoint. */
  static restore(
    options: CoreOptions,
    segments: Map<number, Uint8Array>,
    scalars: Core["state"],
    chance?: Chance,
  ): Driver {
    const driver = new Driver(options, chance);
    driver.core.restoreScalars(scalars);
    for (const [segment, bytes] of segments) driver.core.restoreSegment(segment, bytes);
    assertEquals(driver.core.state, scalars);
    return driver;
  }
}

/** What segments hold, put together. */
export function contents(segments: Map<number, Uint8Array>): {
  stock: Map<string, bigint>;
  unseen: Set<string>;
  windows: Map<bigint, Map<string, Counts>>;
} {
  const stock = new Map<string, bigint>();
  const unseen = new Set<string>();
  const windows = new Map<bigint, Map<string, Counts>>();
  for (const [index, bytes] of segments) {
    assert(index >= 0 && index < SEGMENTS);
    const segment = decodeSegment(bytes);
    for (const [id, quantity] of segment.items) {
      if (quantity === null) unseen.add(id);
      else stock.set(id, quantity);
    }
    for (const [number, items] of segment.windows) {
      const window = windows.get(number) ?? new Map<string, Counts>();
      for (const [id, counts] of items) window.set(id, counts);
      windows.set(number, window);
    }
  }
  return { stock, unseen, windows };
}

/** Restores what is remembered into a new core. */
export function restoreRemembered(
  { core: { remembered } }: Driver,
  header: Uint8Array,
  pieces: readonly Uint8Array[],
): void {
  remembered.restore(header);
  for (const piece of pieces) remembered.restorePiece(piece);
  for (const _slice of remembered.restoreIndex());
}
