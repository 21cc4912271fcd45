import type { Clock } from "../types/mod.ts";
import type { ConditionReporter } from "./conditions.ts";

/** Units in which bytes are shared between threads. */
const UNIT_BYTES = 1024;
/** Share of the bound that is kept for windows, and for tables that grow. */
const RESERVE_SHARE = 1 / 16;
/** What a new item takes at the most: a slot in a table that has just grown, and a stored id. */
const NEW_ITEM_BYTES_MAX = 512;
/** Of the 4 GiB of a partition; the rest is for checkpoints, batches and outputs. */
const PARTITION_BYTES_MAX = 3 * 2 ** 30;
/** Of the bound; from here on it is warned of. */
const WARN_SHARE = 0.8;

/**
 * How much memory the state of all partitions takes, and how much it may (state.bytes.max). Threads share
 * it: each reports its partitions.
 */
export class StateMemory {
  readonly #units: Uint32Array<SharedArrayBuffer>;

  /**
   * @param shared a number of units per partition
   * @param bytesMax bound of the sum
   */
  constructor(readonly shared: SharedArrayBuffer, readonly bytesMax: number) {
    this.#units = new Uint32Array(shared);
  }

  static of(partitions: number, bytesMax: number): StateMemory {
    return new StateMemory(new SharedArrayBuffer(4 * partitions), bytesMax);
  }

  /** Reports what a partition takes now; 0 when it is given up. */
  set(partition: number, bytes: number): void {
    Atomics.store(this.#units, partition, Math.ceil(bytes / UNIT_BYTES));
  }

  /** Bytes that all partitions take. */
  get bytes(): number {
    let sum = 0;
    for (let p = 0; p < this.#units.length; p++) sum += this.#bytesOf(p);
    return sum;
  }

  /**
   * New items that there is room for, whichever partition they belong to; below one: none. A part of the bound
   * is kept for windows.
   */
  get roomForItems(): number {
    const { bytes } = this;
    let largest = 0;
    for (let p = 0; p < this.#units.length; p++) largest = Math.max(largest, this.#bytesOf(p));
    return this.#room(bytes, largest);
  }

  /** The same, of one partition. */
  roomIn(partition: number): number {
    return this.#room(this.bytes, this.#bytesOf(partition));
  }

  #room(all: number, own: number): number {
    const ofSum = this.bytesMax * (1 - RESERVE_SHARE) - all;
    return Math.min(ofSum, PARTITION_BYTES_MAX - own) / NEW_ITEM_BYTES_MAX;
  }

  #bytesOf(partition: number): number {
    return Atomics.load(this.#units, partition) * UNIT_BYTES;
  }

  get isNearlyFull(): boolean {
    return this.bytes >= this.bytesMax * WARN_SHARE;
  }
}

/** How often it is looked at. */
const LOOK_MS = 1000;

/** Reports, until the signal is aborted, that memory is nearly full. */
export async function warnOfMemory(
  memory: StateMemory,
  conditions: ConditionReporter,
  clock: Clock,
  stop: AbortSignal,
): Promise<void> {
  while (!stop.aborted) {
    const { bytes, bytesMax, isNearlyFull } = memory;
    if (isNearlyFull) {
      const reason =
        `the state takes ${bytes} of ${bytesMax} bytes (state.bytes.max), and new items are ` +
        "refused when it is full: raise it, or spread the items over more machines";
      conditions.set("memory", { reason, blocks: "nothing" });
    } else conditions.clear("memory");
    await clock.sleep(LOOK_MS, stop);
  }
}
