// Calls between threads: each side has methods that the other may call, and answers come back by number.

import { NoRoomError } from "../../kv/mod.ts";
import {
  type AnswerOf,
  type AnyMethods,
  type ArgumentsOf,
  type Caller,
  type CallOptions,
  DamagedBatchError,
  LostError,
  OffsetOutOfRangeError,
  RefusedError,
  StandByError,
  StopError,
  Transferred,
  UnavailableError,
} from "../../log/mod.ts";
import { BrokenPromiseError } from "../../types/mod.ts";

/** One end of a channel: a Worker, or the global scope of one. */
export interface Endpoint {
  postMessage(message: unknown, transfer?: Transferable[]): void;
}

/** The same, where what the other side sends arrives. */
export interface Listened {
  onmessage: ((event: MessageEvent) => void) | null;
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
  /** Which of KINDS it is; null = another, of which nothing is known but that it can be shown. */
  readonly kind: string | null;
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  /** Whatever else one of a kind says, such as a remedy. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Errors that whoever catches them distinguishes; a kind comes before the one that it extends. */
const KINDS = {
  BrokenPromiseError,
  DamagedBatchError,
  StopError,
  StandByError,
  LostError,
  NoRoomError,
  OffsetOutOfRangeError,
  RefusedError,
  UnavailableError,
} as const;

function send(error: unknown): SentError {
  const { name, message, stack } = error as Error;
  const kind = Object.keys(KINDS).find((k) => error instanceof KINDS[k as keyof typeof KINDS]) ??
    null;
  const fields = kind ? { ...error as Error } : {};
  return { kind, name, message, ...(stack ? { stack } : {}), fields };
}

function receive({ kind, name, message, stack, fields }: SentError): Error {
  const error = new Error(kind || name === "Error" ? message : `${name}: ${message}`);
  if (kind) {
    const { prototype } = KINDS[kind as keyof typeof KINDS];
    Object.setPrototypeOf(Object.assign(error, fields), prototype);
  }
  if (stack) error.stack = stack;
  return error;
}

/**
 * Promises between a message that came and those that it leads to: the outcomes of all partitions that were
 * appended to together, and the reads of what comes next, leave as one.
 */
const GATHERING_HOPS = 16;

/** One side of a channel, which calls what the other side answers: Theirs. */
export class Rpc<Theirs> implements Caller<Theirs> {
  readonly #waiting = new Map<
    number,
    { resolve(value: unknown): void; reject(error: unknown): void }
  >();
  readonly #serving = new Map<number, AbortController>();
  #nextId = 1;
  #leaving: Leaving[] = [];
  #closed: Error | null = null;

  constructor(readonly endpoint: Endpoint, readonly methods: AnyMethods) {}

  /**
   * Takes all that arrives at an end from now on.
   *
   * @param onHeard is called before
   */
  listen(end: Listened, onHeard = () => {}): void {
    end.onmessage = (event) => {
      onHeard();
      this.receive(event.data);
    };
  }

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
      const answer = await handler(args as never, controller.signal);
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

  call<K extends keyof Theirs & string>(
    method: K,
    args: ArgumentsOf<Theirs[K]>,
    { transfer = [], signal }: CallOptions = {},
  ): Promise<AnswerOf<Theirs[K]>> {
    if (this.#closed) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const cancel = () => this.#send({ kind: "cancel", id });
      signal?.addEventListener("abort", cancel);
      const done = () => signal?.removeEventListener("abort", cancel);
      this.#waiting.set(id, {
        resolve: (value) => (done(), resolve(value as AnswerOf<Theirs[K]>)),
        reject: (error) => (done(), reject(error)),
      });
      this.#send({ kind: "call", id, method, args: args as unknown[] }, transfer);
      if (signal?.aborted) cancel();
    });
  }

  notify<K extends keyof Theirs & string>(
    method: K,
    args: ArgumentsOf<Theirs[K]>,
    transfer: ArrayBuffer[] = [],
  ): void {
    if (this.#closed) return;
    this.#send({ kind: "call", id: 0, method, args: args as unknown[] }, transfer);
  }

  /** The other side is gone: whoever waits is notified. */
  close(reason: string): void {
    this.#closed = new LostError(reason);
    for (const waiting of this.#waiting.values()) waiting.reject(this.#closed);
    this.#waiting.clear();
    for (const controller of this.#serving.values()) controller.abort();
  }
}
