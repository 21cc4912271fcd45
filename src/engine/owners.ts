import type { Log } from "../log/mod.ts";
import { type Clock, encodeUtf8, type Partitioner, partitionOf } from "../types/mod.ts";
import { LostError, StandByError, UnavailableError } from "../log/mod.ts";

/** Who knows the stock of a partition's items, in this thread or another. */
export interface ItemOwner {
  /** Whether it has folded what the log held when the partition was taken over. */
  readonly isReady: boolean;
  readonly ready: Promise<void>;
  /** The stocks of items given by the UTF-8 bytes of their ids; null = never seen. */
  lookUp(ids: readonly Uint8Array[]): Promise<(bigint | null)[]>;
}

export interface OwnersOptions {
  readonly partitioner: Partitioner;
  readonly partitions: number;
  /** Whose transactions the owners fold. */
  readonly log: Pick<Log, "isAvailable" | "isClaimed" | "standsBy">;
  readonly clock: Clock;
}

/** How often it is looked whether the log answers again. */
const LOG_LOOK_MS = 50;

/** Finds the owner of each item, for look-ups. */
export class Owners {
  readonly #owners: (ItemOwner | null)[];
  /** Partitions that nobody can claim now, by why. */
  readonly #offline = new Map<number, string>();
  #changed = Promise.withResolvers<void>();

  constructor(readonly options: OwnersOptions) {
    this.#owners = Array.from({ length: options.partitions }, () => null);
  }

  set(partition: number, owner: ItemOwner | null): void {
    this.#owners[partition] = owner;
    this.#offline.delete(partition);
    this.#change();
  }

  /** Nobody can claim a partition now; holds until the next word of its owner. */
  setOffline(partition: number, reason: string): void {
    this.#owners[partition] = null;
    this.#offline.set(partition, reason);
    this.#change();
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Whether every partition that can be claimed has folded what there was when it was taken over. */
  get allReady(): boolean {
    return this.options.log.isClaimed && this.#owners.some((owner) => owner?.isReady) &&
      this.#owners.every((owner, partition) => owner?.isReady || this.#offline.has(partition));
  }

  partitionOf(itemId: string): number {
    return this.partitionOfBytes(encodeUtf8(itemId));
  }

  /** The same of the UTF-8 bytes of an id. */
  partitionOfBytes(id: Uint8Array): number {
    const { partitioner, partitions } = this.options;
    return partitionOf(partitioner, id, partitions);
  }

  /** Whether the owners that are known are those of the log, as far as this process can know. */
  get #areCurrent(): boolean {
    const { log } = this.options;
    return log.isAvailable && log.isClaimed;
  }

  /**
   * The stock of each item; null = never seen. Waits for owners that are not ready (null never means "not
   * ready"), and as long as the log does not answer, or is not claimed again: another process may be the
   * owner meanwhile.
   *
   * @param waits whether a partition that is offline is waited for, too
   * @throws {StandByError} at once when another process is the owner
   * @throws {UnavailableError} at once when a partition is offline, unless that is waited for
   * @throws {LostError} when the signal is aborted meanwhile
   */
  async lookUp(
    itemIds: readonly string[],
    signal: AbortSignal,
    waits = true,
  ): Promise<(bigint | null)[]> {
    while (true) {
      if (this.#areCurrent) {
        const stocks = await this.#stocks(itemIds, signal, waits);
        if (this.#areCurrent) return stocks;
      }
      const { standsBy } = this.options.log;
      if (standsBy) throw new StandByError(standsBy.active);
      if (signal.aborted) throw new LostError("The look-up was given up");
      await this.options.clock.sleep(LOG_LOOK_MS, signal);
    }
  }

  async #stocks(
    itemIds: readonly string[],
    signal: AbortSignal,
    waits: boolean,
  ): Promise<(bigint | null)[]> {
    const stocks: (bigint | null)[] = new Array(itemIds.length).fill(null);
    const ids = itemIds.map((id) => encodeUtf8(id));
    const byPartition = Map.groupBy(ids.keys(), (i) => this.partitionOfBytes(ids[i]!));
    await Promise.all([...byPartition].map(async ([partition, indexes]) => {
      const found = await this.#ask(partition, indexes.map((i) => ids[i]!), signal, waits);
      indexes.forEach((i, k) => stocks[i] = found[k]!);
    }));
    return stocks;
  }

  /** Asks the owner of a partition; if it is gone before it answers, the next one. */
  async #ask(
    partition: number,
    ids: readonly Uint8Array[],
    signal: AbortSignal,
    waits: boolean,
  ): Promise<(bigint | null)[]> {
    while (true) {
      const offline = waits ? undefined : this.#offline.get(partition);
      if (offline !== undefined) {
        throw new UnavailableError(`The item cannot be looked up now: ${offline}`);
      }
      const owner = this.#owners[partition] ?? null;
      if (owner?.isReady) {
        try {
          return await owner.lookUp(ids);
        } catch (error) {
          if (!(error instanceof LostError) || this.#owners[partition] === owner) throw error;
          continue;
        }
      }
      if (signal.aborted) throw new LostError("The look-up was given up");
      const aborted = Promise.withResolvers<void>();
      const giveUp = () => aborted.resolve();
      signal.addEventListener("abort", giveUp);
      await Promise.race([this.#changed.promise, aborted.promise, ...(owner ? [owner.ready] : [])]);
      signal.removeEventListener("abort", giveUp);
    }
  }
}
