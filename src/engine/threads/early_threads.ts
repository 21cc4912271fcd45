// Threads that are started before it is known what they are to fold: they load their modules and compile the core
// while files are opened and brokers are asked.

import type { CoreOptions } from "../../wasm/mod.ts";
import type { ThreadCalls } from "./contract.ts";
import { Rpc } from "./rpc.ts";

/** A thread as it is seen from outside. */
export type Thread = Pick<
  Worker,
  "postMessage" | "terminate" | "onmessage" | "onmessageerror" | "onerror"
>;

/** Starts a thread of a name, which waits to be given its work. */
export type StartThread = (name: string, entry: URL) => Thread;

export const startThread: StartThread = (name, entry) =>
  new Worker(entry, { type: "module", name });

/** The name of a worker and its thread. */
export function workerName(n: number): string {
  return `Worker ${n}`;
}

export class EarlyThreads {
  /** Those that nobody has taken yet, by name. */
  readonly #waiting = new Map<string, Thread>();

  /**
   * @param entry module of the threads
   * @param count how many are started
   * @param core for what they compile it
   * @param start starts one; a test brings its own
   */
  constructor(
    readonly entry: URL,
    count: number,
    core: CoreOptions,
    readonly start: StartThread = startThread,
  ) {
    for (let n = 0; n < count; n++) this.#begin(workerName(n), core);
  }

  #begin(name: string, core: CoreOptions): void {
    const thread = this.start(name, this.entry);
    this.#waiting.set(name, thread);
    // Whoever takes that name then starts another one, and hears why it fails.
    thread.onerror = (event) => {
      event.preventDefault();
      this.#waiting.delete(name);
      thread.terminate();
    };
    new Rpc<ThreadCalls>(thread, {}).notify("prepare", [core]);
  }

  /** The thread that has the name, if it was not taken yet; else a new one. */
  readonly take: StartThread = (name, entry) => {
    const found = this.#waiting.get(name);
    if (!found || entry.href !== this.entry.href) return this.start(name, entry);
    this.#waiting.delete(name);
    found.onerror = null;
    return found;
  };

  /** Ends those that nobody has taken. */
  close(): void {
    for (const thread of this.#waiting.values()) thread.terminate();
    this.#waiting.clear();
  }
}
