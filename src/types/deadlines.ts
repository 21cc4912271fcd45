import type { Clock } from "./clock.ts";

interface Deadline {
  /** By the monotonic clock. */
  readonly due: number;
  readonly onLate: () => void;
}

/** Many deadlines with one timer between them: nearly all are over long before, and a timer each costs time. */
export class Deadlines {
  readonly #all = new Set<Deadline>();
  /** When it is looked next; Infinity = not at all. */
  #nextLook = Infinity;
  #looking = new AbortController();

  constructor(readonly clock: Clock) {}

  /**
   * Calls a function after so many ms.
   *
   * @returns takes it back
   */
  add(ms: number, onLate: () => void): () => void {
    const deadline = { due: this.clock.monotonic() + ms, onLate };
    this.#all.add(deadline);
    if (deadline.due < this.#nextLook) void this.#look(deadline.due);
    return () => void this.#all.delete(deadline);
  }

  /** Ends all that wait, as if their time were over. */
  close(): void {
    this.#looking.abort("closed"); // without a reason an error with a stack is made
    this.#nextLook = Infinity;
    this.#end(Infinity);
  }

  async #look(first: number): Promise<void> {
    this.#looking.abort("an earlier one");
    const { signal } = this.#looking = new AbortController();
    for (this.#nextLook = first; this.#nextLook < Infinity;) {
      await this.clock.sleep(Math.max(0, this.#nextLook - this.clock.monotonic()), signal);
      if (signal.aborted) return;
      this.#nextLook = Infinity;
      this.#end(this.clock.monotonic());
      // Whoever was called may have begun a look of its own.
      if (signal.aborted) return;
      for (const { due } of this.#all) this.#nextLook = Math.min(this.#nextLook, due);
    }
  }

  #end(now: number): void {
    for (const deadline of [...this.#all]) {
      if (deadline.due > now || !this.#all.delete(deadline)) continue;
      deadline.onLate();
    }
  }
}
