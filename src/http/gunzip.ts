import type { Slices } from "../types/mod.ts";
import { discardBytes } from "./discard_bytes.ts";

/** What is inflated at once: deflate makes at most 1032 bytes of one. */
const SLICE_BYTES = 1024;

/** The bytes are not one whole gzip member. */
export class GzipError extends Error {
  override readonly name = "GzipError";
}

/**
 * Inflates one gzip member (RFC 1952) as it comes, in slices of at most about 1 MiB of output. More than one member
 * is refused: cut between two of them, it would look whole.
 */
export class Gunzip {
  readonly #stream = new DecompressionStream("gzip");
  readonly #writer = this.#stream.writable.getWriter();
  readonly #reader = this.#stream.readable.getReader();
  readonly #read: Promise<void>;
  #failure: unknown = null;

  constructor(
    /** Takes what was inflated, which is valid until it returns; what it throws ends everything. */
    readonly onBytes: (bytes: Uint8Array) => void,
    readonly slices: Slices,
  ) {
    this.#read = this.#readAll();
    this.#read.catch(() => {});
    this.#writer.closed.catch(() => {});
  }

  async #readAll(): Promise<void> {
    try {
      for (let r = await this.#reader.read(); !r.done; r = await this.#reader.read()) {
        try {
          this.onBytes(r.value);
        } finally {
          discardBytes(r.value);
        }
      }
    } catch (error) {
      this.#failure ??= error;
      void this.#reader.cancel(error).catch(() => {});
      throw error;
    }
  }

  /**
   * @throws {GzipError}
   * @throws what onBytes throws
   */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      const slice = bytes.slice(at, at + SLICE_BYTES);
      await this.#orFailure(this.#writer.write(slice));
      if (this.slices.isDue(16 * slice.length)) await this.slices.next();
    }
  }

  /**
   * Everything has come: checks the trailer.
   *
   * @throws {GzipError}
   */
  async end(): Promise<void> {
    await this.#orFailure(this.#writer.close());
    await this.#orFailure(this.#read);
  }

  /** Gives it up. */
  async abort(): Promise<void> {
    await this.#writer.abort().catch(() => {});
    await this.#read.catch(() => {});
  }

  async #orFailure(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      await this.#read.catch(() => {});
      const failure = this.#failure ?? error;
      // The stream's own errors are TypeErrors about its data.
      if (!(failure instanceof TypeError)) throw failure;
      throw new GzipError(`The body is not one whole gzip member: ${failure.message}`);
    }
    if (this.#failure !== null) throw this.#failure;
  }
}
