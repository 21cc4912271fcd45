import type { Log, SharedGeneration, Sharing } from "../log/mod.ts";
import { type Clock, encodeUtf8, type Partitioner, partitionOf } from "../types/mod.ts";
import { LostError, StandByError, UnavailableError } from "../log/mod.ts";
import { orAborted } from "./waiters.ts";

/** Who knows the stock of a partition's items, in this thread or another. */
export interface ItemOwner {
  /** Whether it has folded what the log held when the partition was taken over. */
  readonly isReady: boolean;
  readonly ready: Promise<void>;
  /** The stocks of items given by the UTF-8 bytes of their ids; null = never seen. */
  lookUp(ids: readonly Uint8Array[]): Promise<(bigint | null)[]>;
  /** Why it could not be asked for longer than a moment; null = it can be. Owners in this process always can. */
  readonly unreachable?: string | null;
}

export interface OwnersOptions {
  readonly partitioner: Partitioner;
  readonly partitions: number;
  /** Whose transactions the owners fold. */
  readonly log: Pick<Log, "isAvailable" | "isClaimed" | "standsBy">;
  /** How the log's partitions are shared with other processes; null = they are not. */
  readonly sharing?: Pick<Sharing, "active" | "confirm"> | null;
  readonly clock: Clock;
}

/** How often it is looked whether the log answers again. */
const LOG_LOOK_MS = 50;

/** How the owner of a partition is asked. */
interface Asking {
  /** Whether a partition that is offline is waited for, too, and a process that cannot be asked. */
  readonly waits: boolean;
  /** Whether no other process is asked. */
  readonly isHere: boolean;
  /** Where partitions are shared: the generation whose owners are asked. */
  readonly active: SharedGeneration | null;
}

/** Finds the owner of each item, for look-ups. */
export class Owners {
  /** Owners in this process, by partition, each with the worker that has it. */
  readonly #here: ({ readonly owner: ItemOwner; readonly worker: number } | null)[];
  /** Owners in other processes, by partition. */
  #elsewhere: ReadonlyMap<number, ItemOwner> = new Map();
  /** The generation in which they have them. */
  #elsewhereIn: number | null = null;
  /** Partitions that nobody can claim now, by why. */
  readonly #offline = new Map<number, string>();
  #changed = Promise.withResolvers<void>();

  constructor(readonly options: OwnersOptions) {
    this.#here = Array.from({ length: options.partitions }, () => null);
  }

  /**
   * A worker has a partition from now on, or has it no more. One that is late to release what another worker has by now
   * takes nothing from that one.
   *
   * @param worker number of the worker in this process
   */
  set(partition: number, owner: ItemOwner | null, worker = 0): void {
    const before = this.#here[partition];
    if (!owner && before && before.worker !== worker) return;
    this.#here[partition] = owner && { owner, worker };
    this.#offline.delete(partition);
    this.#change();
  }

  /** Nobody can claim a partition now; holds until the next word of its owner. */
  setOffline(partition: number, reason: string): void {
    this.#here[partition] = null;
    this.#offline.set(partition, reason);
    this.#change();
  }

  /** Why nobody can claim a partition now; null = somebody can. */
  whyOffline(partition: number): string | null {
    return this.#offline.get(partition) ?? null;
  }

  /** Other processes have these partitions from now on, and no others; in a generation of the group. */
  setElsewhere(owners: ReadonlyMap<number, ItemOwner>, generation: number | null): void {
    this.#elsewhere = owners;
    this.#elsewhereIn = generation;
    this.#change();
  }

  /** Whether another process has a partition. */
  isElsewhere(partition: number): boolean {
    return this.#elsewhere.has(partition);
  }

