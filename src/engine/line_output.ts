import { type Clock, encodeUtf8, systemClock } from "../types/mod.ts";

/** Bytes that wait for whoever reads, at the most, before parameters are known; see output.queue.bytes.max. */
const QUEUE_BYTES_MAX = 1024 * 1024;
/** Bytes of one write. */
const WRITE_BYTES = 64 * 1024;
/** How long an output that is busy is left alone. */
const BUSY_MS = 50;

/** What is written to, such as standard error. */
export interface LineStream {
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * Lines on their way to standard output or standard error. Whoever reads there may stop to do so, for instance a
 * full pipe or a terminal stopped by Ctrl-S: nobody in this process waits for that. Lines wait in a bounded queue.
 */
export class LineOutput {
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isWriting = false;
  #isBroken = false;
  /** Resolved when the queue becomes shorter. */
  #shorter = Promise.withResolvers<void>();
  /** Lines that were dropped so far, because too many waited or nobody can read them. */
  dropped = 0;
  #reported = 0;

  constructor(
    readonly stream: LineStream,
    readonly clock: Clock = systemClock,
    /** Bytes from which on lines are dropped, or whoever prints is to wait. */
    public bytesMax: number = QUEUE_BYTES_MAX,
    /** The line that reports how many were dropped, once there is room again. */
    readonly droppedLine: (count: number) => string = (count) => `${count} lines were dropped\n`,
  ) {}

  /** Whether so much waits that whoever has more should wait. */
  get isFull(): boolean {
    return this.#queuedBytes >= this.bytesMax;
  }

  /** Writes a text that may be dropped. */
  write(text: string): void {
    if (this.isFull || this.#isBroken) this.dropped++;
    else this.#add(text);
  }

  /** Writes a text that must not be dropped; see {@link room}. */
  print(text: string): void {
    if (this.#isBroken) this.dropped++;
    else this.#add(text);
  }

  /** Resolves when there is room for more, or the signal is aborted. */
  async room(signal: AbortSignal): Promise<void> {
    const stopped = Promise.withResolvers<void>();
    const stop = () => stopped.resolve();
    signal.addEventListener("abort", stop);
    while (this.isFull && !signal.aborted) {
      await Promise.race([this.#shorter.promise, stopped.promise]);
    }
    signal.removeEventListener("abort", stop);
  }

  /** Resolves when everything is written, or after so many ms. */
  async flush(ms: number): Promise<void> {
    const over = new AbortController();
    void this.clock.sleep(ms, over.signal).then(() => over.abort("over"));
    const stopped = new Promise<void>((resolve) =>
      over.signal.addEventListener("abort", () => resolve())
    );
    while (this.#queue.length > 0 && !over.signal.aborted) {
      await Promise.race([this.#shorter.promise, stopped]);
    }
    over.abort("written");
  }

  #add(text: string): void {
    const bytes = encodeUtf8(text);
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (!this.#isWriting) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isWriting = true;
    while (this.#queue.length > 0) {
      await this.#writeSome();
      if (this.dropped > this.#reported && !this.isFull && !this.#isBroken) {
        const count = this.dropped - this.#reported;
        this.#reported = this.dropped;
        this.#add(this.droppedLine(count));
      }
    }
    this.#isWriting = false;
  }

  /** Writes the first lines; they stay in the queue until they are written. */
  async #writeSome(): Promise<void> {
    let count = 0;
    let bytes = 0;
    while (count < this.#queue.length && (count === 0 || bytes < WRITE_BYTES)) {
      bytes += this.#queue[count++]!.length;
    }
    const joined = new Uint8Array(bytes);
    let at = 0;
    for (const part of this.#queue.slice(0, count)) {
      joined.set(part, at);
      at += part.length;
    }
    try {
      for (let done = 0; done < bytes;) done += await this.#writePart(joined.subarray(done));
    } catch {
      // It is closed: nobody reads any more, and nobody can be notified.
      this.#isBroken = true;
      this.dropped += this.#queue.length;
      count = this.#queue.length;
    }
    for (const part of this.#queue.splice(0, count)) this.#queuedBytes -= part.length;
    this.#shorter.resolve();
    this.#shorter = Promise.withResolvers();
  }

  async #writePart(bytes: Uint8Array): Promise<number> {
    try {
      return await this.stream.write(bytes);
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      await this.clock.sleep(BUSY_MS);
      return 0;
    }
  }
}

/** Standard error of this thread: logs and the progress bar. */
export const standardError: LineOutput = new LineOutput(
  Deno.stderr,
  systemClock,
  QUEUE_BYTES_MAX,
  (count) => {
    const text = `${count} log lines were dropped, because nobody read standard error`;
    if (Deno.stderr.isTerminal()) return `\r\x1b[K${text}\n`;
    const time = new Date(systemClock.now()).toISOString();
    return JSON.stringify({
      time,
      level: "warning",
      logger: "stockflow.log",
      message: text,
      count,
    }) + "\n";
  },
);

/** Standard output: what the service prints at its start, and answers of the socket job. */
export const standardOutput: LineOutput = new LineOutput(Deno.stdout);

/** How long the last lines may take. */
const LAST_MS = 1000;

/** Waits until the last lines are written, a second at the most. */
export async function flushOutputs(): Promise<void> {
  await Promise.all([standardError.flush(LAST_MS), standardOutput.flush(LAST_MS)]);
}
