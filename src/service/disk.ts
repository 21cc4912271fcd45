import { getLogger } from "@logtape/logtape";
import type { FileDisk } from "../kv/mod.ts";
import type { Clock } from "../types/mod.ts";
import type { Blocked, Conditions } from "../engine/conditions.ts";

const log = getLogger(["stockflow", "job"]);

/** How often it is looked how much room there is. */
const LOOK_MS = 500;
/** The same with less than so many times the low-water mark: what is taken between two looks is taken from the rest. */
const CLOSE_LOOK_MS = 50;
const CLOSE = 4;
/** After a write without room, how long until the next one may be tried. */
const PAUSE_MS = 1000;
/** With less than this, an I/O error of SQLite means that the disk is full: its files cannot grow. */
const FULL_BYTES = 1024 * 1024;

/** Name of the condition; see docs/formats.md. */
const WHAT = "disk";

export interface DiskOptions {
  /** Which of our files is kept there, and its path. */
  readonly file: "log" | "state";
  readonly path: string;
  /** From so little free bytes on, new writes are refused; 0 = the disk may be filled. */
  readonly bytesMin: number;
  /** Free bytes of the disk of a file; null where it cannot be known. */
  readonly freeBytes: ((path: string) => Promise<number>) | null;
  /** Bytes within the file that are free for what is written into it, which its disk does not count as free. */
  readonly unusedBytes?: (path: string) => number;
  /** What is not possible without room. */
  readonly blocks: Blocked;
  readonly conditions: Conditions;
  readonly clock: Clock;
}

/**
 * The disk below a file of ours. Below a low-water mark new writes are refused, so that what is under way, and a
 * checkpoint, still have room; and a write for which there was none is reported here, so that whoever has something
 * to write waits.
 */
export class Disk implements FileDisk {
  /** As of the last look; null = not known. */
  freeBytes: number | null = null;
  /** Of the file itself, as of the last look; looked at only when the disk alone has too little. */
  #unusedBytes = 0;
  #isLow = false;
  /** When the last write failed for lack of room, by the monotonic clock; null = none did lately. */
  #failedAt: number | null = null;
  #isBlind = false;

  constructor(readonly options: DiskOptions) {}

  /** Why nothing new may be written now; null = it may. */
  get refusal(): string | null {
    if (this.#isLow) return this.#lowReason();
    if (this.#failedAt === null || this.#sinceFailure >= PAUSE_MS) return null;
    return this.#fullReason();
  }

  /** Whether so little room is left that much may be gone before the next ordinary look. */
  get #isClose(): boolean {
    return this.freeBytes !== null && this.freeBytes < CLOSE * this.options.bytesMin;
  }

  get #sinceFailure(): number {
    return this.options.clock.monotonic() - this.#failedAt!;
  }

  #lowReason(): string {
    const { path, bytesMin } = this.options;
    const within = this.#unusedBytes > 0 ? `, and the file itself ${this.#unusedBytes}` : "";
    return `the disk of ${path} has ${this.freeBytes} bytes left${within}, disk.free.bytes.min is ${bytesMin}`;
  }

  #fullReason(): string {
    return `the disk of ${this.options.path} is full`;
  }

  /** Looks how much room there is. */
  async look(): Promise<void> {
    const { path, bytesMin, freeBytes, unusedBytes } = this.options;
    if (!freeBytes) return;
    try {
      this.freeBytes = await freeBytes(path);
      this.#isBlind = false;
    } catch (error) {
      if (!this.#isBlind) {
        const reason = (error as Error).message;
        log.warn("Cannot see how full the disk of {path} is: {reason}", { path, reason });
      }
      this.#isBlind = true;
      this.freeBytes = null;
    }
    // Once it is low, it takes an eighth more to be well again: else each record would turn it.
    const min = this.#isLow ? bytesMin + bytesMin / 8 : bytesMin;
    const isLow = this.freeBytes !== null && this.freeBytes < min;
    this.#unusedBytes = isLow && unusedBytes ? unusedBytes(path) : 0;
    // Not the sum: what is taken between two looks would be taken from the disk, each time a little more, until there
    // is nothing left for checkpoints.
    this.#isLow = isLow && this.#unusedBytes < min;
    this.#report();
  }

  /** A write happened (null), or failed for lack of room. */
  onWrite(error: Error | null): void {
    if (error) this.#failedAt = this.options.clock.monotonic();
    else if (this.#failedAt === null || this.#sinceFailure < PAUSE_MS) return; // small writes find room longest
    else this.#failedAt = null;
    this.#report();
  }

  /** Whether an error of the file comes from a disk without room, though it does not say so. */
  async isFull(): Promise<boolean> {
    await this.look();
    return this.freeBytes !== null && this.freeBytes < FULL_BYTES;
  }

  #report(): void {
    const { path, blocks, conditions } = this.options;
    const reason = this.#isLow
      ? this.#lowReason()
      : this.#failedAt !== null
      ? this.#fullReason()
      : null;
    const by = `${WHAT} ${path}`;
    if (reason === null) conditions.clear(WHAT, by);
    else conditions.set(WHAT, { reason, blocks }, by);
  }

  /**
   * Looks from time to time until the signal is aborted.
   *
   * @param probe writes as little as can be; called to see whether writes are possible again, since nobody else
   * may try
   */
  async run(
    stop: AbortSignal,
    probe: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const { clock } = this.options;
    while (!stop.aborted) {
      await this.look();
      const mayProbe = this.#failedAt !== null && !this.#isLow && this.#sinceFailure >= PAUSE_MS;
      // It is reported by the file that it writes to.
      if (mayProbe) await probe().catch(() => {});
      await clock.sleep(this.#isClose ? CLOSE_LOOK_MS : LOOK_MS, stop);
    }
  }
}
