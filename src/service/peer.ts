// Another process of the group, as this one asks it for the stocks of items that are there.

import type { ConditionReporter } from "../engine/conditions.ts";
import type { ItemOwner } from "../engine/owners.ts";
import { WAIT_MS_MIN } from "../engine/waits.ts";
import { LostError } from "../log/mod.ts";
import { decodeUtf8, SHARED_TURN_MS, untilTurn } from "../types/mod.ts";
import { askPeer, NotYetError, PEER_PATHS, type PeerConnection } from "./peer_request.ts";

/** Ids of one request at the most; what is more goes with the next one. */
export const PEER_IDS_MAX = 1000;
/** Bytes of a request are less: ids of 250 bytes at the most, and what is around them. */
export const PEER_REQUEST_BYTES_MAX = 1024 * 1024;
/** Requests under way at the most: what is asked while one is slow to be answered need not wait for its answer. */
const UNDER_WAY_MAX = 2;
/** An answer may wait for a recovery; then it is asked for again. */
const ANSWER_MS_MAX = 30_000;
/** The condition of a process that cannot be asked. */
const CONDITION = "cluster";

/** Items of one partition that are asked for. */
export interface PeerLookUp {
  readonly partition: number;
  readonly ids: readonly string[];
}

/** What one process asks another. */
export interface PeerRequest {
  /** Life of the process that is asked: an address may be that of another one. */
  readonly life: string;
  /** The generation by which the asker knows that the partitions are there. */
  readonly generation: number;
  readonly nonce: number;
  readonly lookups: readonly PeerLookUp[];
}

/** By look-up: the stock of each item as digits; null = never seen. */
export interface PeerAnswer {
  readonly stocks: readonly (readonly (string | null)[])[];
}

export interface PeerOptions extends PeerConnection {
  readonly life: string;
  readonly generation: number;
  readonly nonce: number;
  readonly conditions: ConditionReporter;
  /** Aborted when the generation is over. */
  readonly over: AbortSignal;
}

interface Waiting {
  readonly partition: number;
  readonly ids: readonly Uint8Array[];
  readonly answer: PromiseWithResolvers<(bigint | null)[]>;
}

/**
 * Asks one process, in one generation. What is asked in a turn goes together: it would wait for its heartbeat anyway, which
 * is sent in the same turns.
 */
export class Peer {
  #waiting: Waiting[] = [];
  /** Whether what waits is about to be asked. */
  #isAsking = false;
  #underWay = 0;
  /** Clock.monotonic() at which the last request began. */
  #begunAt = -Infinity;
  /** Clock.monotonic() at which the latest request began that was answered. */
  #answeredFrom = -Infinity;
  /** Clock.monotonic() at which the first request began that failed, with none behind it that was answered. */
  #failingSince: number | null = null;
  #unreachable: string | null = null;

  constructor(readonly options: PeerOptions) {}

  /** Why it could not be asked for longer than a moment; null = it can be. */
  get unreachable(): string | null {
    return this.#unreachable;
  }

  /** The owner of one of its partitions. */
  ownerOf(partition: number): ItemOwner {
    const whyUnreachable = () => this.#unreachable;
    return {
      isReady: true, // it waits itself until it is
      ready: Promise.resolve(),
      lookUp: (ids) => this.#lookUp(partition, ids),
      get unreachable() {
        return whyUnreachable();
      },
    };
  }

  /** @throws {LostError} when it does not answer, or knows another generation */
  async #lookUp(partition: number, ids: readonly Uint8Array[]): Promise<(bigint | null)[]> {
    const found: (bigint | null)[] = [];
    // One after the other: of two queries of a batch for an item the later one must not see an older stock.
    for (let at = 0; at < ids.length; at += PEER_IDS_MAX) {
      found.push(...await this.#lookUpSome(partition, ids.slice(at, at + PEER_IDS_MAX)));
    }
    return found;
  }

