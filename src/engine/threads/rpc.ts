// Calls between threads: each side has methods that the other may call, and answers come back by number.

import { NoRoomError } from "../../kv/mod.ts";
import { LostError, StopError } from "../../log/mod.ts";
import type { Method } from "../../log/threaded_log.ts";

/** One end of a channel: a Worker, or the global scope of one. */
export interface Endpoint {
  postMessage(message: unknown, transfer?: Transferable[]): void;
}

type Message =
  | {
    readonly kind: "call";
    readonly id: number;
    readonly method: string;
    readonly args: unknown[];
  }
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "answer"; readonly id: number; readonly value: unknown }
  | { readonly kind: "error"; readonly id: number; readonly error: SentError };

/** A message that is about to leave, and its buffers that need not be copied. */
interface Leaving {
  readonly message: Message;
  readonly buffers: ArrayBuffer[];
}

interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly remedy?: string;
}

/** Buffers of answers and arguments that need not be copied. */
export class Transferred<T> {
  constructor(readonly value: T, readonly buffers: ArrayBuffer[]) {}
}

function send(error: unknown): SentError {
  const { name, message, stack } = error as Error;
  const remedy = error instanceof StopError ? { remedy: error.remedy } : {};
  return { name, message, ...(stack ? { stack } : {}), ...remedy };
}

function receive({ name, message, stack, remedy }: SentError): Error {
  if (remedy !== undefined) return new StopError(message, remedy);
  const Known = [LostError, NoRoomError].find((type) => type.name === name) ?? Error;
  const error = new Known(message);
  if (error.name !== name && name !== "Error") error.message = `${name}: ${message}`;
  if (stack) error.stack = stack;
  return error;
}

/**
 * Promises between a message that came and those that it leads to: the outcomes of all partitions that were
 * appended to together, and the reads of what comes next, leave as one.
 */
const GATHERING_HOPS = 16;

export class Rpc {
  readonly #waiting = new Map<
    number,
    { resolve(value: unknown): void; reject(error: unknown): void }
  >();
  readonly #serving = new Map<number, AbortController>();
  #nextId = 1;
  #leaving: Leaving[] = [];
  #closed: Error | null = null;

  constructor(readonly endpoint: Endpoint, readonly methods: Readonly<Record<string, Method>>) {}

  /**
   * To be called with all that arrives; what the other side said before its end may come late.
   *
   * @param messages those that left together
   */
  receive(messages: readonly Message[]): void {
    for (const message of messages) if (!this.#closed) this.#receive(message);
  }

  #receive(message: Message): void {
    if (message.kind === "call") void this.#serve(message);
    else if (message.kind === "cancel") this.#serving.get(message.id)?.abort();
    else this.#settle(message);
  }

  /** Sends a message, with those that are sent in the same breath: each that leaves wakes a thread. */
  #send(message: Message, buffers: ArrayBuffer[] = []): void {
    if (this.#leaving.push({ message, buffers }) === 1) void this.#leave();
  }

  async #leave(): Promise<void> {
    for (let hop = 0; hop < GATHERING_HOPS; hop++) await null;
    const leaving = this.#leaving;
    this.#leaving = [];
    try {
      this.#post(leaving);
    } catch {
      // One of them cannot be cloned: the others must not suffer for it.
      for (const one of leaving) this.#postAlone(one);
    }
  }

  #post(leaving: readonly Leaving[]): void {
    const buffers = leaving.flatMap((one) => one.buffers);
    this.endpoint.postMessage(leaving.map((one) => one.message), buffers);
  }

  #postAlone(one: Leaving): void {
    try {
      this.#post([one]);
    } catch (error) {
      const { id, kind } = one.message;
      if (kind === "answer") this.#send({ kind: "error", id, error: send(error) });
      else this.#settle({ kind: "error", id, error: send(error) });
    }
  }

  #settle(message: Message & { kind: "answer" | "error" }): void {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.kind === "answer") waiting?.resolve(message.value);
    else waiting?.reject(receive(message.error));
  }

  async #serve({ id, method, args }: Message & { kind: "call" }): Promise<void> {
    const controller = new AbortController();
    this.#serving.set(id, controller);
    try {
      const handler = this.methods[method];
      if (!handler) throw new Error(`There is no method ${method}`);
      const answer = await handler(args, controller.signal);
      if (id === 0 || this.#closed) return;
      if (answer instanceof Transferred) {
        this.#send({ kind: "answer", id, value: answer.value }, answer.buffers);
      } else this.#send({ kind: "answer", id, value: answer });
    } catch (error) {
      if (!this.#closed) this.#send({ kind: "error", id, error: send(error) });
    } finally {
      this.#serving.delete(id);
    }
  }

  /**
   * Calls a method of the other side.
   *
   * @param options transfer: buffers that need not be copied; signal: tells the other side to give up
   * @throws {LostError} when the other side is gone
   */
  call<T>(
    method: string,
    args: unknown[],
    options: { transfer?: ArrayBuffer[]; signal?: AbortSignal } = {},
  ): Promise<T> {
    if (this.#closed) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    return new Promise<T>((resolve, reject) => {
      const cancel = () => this.#send({ kind: "cancel", id });
      options.signal?.addEventListener("abort", cancel);
      const done = () => options.signal?.removeEventListener("abort", cancel);
      this.#waiting.set(id, {
        resolve: (value) => (done(), resolve(value as T)),
        reject: (error) => (done(), reject(error)),
      });
      this.#send({ kind: "call", id, method, args }, options.transfer ?? []);
      if (options.signal?.aborted) cancel();
    });
  }

  /** Tells the other side something without waiting. */
  notify(method: string, args: unknown[], transfer: ArrayBuffer[] = []): void {
    if (!this.#closed) this.#send({ kind: "call", id: 0, method, args }, transfer);
  }

  /** The other side is gone: whoever waits is told. */
  close(reason: string): void {
    this.#closed = new LostError(reason);
    for (const waiting of this.#waiting.values()) waiting.reject(this.#closed);
    this.#waiting.clear();
    for (const controller of this.#serving.values()) controller.abort();
  }
}
