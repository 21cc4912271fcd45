import type { Clock } from "../types/mod.ts";
import type { GroupMember } from "./transactional_producer.ts";

/** A generation of the group in which this process is the active one. */
export class ActiveGeneration implements GroupMember {
  readonly #ending = new AbortController();
  readonly #ended = new AbortController();
  #claims = 0;
  readonly #claimed = new Set<number>();
  #allReleased: (() => void) | null = null;

  constructor(readonly memberId: string, readonly generation: number) {}

  /** Aborted when the generation is about to be over: what is committed now still counts. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Aborted when it is over; the reason is what a session is to end with. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** A session of such partitions of transactions begins, which is to be released when it is closed. */
  claim(partitions: readonly number[]): void {
    this.#claims++;
    this.add(partitions);
  }

  /** A session has further partitions. */
  add(partitions: readonly number[]): void {
    for (const partition of partitions) this.#claimed.add(partition);
  }

  /** Whether so many partitions of transactions, all there are, were claimed in this generation. */
  hasClaimed(partitions: number): boolean {
    return this.#claimed.size >= partitions;
  }

  release(): void {
    if (--this.#claims === 0) this.#allReleased?.();
  }

  /** Announces that the generation is about to be over; resolves when all sessions are closed, or in time. */
  async wind(clock: Clock, msMax: number): Promise<void> {
    const all = new AbortController();
    this.#allReleased = () => all.abort("released");
    this.#ending.abort("ending");
    if (this.#claims > 0) await clock.sleep(msMax, all.signal);
  }

  end(reason: Error): void {
    this.#ended.abort(reason);
  }
}
