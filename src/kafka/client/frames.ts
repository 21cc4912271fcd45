import { Buffer } from "node:buffer";
import { BufferPool } from "../../wasm/mod.ts";

/** The memory of smaller frames is not kept. */
const KEPT_BYTES_MIN = 128 * 1024;
/** Sizes are multiples of it, so that a frame of about the same length fits. */
const STEP_BYTES = 256 * 1024;
/** Bytes that wait for the next frames at the most. */
const FREE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Memory of frames, which is used again when no view of a frame is held any more. The frame is detached then: a view
 * that somebody kept without holding it is empty from then on, and never shows other bytes.
 */
export class Frames {
  readonly #pool = new BufferPool(FREE_BYTES_MAX);
  /** How often each frame is held. */
  readonly #holds = new WeakMap<ArrayBufferLike, number>();

  /** Room for a frame of so many bytes, whose content is not defined. */
  take(length: number): Buffer {
    const { buffer } = length < KEPT_BYTES_MIN
      ? new Uint8Array(length)
      : this.#pool.take(Math.ceil(length / STEP_BYTES) * STEP_BYTES);
    this.#holds.set(buffer, 0);
    return Buffer.from(buffer, 0, length);
  }

  /** Keeps the frame that a view is of, until it is released as often. */
  hold({ buffer }: Uint8Array): void {
    const held = this.#holds.get(buffer);
    if (held !== undefined) this.#holds.set(buffer, held + 1);
  }

  /** Ends a hold; nobody may use the view any more. */
  release({ buffer }: Uint8Array): void {
    const held = this.#holds.get(buffer);
    if (held === undefined) return;
    this.#holds.set(buffer, held - 1);
    if (held > 1) return;
    this.#holds.delete(buffer);
    const free = new Uint8Array((buffer as ArrayBuffer).transfer());
    if (free.length >= KEPT_BYTES_MIN) this.#pool.give(free);
  }
}
