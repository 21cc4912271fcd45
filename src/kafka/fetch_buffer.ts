import type { Clock } from "../types/mod.ts";
import type { FetchedBatch } from "./batches.ts";
import type { KafkaClient } from "./client/kafka_client.ts";
import type { FetchedPartition } from "./protocol/fetch.ts";

/** Bytes that are fetched of a partition before they are asked for. */
const BUFFER_BYTES_MAX = 1024 * 1024;
/** A leader at the end of a log answers every second: see WAIT_MS of fetcher.ts. */
const IDLE_MS_MAX = 5000;
/** A reason for an abort: without one an error with a stack is made each time. */
const OVER = "over";

export interface FetchBufferOptions {
  readonly partition: number;
  /** Offset of the first fetch. */
  readonly position: number;
  /** Up to here there are records for certain. */
  readonly stableEnd: number;
  readonly clock: Clock;
  readonly frames: KafkaClient["frames"] | undefined;
  /** Called when a buffer that was full has room again. */
  readonly onRoom: () => void;
}

/** What was fetched of one partition and not yet read, for one reader. */
export class FetchBuffer {
  readonly partition: number;
  /** Counts the jumps: what was fetched before a jump is of no use. */
  jumps = 0;
  /** A reader has come to the end of the log and waits for more: from then on it is fetched ahead there too. */
  isFollowed = false;
  /** Something failed since the log was last known to be the same. */
  isDoubtful = false;
  #position: number;
  #stableEnd: number;
  #end: number | null = null;
  /** End of the log as of the last fetch that found nothing behind the position, and when that was; -1 = not known. */
  #idleAt = -1;
  #idleSince = 0;
  /** Nothing was known of the end for a while since the reader was last given it. */
  #wasForgotten = false;
  #failure: Error | null = null;
  #bytes = 0;
  readonly #batches: FetchedBatch[] = [];
  #wake: (() => void) | null = null;
  /** What its reader has borrowed until its next read. */
  readonly #lent: Uint8Array[] = [];

  constructor(readonly options: FetchBufferOptions) {
    this.partition = options.partition;
    this.#position = options.position;
    this.#stableEnd = options.stableEnd;
  }

  /** Offset of the next fetch. */
  get position(): number {
    return this.#position;
  }

  /** Up to here there are records for certain. */
  get stableEnd(): number {
    return this.#stableEnd;
  }

  /** End of the log as of the last fetch; null before it. */
  get end(): number | null {
    return this.#end;
  }

  /** Nothing is known of the end of the log until the next answer. */
  forgetEnd(): void {
    this.#idleAt = -1;
    this.#wasForgotten = true;
  }

