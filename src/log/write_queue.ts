// What waits to be written to an embedded log, and in which order it has its turn.

import { type Clock, Deadlines, type NewRecord } from "../types/mod.ts";
import { KV_COMMIT_CHECKS_MAX, type KvLimits } from "../kv/kv.ts";
import type { Commit, CommitOutcome } from "./port.ts";
import type { TopicPartition } from "./topic_partition.ts";

/** An append of at most so many bytes does not wait for larger requests that came before it. */
const SMALL_BYTES = 4096;
/** Bytes from which on no more large requests join a commit: small ones wait for the whole of it. */
const GROUP_BYTES = 256 * 1024;

/** An append that waited too long for its turn. Nothing of it was written. */
export class AppendTimeoutError extends Error {
  override readonly name = "AppendTimeoutError";
}

export interface AppendOptions {
  /** Receives the first offset before anyone can read it; again if the write is repeated. */
  readonly onAssigned?: (baseOffset: number) => void;
  /** How long it may wait for its turn in ms; without it, as long as it takes. */
  readonly waitMsMax?: number;
}

export interface Append {
  readonly kind: "append";
  readonly tp: TopicPartition;
  readonly records: readonly NewRecord[];
  readonly bytes: number;
  readonly onAssigned: (baseOffset: number) => void;
  readonly waitMsMax: number;
  /** It has its turn. */
  inTime?: () => void;
  baseOffset: number;
  resolve(baseOffset: number): void;
  reject(error: unknown): void;
}

/** What became of a commit; no room: nothing happened, and it may be asked for again as it is. */
export type WriteOutcome = CommitOutcome | "no room";

export interface CommitRequest {
  readonly kind: "commit";
  readonly input: string;
  readonly commit: Commit;
  readonly epochs: readonly Deno.AtomicCheck[];
  readonly bytes: number;
  readonly mutations: number;
  resolve(outcome: WriteOutcome): void;
}

/** Something that must not overlap with writes, such as removing old batches. */
export interface Task {
  readonly kind: "task";
  readonly bytes: 0;
  run(): Promise<void>;
  /** It failed, or what comes before it did: the log could not be read anew. */
  reject(error: unknown): void;
}

export type Request = Append | CommitRequest | Task;

function isSmall(request: Request): boolean {
  return request.kind === "append" && request.bytes <= SMALL_BYTES;
}

/** Requests that share one atomic commit. */
class Group {
  readonly requests: (Append | CommitRequest)[] = [];
  bytes = 0;
  #mutations = 0;
  #checks = 0;

  constructor(readonly limits: KvLimits) {}

  /** Adds a request if it fits; one that is alone may be too large. */
  add(request: Append | CommitRequest): boolean {
    const bytes = this.bytes + request.bytes;
    const mutations = this.#mutations + (request.kind === "append" ? 3 : request.mutations);
    const checks = this.#checks + (request.kind === "append" ? 0 : request.epochs.length);
    const fits = bytes <= this.limits.commitBytes && mutations <= this.limits.commitMutations &&
      checks < KV_COMMIT_CHECKS_MAX; // one is that of the commit's mark
    if (!fits && this.requests.length > 0) return false;
    this.requests.push(request);
    this.bytes = bytes;
    this.#mutations = mutations;
    this.#checks = checks;
    return true;
  }
}

/** The requests that wait for the one writer of a log. */
export class WriteQueue {
  #requests: Request[] = [];
  /** Of what waits and what is being written. */
  bytes = 0;
  /** Appends that were refused because they waited too long. */
  timeouts = 0;
  readonly #deadlines: Deadlines;

  constructor(readonly limits: KvLimits, clock: Clock) {
    this.#deadlines = new Deadlines(clock);
  }

  get length(): number {
    return this.#requests.length;
  }

  add(request: Request): void {
    this.bytes += request.bytes;
    this.#requests.push(request);
    if (request.kind !== "append" || request.waitMsMax === Infinity) return;
    // Also while a write hangs.
    request.inTime = this.#deadlines.add(request.waitMsMax, () => this.#refuse(request));
  }

  /** A request is done with, whatever became of it. */
  done(request: Request): void {
    this.bytes -= request.bytes;
  }

  close(): void {
    this.#deadlines.close();
  }

  /**
   * The requests that go into the next commit: the one that has waited longest, then small appends, then as
   * many of the others as fit. So nobody is overtaken for ever, and a small append waits for two commits at
   * the most. Nothing overtakes a task.
   */
  takeGroup(): Request[] {
    const group = this.#nextGroup();
    for (const request of group) if (request.kind === "append") request.inTime?.();
    return group;
  }

  #nextGroup(): Request[] {
    const [oldest] = this.#requests;
    if (oldest!.kind === "task") return [this.#requests.shift()!];
    const task = this.#requests.findIndex((request) => request.kind === "task");
    const waiting = task < 0 ? this.#requests : this.#requests.slice(0, task);
    const small = waiting.filter((request) => request !== oldest && isSmall(request));
    const large = waiting.filter((request) => request !== oldest && !isSmall(request));
    const group = new Group(this.limits);
    for (const request of [oldest!, ...small]) group.add(request as Append | CommitRequest);
    for (const request of large) {
      if (group.bytes >= GROUP_BYTES || !group.add(request as Append | CommitRequest)) break;
    }
    const taken = new Set<Request>(group.requests);
    this.#requests = taken.size === this.#requests.length
      ? []
      : this.#requests.filter((request) => !taken.has(request));
    return group.requests;
  }

  /** Takes an append back that has waited too long. */
  #refuse(request: Append): void {
    this.#requests = this.#requests.filter((other) => other !== request);
    this.timeouts++;
    this.done(request);
    request.reject(new AppendTimeoutError("The log did not take the records in time"));
  }
}
