import { encodeUtf8, type Partitioner, partitionOf } from "../types/mod.ts";
import { LostError } from "./errors.ts";
import type { PartitionProcessor } from "./partition_processor.ts";

/** A partition's processor, and when it has folded what the log held when it was taken over. */
export class Owner {
  readonly #ready = Promise.withResolvers<void>();
  isReady = false;

  constructor(readonly processor: PartitionProcessor) {}

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  setReady(): void {
    this.isReady = true;
    this.#ready.resolve();
  }
}

/** Finds the owner of each item, for look-ups. */
export class Owners {
  readonly #owners: (Owner | null)[];
  #changed = Promise.withResolvers<void>();

  constructor(readonly partitioner: Partitioner, readonly partitions: number) {
    this.#owners = Array.from({ length: partitions }, () => null);
  }

  set(partition: number, owner: Owner | null): void {
    this.#owners[partition] = owner;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  get(partition: number): Owner | null {
    return this.#owners[partition] ?? null;
  }

  /** Whether every partition has folded what there was when it was taken over. */
  get allReady(): boolean {
    return this.#owners.every((owner) => owner?.isReady);
  }

  partitionOf(itemId: string): number {
    return partitionOf(this.partitioner, encodeUtf8(itemId), this.partitions);
  }

  /**
   * The stock of each item; null = never seen. Waits for owners that are not ready: null never means
   * "not ready".
   *
   * @throws {LostError} when the signal is aborted meanwhile
   */
  async lookUp(itemIds: readonly string[], signal: AbortSignal): Promise<(bigint | null)[]> {
    const stocks: (bigint | null)[] = new Array(itemIds.length).fill(null);
    const ids = itemIds.map((id) => encodeUtf8(id));
    const byPartition = Map.groupBy(
      ids.keys(),
      (i) => partitionOf(this.partitioner, ids[i]!, this.partitions),
    );
    for (const [partition, indexes] of byPartition) {
      const { processor } = await this.#readyOwner(partition, signal);
      const found = processor.core.lookUp(indexes.map((i) => ids[i]!));
      indexes.forEach((i, k) => stocks[i] = found[k]!);
    }
    return stocks;
  }

  async #readyOwner(partition: number, signal: AbortSignal): Promise<Owner> {
    while (true) {
      const owner = this.#owners[partition] ?? null;
      if (owner?.isReady) return owner;
      if (signal.aborted) throw new LostError("The look-up was given up");
      const aborted = Promise.withResolvers<void>();
      const giveUp = () => aborted.resolve();
      signal.addEventListener("abort", giveUp);
      await Promise.race([this.#changed.promise, aborted.promise, ...(owner ? [owner.ready] : [])]);
      signal.removeEventListener("abort", giveUp);
    }
  }
}
