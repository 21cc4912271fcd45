// Another process of the group, as this one asks it for the stocks of items that are there.

import { Agent, request } from "node:http";
import { LostError } from "../log/mod.ts";
import type { ItemOwner } from "../engine/owners.ts";
import { type Clock, decodeUtf8, encodeUtf8 } from "../types/mod.ts";

/** The path at which processes of a group ask each other. */
export const PEER_PATH = "/cluster/lookups";
/** Ids of one request at the most; what is more goes with the next one. */
export const PEER_IDS_MAX = 5000;
/** An answer may wait for a recovery; then it is asked for again. */
const ANSWER_MS_MAX = 30_000;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/** Items of one partition that are asked for. */
export interface PeerLookUp {
  readonly partition: number;
  readonly ids: readonly string[];
}

/** What one process asks another. */
export interface PeerRequest {
  /** The generation by which the asker knows that the partitions are there. */
  readonly generation: number;
  readonly nonce: number;
  readonly lookups: readonly PeerLookUp[];
}

/** By look-up: the stock of each item as digits; null = never seen. */
export interface PeerAnswer {
  readonly stocks: readonly (readonly (string | null)[])[];
}

export interface PeerOptions {
  /** host:port */
  readonly address: string;
  readonly generation: number;
  readonly nonce: number;
  /** What processes of the group bring as bearer token; empty = nothing. */
  readonly token: string;
  readonly agent: Agent;
  readonly clock: Clock;
  /** Aborted when the generation is over. */
  readonly over: AbortSignal;
}

interface Waiting {
  readonly partition: number;
  readonly ids: readonly Uint8Array[];
  readonly answer: PromiseWithResolvers<(bigint | null)[]>;
}

/** Connections to other processes, which are kept. */
export function peerAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 4 });
}

/**
 * Asks one process, in one generation. What is asked while a request is under way goes together with the next one.
 */
export class Peer {
  #waiting: Waiting[] = [];
  #isUnderWay = false;

  constructor(readonly options: PeerOptions) {}

  /** The owner of one of its partitions. */
  ownerOf(partition: number): ItemOwner {
    return {
      isReady: true, // it waits itself until it is
      ready: Promise.resolve(),
      lookUp: (ids) => this.#lookUp(partition, ids),
    };
  }

  /** @throws {LostError} when it does not answer, or knows another generation */
  #lookUp(partition: number, ids: readonly Uint8Array[]): Promise<(bigint | null)[]> {
    const answer = Promise.withResolvers<(bigint | null)[]>();
    this.#waiting.push({ partition, ids, answer });
    if (!this.#isUnderWay) void this.#askAll();
    return answer.promise;
  }

  async #askAll(): Promise<void> {
    this.#isUnderWay = true;
    await Promise.resolve(); // what is asked in the same turn goes together
    while (this.#waiting.length > 0) {
      const batch = this.#nextBatch();
      try {
        const { stocks } = await this.#ask(batch);
        batch.forEach(({ answer, ids }, n) => answer.resolve(stocksOf(stocks[n], ids.length)));
      } catch (error) {
        const { address } = this.options;
        const lost = new LostError(`${address} does not answer: ${(error as Error).message}`);
        for (const { answer } of batch) answer.reject(lost);
      }
    }
    this.#isUnderWay = false;
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
    const { generation, nonce, clock, over } = this.options;
    const body: PeerRequest = {
      generation,
      nonce,
      lookups: batch.map(({ partition, ids }) => ({
        partition,
        ids: ids.map((id) => decodeUtf8(id)!),
      })),
    };
    const answered = new AbortController();
    const late = new AbortController();
    void clock.sleep(ANSWER_MS_MAX, answered.signal).then(() => late.abort("late"));
    try {
      return await this.#post(JSON.stringify(body), AbortSignal.any([over, late.signal]));
    } finally {
      answered.abort("answered"); // without a reason an error with a stack is made
    }
  }

  #post(body: string, signal: AbortSignal): Promise<PeerAnswer> {
    const { address, token, agent } = this.options;
    const url = URL.parse(`http://${address}`);
    if (!url) return Promise.reject(new Error("its address cannot be read"));
    const bytes = encodeUtf8(body);
    return new Promise((resolve, reject) => {
      const options = {
        method: "POST",
        host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
        port: url.port || 80,
        path: PEER_PATH,
        agent,
        signal,
        headers: {
          "host": url.host,
          "content-type": "application/json",
          "content-length": bytes.length,
          ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
        },
      };
      const asked = request(options, (response) => {
        const parts: Uint8Array[] = [];
        let size = 0;
        response.on("data", (part: Uint8Array) => {
          parts.push(part);
          size += part.length;
          if (size > ANSWER_BYTES_MAX) response.destroy(new Error("its answer is too large"));
        });
        response.on("error", reject);
        response.on("end", () => {
          try {
            const text = new TextDecoder().decode(concat(parts, size));
            if (response.statusCode === 200) return resolve(JSON.parse(text));
            reject(new Error(`${response.statusCode} ${text.slice(0, 200).trim()}`));
          } catch (error) {
            reject(error);
          }
        });
      });
      asked.on("error", reject);
      asked.end(bytes);
    });
  }
}

function concat(parts: readonly Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** @throws {Error} when there are not as many as asked for */
function stocksOf(found: readonly (string | null)[] | undefined, count: number) {
  if (found?.length !== count) throw new Error(`${found?.length} stocks came for ${count} items`);
  return found.map((stock) => stock === null ? null : BigInt(stock));
}