  /** Whether all that its leader has shown was fetched. */
  get isAtEnd(): boolean {
    return this.#position >= this.#stableEnd;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }

  get hasFailed(): boolean {
    return this.#failure !== null;
  }

  /**
   * Whether the partition is fetched now. At an end that is known nobody waits unless a reader does: a broker holds
   * such a request back until records come, and other partitions of its leader with it.
   */
  get isWanted(): boolean {
    if (this.#bytes >= BUFFER_BYTES_MAX || this.#failure) return false;
    return this.isFollowed || this.#wake !== null || this.#position < this.#stableEnd;
  }

  // ---- its reader ----

  /** Gives back what the read before has borrowed. */
  giveBack(): void {
    for (const batch of this.#lent.splice(0)) this.options.frames?.release(batch);
  }

  /** The reader may use the bytes until they are given back. */
  lend(batches: readonly Uint8Array[]): void {
    this.#lent.push(...batches);
  }

  /** Goes on at an offset; what is buffered stays if it begins there. */
  seek(offset: number): void {
    const batches = this.#batches;
    while (batches.length > 0 && batches[0]!.lastOffset < offset) this.#forget();
    const next = batches[0] ?? null;
    const first = next ? firstOffsetOf(next) : this.#position;
    if (first === offset || (next && first < offset)) return;
    while (batches.length > 0) this.#forget();
    this.#position = offset;
    this.#idleAt = -1;
    this.#failure = null;
    this.jumps++;
  }

  /** Takes batches out, one at least if there are any. */
  take(maxBytes: number): FetchedBatch[] {
    const taken: FetchedBatch[] = [];
    for (let bytes = 0; !this.isEmpty && (bytes === 0 || bytes < maxBytes);) {
      const batch = this.#drop();
      taken.push(batch);
      bytes += batch.bytes.length;
    }
    return taken;
  }

  /**
   * End of the log if nothing lies behind the position; -1 = that is not known, or was not all the time since the last
   * call. It counts for a moment alone: a leader that has not answered since may have records, or another one may.
   */
  takeEnd(): number {
    const isKnown = this.options.clock.monotonic() - this.#idleSince < IDLE_MS_MAX;
    const end = isKnown && !this.#wasForgotten ? this.#idleAt : -1;
    this.#wasForgotten = false;
    return end;
  }

  /** @throws what its reader is to be given, once */
  throwFailure(): void {
    const failure = this.#failure;
    this.#failure = null;
    if (failure) throw failure;
  }

  /** Resolves when something came (true), the time is over, or the signal is aborted (false). */
  wait(waitMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (waitMs <= 0) return Promise.resolve(false);
    return new Promise((resolve) => {
      const over = new AbortController();
      const end = (came: boolean) => {
        signal?.removeEventListener("abort", stopped);
        this.#wake = null;
        over.abort(OVER);
        resolve(came);
      };
      const stopped = () => end(false);
      if (signal?.aborted) return end(false);
      signal?.addEventListener("abort", stopped);
      this.#wake = () => end(true);
      if (waitMs === Infinity) return;
      void this.options.clock.sleep(waitMs, over.signal).then(() => {
        if (!over.signal.aborted) end(false);
      });
    });
  }

  // ---- who fetches ----

  /** Its reader looks again. */
  wake(): void {
    this.#wake?.();
  }

  /** Its reader is given an error; of several the last one, unless `first` is kept. */
  fail(error: Error, keep: "first" | "last" = "last"): void {
    if (keep === "last" || !this.#failure) this.#failure = error;
    this.wake();
  }

  /** Keeps what was fetched behind the position. */
  keep(batches: readonly FetchedBatch[], fetched: FetchedPartition): void {
    const from = this.#position;
    for (const batch of batches) {
      // The first batch may begin, or even end, below the offset that was asked for.
      if (batch.lastOffset < from) continue;
      this.#batches.push(batch);
      this.options.frames?.hold(batch.bytes);
      this.#bytes += batch.bytes.length;
      this.#position = batch.lastOffset + 1;
    }
    this.#end = fetched.highWatermark;
    this.#stableEnd = Math.max(this.#stableEnd, fetched.lastStableOffset);
    this.#idleAt = this.#position === from ? fetched.highWatermark : -1;
    this.#idleSince = this.options.clock.monotonic();
    if (!this.isEmpty) this.wake();
  }

  /** Whether an answer shows less than was shown before, of which something is still to be fetched. */
  misses({ lastStableOffset }: FetchedPartition): boolean {
    return lastStableOffset < this.#stableEnd && !this.isAtEnd;
  }

  /** Takes the first batch out, and reports when that makes room. */
  #drop(): FetchedBatch {
    const batch = this.#batches.shift()!;
    const full = this.#bytes >= BUFFER_BYTES_MAX;
    this.#bytes -= batch.bytes.length;
    if (full && this.#bytes < BUFFER_BYTES_MAX) this.options.onRoom();
    return batch;
  }

  /** Drops a batch that nobody has read. */
  #forget(): void {
    this.options.frames?.release(this.#drop().bytes);
  }
}

function firstOffsetOf({ bytes }: FetchedBatch): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigInt64(0));
}
