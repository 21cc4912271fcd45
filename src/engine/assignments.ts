import { LostError } from "../log/mod.ts";
import { assertThat } from "../types/mod.ts";
import { Waiters } from "./waiters.ts";

/** What is to be done with a partition. */
export interface Move {
  readonly partition: number;
  readonly move: "assign" | "revoke";
}

/**
 * The partitions that a worker is to have, and those that it has. What is asked for at any time is done by the next
 * session at the latest.
 */
export class Assignments {
  /** Null = all of the topic, or those that the log gives, as long as nobody has claimed them. */
  #wanted: Set<number> | null;
  /** Those that run. */
  readonly #running = new Set<number>();
  /** Those that are on their way to run, or to be released. */
  readonly #moving = new Set<number>();
  /** Those that the session has left out, though they were asked for. */
  #leftOut = new Set<number>();
  /**
   * Whether no commit that a session before has sent can still happen: its last one was acknowledged, or the next
   * session fenced it off. Not before the first claim, for an earlier thread may have sent some.
   */
  #isSettled = false;
  readonly #changes = new Waiters();

  /**
   * @param partitions at first; null = all
   * @param areGiven the log says with each claim which partitions this worker has
   */
  constructor(partitions: readonly number[] | null, readonly areGiven = false) {
    this.#wanted = partitions && new Set(partitions);
  }

  /** Resolves at the next change, or when the signal is aborted. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#changes.wait(signal);
  }

  async assign(partition: number, signal: AbortSignal): Promise<void> {
    assertThat(this.#wanted !== null, "a worker that has all partitions is assigned no other");
    this.#wanted.add(partition);
    await this.#until(() => this.#running.has(partition), signal);
  }

  async revoke(partition: number, signal: AbortSignal): Promise<void> {
    // All of the topic are known once they were claimed.
    await this.#until(() => this.#wanted !== null, signal);
    this.#wanted!.delete(partition);
    await this.#until(
      () => this.#isSettled && !this.#running.has(partition) && !this.#moving.has(partition),
      signal,
    );
  }

  async #until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    this.#changes.wake();
    while (!holds()) {
      if (signal.aborted) throw new LostError("The assignment was not waited for");
      await this.#changes.wait(signal);
    }
  }

  // ---- for the worker ----

  /** The next move that is due; it is under way from now on. */
  next(): Move | null {
    const isFree = (p: number) => !this.#moving.has(p) && !this.#leftOut.has(p);
    const joins = [...this.#wanted ?? []].find((p) => !this.#running.has(p) && isFree(p));
    const leaves = [...this.#running].find((p) => !this.#wanted?.has(p) && isFree(p));
    const partition = leaves ?? joins;
    if (partition === undefined) return null;
    this.#moving.add(partition);
    return { partition, move: leaves === undefined ? "assign" : "revoke" };
  }

  /** A claim is on its way: what it asks for; undefined = all of the topic. */
  claiming(): readonly number[] | undefined {
    if (this.areGiven) return undefined;
    for (const partition of this.#wanted ?? []) this.#moving.add(partition);
    return this.#wanted ? [...this.#wanted].toSorted((a, b) => a - b) : undefined;
  }

  /** A session has claimed partitions: whatever a session before has sent is fenced off. */
  begun(claimed: readonly number[]): void {
    if (this.areGiven) this.#wanted = null;
    this.#wanted ??= new Set(claimed);
    this.#leftOut = new Set([...this.#moving].filter((p) => !claimed.includes(p)));
    this.#moving.clear();
    for (const partition of claimed) this.#moving.add(partition);
    this.#isSettled = true;
    this.#changes.wake();
  }

  runs(partition: number): void {
    this.#running.add(partition);
    this.#moved(partition);
  }

  /** It cannot be claimed now: the next session will try again. */
  leftOut(partition: number): void {
    this.#leftOut.add(partition);
    this.#moved(partition);
  }

  released(partition: number): void {
    this.#running.delete(partition);
    this.#moved(partition);
  }

  #moved(partition: number): void {
    this.#moving.delete(partition);
    this.#changes.wake();
  }

  /**
   * The session has ended, or none came about.
   *
   * @param sent whether every commit that it sent is acknowledged; null = it sent none
   */
  ended(sent: "acknowledged" | "not acknowledged" | null): void {
    if (sent !== null) this.#isSettled = sent === "acknowledged";
    this.#moving.clear();
    this.#changes.wake();
  }
}
