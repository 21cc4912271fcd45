/**
 * Buffers that are used again. A fresh buffer of a megabyte costs five times its copy: its pages are
 * mapped and zeroed, and the collector runs each time some 64 MiB of them are gone.
 */
export class BufferPool {
  readonly #free: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;

  /** @param bytesMax bytes that are kept at the most */
  constructor(readonly bytesMax: number) {}

  /** A buffer of so many bytes, whose content is not defined. */
  take(length: number): Uint8Array<ArrayBuffer> {
    let best = -1;
    for (const [i, { byteLength }] of this.#free.entries()) {
      if (byteLength < length || byteLength > 2 * length) continue;
      if (best < 0 || byteLength < this.#free[best]!.byteLength) best = i;
    }
    if (best < 0) return new Uint8Array(length);
    const [found] = this.#free.splice(best, 1);
    this.#bytes -= found!.byteLength;
    return found!.subarray(0, length);
  }

  /** Gives back what was taken; nobody may use it any more. What was moved to another thread is gone. */
  give({ buffer }: Uint8Array<ArrayBuffer>): void {
    if (buffer.byteLength === 0 || this.#bytes + buffer.byteLength > this.bytesMax) return;
    this.#free.push(new Uint8Array(buffer));
    this.#bytes += buffer.byteLength;
  }
}
