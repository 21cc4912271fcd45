import type { CommittedPosition, LogSession, TopicOutput } from "../../log/mod.ts";
import type { Clock } from "../../types/mod.ts";
import { CommitStatistics } from "./durations.ts";
import { LostError } from "../errors.ts";
import { Waiters } from "./waiters.ts";

/** Outputs and position of a partition that are ready to be committed. */
export interface Pending {
  readonly position: CommittedPosition;
  readonly outputs: readonly TopicOutput[];
}

/** A partition that has something to commit from time to time. */
export interface CommitSource<P extends Pending = Pending> {
  readonly partition: number;
  /** Bytes that wait for a commit. */
  readonly pendingBytes: number;
  /** What is new since the last call; null if nothing is, or it is not complete yet. */
  take(): P | null;
  /** What was taken is committed. */
  acknowledge(pending: P): void;
}

/** Bounds of the bytes that wait for a commit. */
export interface PendingLimits {
  /** From so many on a commit is made before its time. */
  readonly earlyBytes: number;
  /** From so many on folding waits. */
  readonly maxBytes: number;
}

const PENDING_LIMITS: PendingLimits = { earlyBytes: 2 * 1024 * 1024, maxBytes: 8 * 1024 * 1024 };

/** A reason for an abort: without one an error with a stack is made each time. */
const ASKED = "asked for";

/** Commits what partitions of one session have pending, in one commit after the other. */
export class Committer {
  readonly #room = new Waiters();
  /** Aborted when a commit is asked for before its time. */
  #asked = new AbortController();
  #begunAt = -Infinity;
  /** Whether a commit is under way. */
  #committing = false;

  constructor(
    readonly session: LogSession,
    readonly sources: readonly CommitSource[],
    readonly intervalMs: number,
    readonly clock: Clock,
    readonly statistics: CommitStatistics = new CommitStatistics(),
    readonly limits = PENDING_LIMITS,
  ) {}

  get #pendingBytes(): number {
    return this.sources.reduce((n, source) => n + source.pendingBytes, 0);
  }

  /** Asks for a commit before the interval is over. */
  ask(): void {
    this.#asked.abort(ASKED);
  }

  /** Whether folding may go on; asks for a commit in time. */
  get hasRoom(): boolean {
    const bytes = this.#pendingBytes;
    if (bytes >= this.limits.earlyBytes) this.ask();
    return bytes < this.limits.maxBytes;
  }

  /** Resolves when there is room for more pending outputs. */
  async room(signal: AbortSignal): Promise<void> {
    while (!this.hasRoom && !signal.aborted) {
      await this.#room.wait(signal);
    }
  }

  /**
   * Begins a commit in every interval, and whenever enough waits, until the signal is aborted.
   *
   * @throws {LostError}
   */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#wait(signal);
      await this.commit();
    }
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const waitMs = this.#begunAt + this.intervalMs - this.clock.monotonic();
    // Who asked during the last commit is heard now.
    await this.clock.sleep(Math.max(0, waitMs), AbortSignal.any([signal, this.#asked.signal]));
    this.#asked = new AbortController();
  }

  /**
   * Commits what is pending now.
   *
   * @throws {LostError} when it is not known to be committed
   */
  async commit(): Promise<void> {
    if (this.#committing) throw new Error("A commit is under way");
    const from = this.#begunAt = this.clock.monotonic();
    const taken = this.sources.map((source) => ({ source, pending: source.take() }))
      .filter((t): t is { source: CommitSource; pending: Pending } => t.pending !== null);
    if (taken.length === 0) return; // and no room was made
    this.#room.wake();
    this.#committing = true;
    const outcome = await this.session.commit({
      positions: taken.map(({ source, pending }) => ({
        partition: source.partition,
        ...pending.position,
      })),
      outputs: taken.flatMap(({ pending }) => pending.outputs),
    });
    this.#committing = false;
    if (outcome !== "committed") throw new LostError(`A commit of ${this.session.input} was lost`);
    this.statistics.add(this.clock.monotonic() - from, this.clock.now());
    for (const { source, pending } of taken) source.acknowledge(pending);
  }
}
