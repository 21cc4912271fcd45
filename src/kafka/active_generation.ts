import { assertThat, type Clock } from "../types/mod.ts";
import type { GroupMember } from "./transactional_producer.ts";

/** What of a shared group is this process's in one generation. */
export interface Share {
  /** Number in its transactional ids. */
  readonly slot: number;
  /** Partitions of transactions, each with the worker that has it in this generation, and no other one. */
  readonly workers: ReadonlyMap<number, number>;
  readonly queries: readonly number[];
}

/** A generation of the group in which this process is active. */
export class ActiveGeneration implements GroupMember {
  readonly #ending = new AbortController();
  readonly #ended = new AbortController();
  #claims = 0;
  readonly #claimed = new Set<number>();
  /** Are called when all sessions are closed. */
  #onReleased: (() => void)[] = [];

  /** @param share its part of the partitions; null = all of them, and whoever claims some says which */
  constructor(
    readonly memberId: string,
    readonly generation: number,
    readonly share: Share | null = null,
  ) {}

  /** Aborted when the generation is about to be over: what is committed now still counts. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Aborted when it is over; the reason is what a session is to end with. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** The partitions of transactions that a worker has in this generation; null = those that it asks for. */
  partitionsOf(worker: number): readonly number[] | null {
    if (!this.share) return null;
    return [...this.share.workers].filter(([, of]) => of === worker).map(([p]) => p)
      .toSorted((a, b) => a - b);
  }

  /** A session of such partitions of transactions begins, which is to be released when it is closed. */
  claim(partitions: readonly number[]): void {
    this.add(partitions);
    this.#claims++;
  }

  /** A session has further partitions. */
  add(partitions: readonly number[]): void {
    for (const partition of partitions) {
      // Kafka takes offsets of any partition from a member: that nobody else commits these is ours to keep.
      assertThat(
        this.share?.workers.has(partition) ?? true,
        `partition ${partition} is assigned to this process in generation ${this.generation}`,
      );
      this.#claimed.add(partition);
    }
  }

  /** Whether so many partitions of transactions, all there are, or this process's share, were claimed in it. */
  hasClaimed(partitions: number): boolean {
    return this.#claimed.size >= (this.share?.workers.size ?? partitions);
  }

  /** The worker that has claimed its share of a partition of transactions in it; null = that was not claimed. */
  claimedBy(partition: number): number | null {
    return this.#claimed.has(partition) ? this.share?.workers.get(partition) ?? null : null;
  }

  release(): void {
    if (--this.#claims > 0) return;
    for (const released of this.#onReleased) released();
  }

  /** Calls back when no session is open, which may be now. */
  whenReleased(released: () => void): void {
    if (this.#claims === 0) released();
    else this.#onReleased.push(released);
  }

  /** Announces that the generation is about to be over; resolves when all sessions are closed, or in time. */
  async wind(clock: Clock, msMax: number): Promise<void> {
    const all = new AbortController();
    this.whenReleased(() => all.abort("released"));
    this.#ending.abort("ending");
    if (!all.signal.aborted) await clock.sleep(msMax, all.signal);
  }

  end(reason: Error): void {
    this.#ended.abort(reason);
    this.#ending.abort("ended"); // a session without partitions has nothing else by which it notices
  }
}
