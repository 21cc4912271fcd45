// Another process of the group, as this one asks it for the stocks of items that are there.

import { Agent, request } from "node:http";
import type { Socket } from "node:net";
import type { ConditionReporter } from "../engine/conditions.ts";
import type { ItemOwner } from "../engine/owners.ts";
import { WAIT_MS_MIN } from "../engine/waits.ts";
import { LostError } from "../log/mod.ts";
import { type Clock, decodeUtf8, encodeUtf8 } from "../types/mod.ts";

/** The path at which processes of a group ask each other. */
export const PEER_PATH = "/cluster/lookups";
/** Ids of one request at the most; what is more goes with the next one. */
export const PEER_IDS_MAX = 1000;
/** Bytes of a request are less: ids of 250 bytes at the most, and what is around them. */
export const PEER_REQUEST_BYTES_MAX = 1024 * 1024;
/** An answer may wait for a recovery; then it is asked for again. */
const ANSWER_MS_MAX = 30_000;
/** A connection does not wait for anything. */
const CONNECT_MS_MAX = 5000;
/** The condition of a process that cannot be asked. */
const CONDITION = "cluster";
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

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

export interface PeerOptions {
  /** host:port */
  readonly address: string;
  readonly life: string;
  readonly generation: number;
  readonly nonce: number;
  /** What processes of the group bring as bearer token; empty = nothing. */
  readonly token: string;
  readonly agent: Agent;
  readonly clock: Clock;
  readonly conditions: ConditionReporter;
  /** Aborted when the generation is over. */
  readonly over: AbortSignal;
}

/** What a process says of itself while it cannot answer yet: it can be asked. */
class NotYetError extends Error {}

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
    const parts: Promise<(bigint | null)[]>[] = [];
    for (let at = 0; at < ids.length; at += PEER_IDS_MAX) {
      parts.push(this.#lookUpSome(partition, ids.slice(at, at + PEER_IDS_MAX)));
    }
    return (await Promise.all(parts)).flat();
  }

  #lookUpSome(partition: number, ids: readonly Uint8Array[]): Promise<(bigint | null)[]> {
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
      const begun = this.options.clock.monotonic();
      try {
        const { stocks } = await this.#ask(batch);
        const found = batch.map(({ ids }, n) => stocksOf(stocks[n], ids.length));
        batch.forEach(({ answer }, n) => answer.resolve(found[n]!));
        this.#answered();
      } catch (error) {
        const lost = this.#failed(error as Error, begun);
        for (const { answer } of batch) answer.reject(lost);
      }
    }
    this.#isUnderWay = false;
  }

  #answered(): void {
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
      this.#answered();
      return lost;
    }
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
    const { life, generation, nonce, clock, over } = this.options;
    const body: PeerRequest = {
      life,
      generation,
      nonce,
      lookups: batch.map(({ partition, ids }) => ({
        partition,
        ids: ids.map((id) => decodeUtf8(id)!),
      })),
    };
    const ended = new AbortController();
    const given = Promise.withResolvers<never>();
    const isOver = new Error("The generation of the group is over");
    if (over.aborted) throw isOver;
    const giveUp = () => given.reject(isOver);
    over.addEventListener("abort", giveUp);
    const connected = new AbortController();
    void clock.sleep(CONNECT_MS_MAX, AbortSignal.any([ended.signal, connected.signal])).then(() => {
      if (connected.signal.aborted) return;
      given.reject(new Error(`There is no connection within ${CONNECT_MS_MAX} ms`));
    });
    // It may wait for a recovery. If it hangs, the group will take its partitions from it.
    void clock.sleep(ANSWER_MS_MAX, ended.signal).then(() => {
      given.reject(new NotYetError(`There is no answer within ${ANSWER_MS_MAX} ms`));
    });
    try {
      // What node:http makes of an abort is not waited for: see #post.
      const answer = this.#post(
        JSON.stringify(body),
        ended.signal,
        () => connected.abort("connected"),
      );
      return await Promise.race([answer, given.promise]);
    } finally {
      over.removeEventListener("abort", giveUp);
      ended.abort("ended"); // without a reason an error with a stack is made
    }
  }

  /**
   * @param ended aborted when the answer is not waited for any more
   * @param connected called when there is a connection
   */
  #post(body: string, ended: AbortSignal, connected: () => void): Promise<PeerAnswer> {
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
            const { statusCode } = response;
            if (statusCode === 200) return resolve(JSON.parse(text));
            const Kind = statusCode === 503 ? NotYetError : Error;
            reject(new Kind(`${statusCode} ${text.slice(0, 200).trim()}`));
          } catch (error) {
            reject(error);
          }
        });
      });
      asked.on("error", reject);
      asked.on("socket", (socket: Socket) => {
        if (socket.connecting) socket.once("connect", connected);
        else connected();
      });
      ended.addEventListener("abort", () => {
        // A request on a connection that was kept is sent once more, and never ends, if its connection goes while it is
        // marked as such (Deno 2.9); so `signal` does not end it either.
        asked.reusedSocket = false;
        asked.destroy();
      });
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
