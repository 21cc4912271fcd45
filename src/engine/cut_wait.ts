// While the state of a partition is cut for a checkpoint, which encodes it piece by piece between batches, whoever folds
// may have to wait for a piece, or for the end.

import type { Clock } from "../types/mod.ts";
import type { CutGate } from "./partition_processor.ts";
import { never, Waiters } from "./waiters.ts";

/** So long whoever folds waits for a cut whose parts the store does not take; then it is given up. */
const HELD_UP_MS_MAX = 10_000;

/** Who folds waits here; who takes the checkpoint says how far it is. */
export class CutWait implements CutGate {
  #isActive = false;
  readonly #pieces = new Waiters();
  /** How many wait for a piece, or for the end. */
  #heldUp = 0;

  constructor(readonly clock: Clock) {}

  // ---- what a processor waits for ----

  async advance(): Promise<void> {
    if (this.#isActive) await this.#nextPiece();
    else await this.clock.yield();
  }

  async encoded(): Promise<void> {
    while (this.#isActive) await this.#nextPiece();
  }

  async #nextPiece(): Promise<void> {
    this.#heldUp++;
    await this.#pieces.wait(never());
    this.#heldUp--;
  }

  // ---- who takes the checkpoint ----

  get isActive(): boolean {
    return this.#isActive;
  }

  /** The state is cut. */
  begin(): void {
    this.#isActive = true;
  }

  /** One more piece is encoded. */
  advanced(): void {
    this.#pieces.wake();
  }

  /** The state is cut no more. */
  end(): void {
    this.#isActive = false;
    this.#pieces.wake();
  }

  /**
   * Writes parts into the store while the state is cut.
   *
   * @param heldUp is aborted when the store does not take them while somebody waits for the cut
   */
  async write(write: () => Promise<void>, heldUp: AbortController): Promise<void> {
    const written = new AbortController();
    void this.#watch(written.signal, heldUp);
    try {
      await write();
    } finally {
      written.abort("written"); // without a reason an error with a stack is made
    }
  }

  async #watch(written: AbortSignal, heldUp: AbortController): Promise<void> {
    while (!written.aborted && !heldUp.signal.aborted) {
      await this.clock.sleep(HELD_UP_MS_MAX, written);
      if (!written.aborted && this.#heldUp > 0) heldUp.abort("held up");
    }
  }
}
