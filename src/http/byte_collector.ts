import { discardBytes } from "./discard_bytes.ts";

const BLOCK_BYTES_MIN = 4096;
const BLOCK_BYTES_MAX = 262_144;

/**
 * Puts pieces together, however small they are: they are copied into blocks, for a piece of one byte takes some
 * hundred bytes as an object of its own.
 */
export class ByteCollector {
  readonly #blocks: Uint8Array<ArrayBuffer>[] = [];
  /** Bytes of the last block that are filled. */
  #filled = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(piece: Uint8Array): void {
    this.#length += piece.length;
    while (piece.length > 0) {
      const block = this.#room();
      const part = piece.subarray(0, block.length - this.#filled);
      block.set(part, this.#filled);
      this.#filled += part.length;
      piece = piece.subarray(part.length);
    }
  }

  /** The last block, with room in it. */
  #room(): Uint8Array<ArrayBuffer> {
    const last = this.#blocks.at(-1);
    if (last && this.#filled < last.length) return last;
    const length = Math.min(Math.max(BLOCK_BYTES_MIN, this.#length), BLOCK_BYTES_MAX);
    const block = new Uint8Array(length);
    this.#blocks.push(block);
    this.#filled = 0;
    return block;
  }

  /** All bytes; the collector is not to be used again. */
  take(): Uint8Array<ArrayBuffer> {
    if (this.#blocks.length === 1) return this.#blocks[0]!.subarray(0, this.#filled);
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const block of this.#blocks) {
      const part = block.subarray(0, Math.min(block.length, this.#length - at));
      all.set(part, at);
      at += part.length;
      discardBytes(block);
    }
    this.#blocks.length = 0;
    return all;
  }

  /** Gives up what it has; it is not to be used again. */
  free(): void {
    for (const block of this.#blocks) discardBytes(block);
    this.#blocks.length = this.#length = 0;
  }
}
