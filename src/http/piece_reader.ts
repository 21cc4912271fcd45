const BUFFER_BYTES = 32_768;

/**
 * Reads a stream piece by piece into one buffer, where the stream can do so: a buffer for every piece would be garbage
 * that is collected late, for little of it lies in the heap.
 */
export class PieceReader {
  readonly #bytes: ReadableStreamBYOBReader | null;
  readonly #other: ReadableStreamDefaultReader<Uint8Array> | null;
  #buffer = new ArrayBuffer(BUFFER_BYTES);

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#bytes = byobReader(stream);
    this.#other = this.#bytes ? null : stream.getReader();
  }

  /** The next bytes, which are valid until the next call; null at the end, and after cancel. */
  async read(): Promise<Uint8Array | null> {
    if (this.#other) {
      const { done, value } = await this.#other.read();
      return done ? null : value;
    }
    const { done, value } = await this.#bytes!.read(new Uint8Array(this.#buffer));
    if (done || !value) return null;
    this.#buffer = value.buffer;
    return value;
  }

  /** Gives it up; a read that waits resolves. */
  cancel(): void {
    void (this.#bytes ?? this.#other)!.cancel().catch(() => {});
  }
}

/** Null where a stream is not made of bytes. */
function byobReader(stream: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | null {
  try {
    return stream.getReader({ mode: "byob" });
  } catch {
    return null;
  }
}