  #lookUpSome(partition: number, ids: readonly Uint8Array[]): Promise<(bigint | null)[]> {
    const answer = Promise.withResolvers<(bigint | null)[]>();
    this.#waiting.push({ partition, ids, answer });
    if (!this.#isAsking) void this.#askAll();
    return answer.promise;
  }

  async #askAll(): Promise<void> {
    this.#isAsking = true;
    const { clock } = this.options;
    await Promise.resolve(); // what is asked in the same breath goes together
    while (this.#waiting.length > 0 && this.#underWay < UNDER_WAY_MAX) {
      const waitMs = untilTurn(clock.monotonic(), this.#begunAt, SHARED_TURN_MS);
      if (waitMs > 0) await clock.sleep(waitMs);
      this.#begunAt = clock.monotonic();
      void this.#askSome(this.#nextBatch());
    }
    this.#isAsking = false;
  }

  async #askSome(batch: readonly Waiting[]): Promise<void> {
    const begun = this.#begunAt;
    this.#underWay++;
    try {
      const { stocks } = await this.#ask(batch);
      const found = batch.map(({ ids }, n) => stocksOf(stocks[n], ids.length));
      batch.forEach(({ answer }, n) => answer.resolve(found[n]!));
      this.#answered(begun);
    } catch (error) {
      const lost = this.#failed(error as Error, begun);
      for (const { answer } of batch) answer.reject(lost);
    }
    this.#underWay--;
    if (this.#waiting.length > 0 && !this.#isAsking) void this.#askAll();
  }

  /** @param begun Clock.monotonic() at which it was asked */
  #answered(begun: number): void {
    this.#answeredFrom = Math.max(this.#answeredFrom, begun);
    this.#failingSince = null;
    if (this.#unreachable === null) return;
    this.#unreachable = null;
    this.options.conditions.clear(CONDITION);
  }

  /** @param begun Clock.monotonic() at which it was asked */
  #failed(error: Error, begun: number): LostError {
    const { address, clock, conditions, over } = this.options;
    const lost = new LostError(`${address} does not answer: ${error.message}`);
    if (over.aborted) return lost;
    if (error instanceof NotYetError) {
      this.#answered(begun);
      return lost;
    }
    if (begun <= this.#answeredFrom) return lost; // one that was asked later has been answered
    this.#failingSince ??= begun;
    if (clock.monotonic() - this.#failingSince < WAIT_MS_MIN) return lost;
    this.#unreachable = `the process at ${address} has it, and cannot be asked: ${error.message}`;
    const reason =
      `The process at ${address} has partitions of the group, and cannot be asked for stocks ` +
      `(http.advertised.host, cluster.token): ${error.message}`;
    conditions.set(CONDITION, { reason, blocks: "nothing" });
    return lost;
  }

  #nextBatch(): Waiting[] {
    let ids = 0;
    let count = 0;
    while (count < this.#waiting.length) {
      ids += this.#waiting[count]!.ids.length;
      if (count > 0 && ids > PEER_IDS_MAX) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #ask(batch: readonly Waiting[]): Promise<PeerAnswer> {
    const { life, generation, nonce, over } = this.options;
    const body: PeerRequest = {
      life,
      generation,
      nonce,
      lookups: batch.map(({ partition, ids }) => ({
        partition,
        ids: ids.map((id) => decodeUtf8(id)!),
      })),
    };
    // It may wait for a recovery. If it hangs, the group will take its partitions from it.
    return await askPeer<PeerAnswer>(this.options, PEER_PATHS.lookups, body, over, ANSWER_MS_MAX);
  }
}

/** @throws {Error} when there are not as many as asked for */
function stocksOf(found: readonly (string | null)[] | undefined, count: number) {
  if (found?.length !== count) throw new Error(`${found?.length} stocks came for ${count} items`);
  return found.map((stock) => stock === null ? null : BigInt(stock));
}