  #ownerOf(partition: number): ItemOwner | null {
    return this.#elsewhere.get(partition) ?? this.#here[partition]?.owner ?? null;
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /** Whether every partition that can be claimed has folded what there was when it was taken over. */
  get allReady(): boolean {
    const owners = this.#here.map((_, partition) => this.#ownerOf(partition));
    return this.options.log.isClaimed && owners.some((owner) => owner?.isReady) &&
      owners.every((owner, partition) => owner?.isReady || this.#offline.has(partition));
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
   * @param waits whether a partition that is offline is waited for, too, and a process that cannot be asked
   * @throws {StandByError} at once when another process is the owner
   * @throws {UnavailableError} at once when a partition is offline or its owner cannot be asked, unless that is waited for
   * @throws {LostError} when the signal is aborted meanwhile
   */
  async lookUp(
    itemIds: readonly string[],
    signal: AbortSignal,
    waits = true,
  ): Promise<(bigint | null)[]> {
    const { sharing } = this.options;
    if (sharing) return await this.#lookUpShared(sharing, itemIds, signal, waits);
    const asking: Asking = { waits, isHere: false, active: null };
    while (true) {
      if (this.#areCurrent) {
        const stocks = await this.#stocks(itemIds, signal, asking);
        if (stocks && this.#areCurrent) return stocks;
      }
      const { standsBy } = this.options.log;
      if (standsBy) throw new StandByError(standsBy.active);
      if (signal.aborted) throw new LostError("The look-up was given up");
      await this.options.clock.sleep(LOG_LOOK_MS, signal);
    }
  }

  /**
   * The same where processes share partitions. What the owners of a generation answer counts if that is confirmed by a
   * heartbeat which was sent behind the question; both are under way at the same time.
   */
  async #lookUpShared(
    sharing: Pick<Sharing, "active" | "confirm">,
    itemIds: readonly string[],
    signal: AbortSignal,
    waits: boolean,
  ): Promise<(bigint | null)[]> {
    while (true) {
      const confirming = sharing.confirm(signal);
      confirming.catch(() => {}); // the owners may fail before
      const active = sharing.active ?? await confirming;
      const stocks = await this.#stocks(itemIds, signal, { waits, isHere: false, active });
      if (stocks && await confirming === active) return stocks;
    }
  }

  /** Null when the generation that was asked in is over. */
  async #stocks(
    itemIds: readonly string[],
    signal: AbortSignal,
    asking: Asking,
  ): Promise<(bigint | null)[] | null> {
    const stocks: (bigint | null)[] = new Array(itemIds.length).fill(null);
    const ids = itemIds.map((id) => encodeUtf8(id));
    const byPartition = Map.groupBy(ids.keys(), (i) => this.partitionOfBytes(ids[i]!));
    const all = await Promise.all([...byPartition].map(async ([partition, indexes]) => {
      const found = await this.#ask(partition, indexes.map((i) => ids[i]!), signal, asking);
      if (found) indexes.forEach((i, k) => stocks[i] = found[k]!);
      return found !== null;
    }));
    return all.every((isFound) => isFound) ? stocks : null;
  }

  /**
   * The stocks of items of a partition that this process has in a generation, for another process. Whether the group is
   * still in it is for that one to find out.
   *
   * @throws {UnavailableError} when it does not have the partition, or nobody can claim it
   * @throws {LostError} when the generation is over, or the signal is aborted meanwhile
   */
  async lookUpHere(
    generation: number,
    partition: number,
    ids: readonly Uint8Array[],
    signal: AbortSignal,
  ): Promise<(bigint | null)[]> {
    const sharing = this.options.sharing!;
    const active = sharing.active ?? await sharing.confirm(signal);
    const stocks = active.generation === generation
      ? await this.#ask(partition, ids, signal, { waits: false, isHere: true, active })
      : null;
    if (!stocks) throw new LostError(`Generation ${generation} is over`);
    return stocks;
  }

  /**
   * Whether an owner is that of the generation that is asked in. One worker may still have what another one of this process
   * has claimed in it: it hung since a generation before.
   */
  #isOf({ active }: Asking, partition: number): boolean {
    if (!active) return true;
    return this.isElsewhere(partition)
      ? this.#elsewhereIn === active.generation
      : active.claimedBy(partition) === this.#here[partition]?.worker;
  }

  /** What an owner answers; null when it is not an owner any more, or could not be asked. */
  async #askOwner(
    partition: number,
    owner: ItemOwner,
    ids: readonly Uint8Array[],
    signal: AbortSignal,
    asking: Asking,
  ): Promise<(bigint | null)[] | null> {
    const { clock } = this.options;
    const isHere = !this.isElsewhere(partition);
    if (!this.#isOf(asking, partition)) {
      await clock.sleep(LOG_LOOK_MS, signal);
      return null;
    }
    try {
      // Another process may wait for something itself: a rebalance must not wait for that.
      const stocks = isHere ? await owner.lookUp(ids) : await orAborted(owner.lookUp(ids), signal);
      if (!stocks) throw new LostError("The look-up was given up");
      // The next owner has another generation, or has recovered the partition: it may know more.
      return asking.active && this.#ownerOf(partition) !== owner ? null : stocks;
    } catch (error) {
      if (!(error instanceof LostError) || isHere && this.#ownerOf(partition) === owner) {
        throw error;
      }
      // A process that is gone, or knows another generation, until the group has one that both know.
      if (!isHere) await clock.sleep(LOG_LOOK_MS, signal);
      return null;
    }
  }

  /**
   * Asks the owner of a partition; if it is gone before it answers, the next one.
   *
   * @returns null when the generation that is asked in is over
   */
  async #ask(
    partition: number,
    ids: readonly Uint8Array[],
    signal: AbortSignal,
    asking: Asking,
  ): Promise<(bigint | null)[] | null> {
    const { waits, isHere, active } = asking;
    while (true) {
      if (active && this.options.sharing?.active !== active) return null;
      if (isHere && this.isElsewhere(partition)) {
        throw new UnavailableError(`Another process has partition ${partition}`);
      }
      const offline = waits ? undefined : this.#offline.get(partition);
      if (offline !== undefined) {
        throw new UnavailableError(`The item cannot be looked up now: ${offline}`);
      }
      const owner = this.#ownerOf(partition);
      if (owner?.isReady) {
        if (signal.aborted) throw new LostError("The look-up was given up");
        const stocks = await this.#askOwner(partition, owner, ids, signal, asking);
        if (stocks) return stocks;
        if (!waits && owner.unreachable && this.#ownerOf(partition) === owner) {
          throw new UnavailableError(`The item cannot be looked up now: ${owner.unreachable}`);
        }
        continue;
      }
      if (signal.aborted) throw new LostError("The look-up was given up");
      await orAborted(
        Promise.race([this.#changed.promise, ...(owner ? [owner.ready] : [])]),
        signal,
      );
    }
  }
}
