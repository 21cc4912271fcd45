import { getLogger } from "@logtape/logtape";
import type { Clock } from "../types/mod.ts";
import type { Blocked, Conditions } from "./conditions.ts";

const log = getLogger(["stockflow", "job"]);

/** How often it is looked how much room there is. */
const LOOK_MS = 500;
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
export class Disk {
  /** As of the last look; null = not known. */
  freeBytes: number | null = null;
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

  get #sinceFailure(): number {
    return this.options.clock.monotonic() - this.#failedAt!;
  }

  #lowReason(): string {
    const { path, bytesMin } = this.options;
    return `the disk of ${path} has ${this.freeBytes} bytes left, disk.free.bytes.min is ${bytesMin}`;
  }

  #fullReason(): string {
    return `the disk of ${this.options.path} is full`;
  }

  /** Looks how much room there is. */
  async look(): Promise<void> {
    const { path, bytesMin, freeBytes } = this.options;
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
    this.#isLow = this.freeBytes !== null && this.freeBytes < min;
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
      await clock.sleep(LOOK_MS, stop);
    }
  }
}
