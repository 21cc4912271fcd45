import type { Clock } from "../types/mod.ts";

const LOOK_MS = 1000;
/** Over how many looks a rate is measured. */
const LOOKS = 10;
export const RATE_SECONDS = LOOKS * LOOK_MS / 1000;

/** A body that comes, or an answer that goes. */
export class Transfer {
  /** So far. */
  bytes = 0;
  /** Nothing can be said of it now: it does not wait for its client. */
  isIdle = false;
  looks = 0;
  bytesThen = 0;

  constructor(
    /** Ends it: its client is too slow, or the job stops. */
    readonly end: (why: "slow" | "stopping") => void,
    /** Of its bytes, how many the client takes or gives at once. */
    readonly pieceBytes = 0,
  ) {}
}

/** Ends transfers that are slower than a minimum rate, and bodies that have not come when the job stops. */
export class Transfers {
  readonly #all = new Set<Transfer>();
  #isWatching = false;

  constructor(
    readonly clock: Clock,
    /** Bytes a second; 0 = none. */
    readonly rateMin: number,
    stopping: AbortSignal,
  ) {
    stopping.addEventListener("abort", () => {
      for (const transfer of this.#all) transfer.end("stopping");
    });
  }

  add(transfer: Transfer): void {
    this.#all.add(transfer);
    if (!this.#isWatching && this.rateMin > 0) void this.#watch();
  }

  delete(transfer: Transfer): void {
    this.#all.delete(transfer);
  }

  /**
   * Looks are counted instead of time: while this thread stands still, no client can be blamed, and what it sent
   * waits to be read.
   */
  async #watch(): Promise<void> {
    this.#isWatching = true;
    while (this.#all.size > 0) {
      await this.clock.sleep(LOOK_MS);
      for (const transfer of this.#all) this.#look(transfer);
    }
    this.#isWatching = false;
  }

  #look(transfer: Transfer): void {
    if (transfer.isIdle) transfer.looks = 0;
    if (transfer.isIdle || ++transfer.looks < LOOKS) return;
    const bytes = transfer.bytes - transfer.bytesThen;
    const seconds = transfer.looks * LOOK_MS / 1000;
    if (bytes + transfer.pieceBytes < this.rateMin * seconds) return transfer.end("slow");
    if (bytes === 0) return; // a piece that it has not taken, for which it has more time
    transfer.bytesThen = transfer.bytes;
    transfer.looks = 0;
  }
}
