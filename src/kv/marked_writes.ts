// Atomic writes to a KV of which it is known whether they happened.
//
// Each sets a mark that no other has, under one key, and checks the mark of the write before it. So the mark says of a
// write that ended in an error whether it happened; and one that hung cannot happen later, behind those that were made
// instead of it.
//
// Two kinds of writers differ in what another's mark means. SoleWrites: nobody else writes, so nothing is known any more.
// OwnedWrites: an owner has been followed by another one, or by itself.

import { type Chance, retry, type RetryOptions } from "../types/mod.ts";
import type { Kv } from "./kv.ts";
import { HungError } from "./watched_kv.ts";
import { isNoRoom, NoRoomError, WriteFailedError } from "./write_errors.ts";

/** Adds to an atomic operation what is to be written. */
type Fill = (atomic: Deno.AtomicOperation) => void;

/** Writes under one key's marks, one after the other. */
class MarkedWrites {
  /** Writes tried so far. */
  protected tried = 0;

  protected constructor(
    readonly kv: Kv,
    readonly key: Deno.KvKey,
    readonly waits: RetryOptions,
    /** Of the mark that the next write expects. */
    protected versionstamp: string | null,
  ) {}

  /** The next write: it happens behind the mark that is expected, or not at all. */
  protected next(mark: unknown, fill: Fill): Deno.AtomicOperation {
    const atomic = this.kv.atomic()
      .check({ key: this.key, versionstamp: this.versionstamp })
      .set(this.key, mark);
    fill(atomic);
    return atomic;
  }
}

// ---- of one who writes alone ----

/** Which write was the last one: the n-th of a writer. */
interface Marker {
  /** Counts those who opened the KV to write. */
  readonly writer: number;
  readonly commit: number;
}

/** Something was written that this process does not know of; nothing is known before a reload. */
export class UnknownWriteError extends Error {
  override readonly name = "UnknownWriteError";
}

export interface SoleWritesOptions {
  readonly key: Deno.KvKey;
  readonly waits: RetryOptions;
  /** What is written, for messages, such as "log". */
  readonly what: string;
}

/** Writes to a KV that this process alone writes to. */
export class SoleWrites extends MarkedWrites {
  #writer = 0;

  private constructor(kv: Kv, { key, waits }: SoleWritesOptions, readonly what: string) {
    const isFinal = (error: unknown) =>
      error instanceof HungError || error instanceof UnknownWriteError || isNoRoom(error);
    super(kv, key, { ...waits, isFinal }, null);
  }

  static async open(kv: Kv, options: SoleWritesOptions): Promise<SoleWrites> {
    const { key, what } = options;
    const writes = new SoleWrites(kv, options, what);
    const { value, versionstamp } = await kv.get<Marker>(key);
    writes.#writer = (value?.writer ?? 0) + 1;
    writes.versionstamp = versionstamp;
    if (await writes.commit(() => {})) return writes;
    throw new UnknownWriteError(`The ${what} is being opened by another`);
  }

  /** Reads the last write's mark, when it is not known whether one happened. */
  async reload(): Promise<void> {
    this.versionstamp = (await this.kv.get(this.key)).versionstamp;
  }

  /**
   * Writes what `fill` adds to an atomic operation.
   *
   * @returns false when one of its checks failed; nothing was written then
   * @throws {NoRoomError} when the disk has no room, without trying again; nothing was written then
   * @throws {WriteFailedError} when the KV refused repeatedly; nothing was written then
   * @throws any other error when it cannot be known whether the last attempt was written
   */
  async commit(fill: Fill): Promise<boolean> {
    const marker: Marker = { writer: this.#writer, commit: ++this.tried };
    let known = true;
    try {
      return await retry(async () => {
        if (!known && await this.#happened(marker)) return true;
        known = false;
        const result = await this.next(marker, fill).commit();
        known = true;
        if (result.ok) this.versionstamp = result.versionstamp;
        // A check failed: one of fill's, or the marker's.
        return result.ok || await this.#happened(marker);
      }, this.waits);
    } catch (error) {
      if (error instanceof UnknownWriteError) throw error;
      if (!known && await this.#happened(marker)) return true;
      if (error instanceof HungError) throw error; // it may still happen
      const Failed = isNoRoom(error) ? NoRoomError : WriteFailedError;
      throw new Failed(`Cannot write to the ${this.what}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /** @throws {UnknownWriteError} when the last write is neither this one nor the one before it */
  async #happened({ writer, commit }: Marker): Promise<boolean> {
    const { value, versionstamp } = await retry(() => this.kv.get<Marker>(this.key), this.waits);
    if (versionstamp === this.versionstamp) return false;
    if (value?.writer !== writer || value.commit !== commit) {
      throw new UnknownWriteError(`The ${this.what} was written by another commit`);
    }
    this.versionstamp = versionstamp;
    return true;
  }
}

// ---- of owners that follow each other ----

/**
 * Writes of one owner, until another one follows. Whether a write happened is also known where it was answered as
 * refused: a client of a KV on another machine sends a write again by itself after a broken connection, and the second
 * one is refused because of the first. A late removal, which is refused, would take a chunk away that was written since.
 */
export class OwnedWrites extends MarkedWrites {
  /** Marks by which this owner's writes are known begin so. */
  readonly #name: string;

  private constructor(
    kv: Kv,
    key: Deno.KvKey,
    waits: RetryOptions,
    chance: Chance,
    versionstamp: string | null,
  ) {
    super(kv, key, waits, versionstamp);
    this.#name = Array.from({ length: 4 }, () => Math.floor(chance() * 2 ** 32).toString(36))
      .join(" ");
  }

  /** Goes on behind the last mark that there is. */
  static async open(
    kv: Kv,
    key: Deno.KvKey,
    waits: RetryOptions,
    chance: Chance,
  ): Promise<OwnedWrites> {
    const { versionstamp } = await kv.get(key);
    return new OwnedWrites(kv, key, waits, chance, versionstamp);
  }

  /**
   * Writes what `fill` adds to an atomic operation, once.
   *
   * @returns its versionstamp; null when one of its checks failed, and nothing was written
   * @throws {Error} when the KV fails again and again; then it is not known whether it was written
   */
  async commit(fill: Fill): Promise<string | null> {
    const mark = `${this.#name} ${++this.tried}`;
    const versionstamp = await retry(() => this.#try(mark, fill), this.waits);
    if (versionstamp !== null) this.versionstamp = versionstamp;
    return versionstamp;
  }

  async #try(mark: string, fill: Fill): Promise<string | null> {
    while (true) {
      const result = await this.next(mark, fill).commit();
      if (result.ok) return result.versionstamp;
      const { value, versionstamp } = await this.kv.get<string>(this.key);
      // An attempt before this one happened.
      if (value === mark) return versionstamp;
      // The mark is as expected, so a check of `fill` failed; or it is one of another owner.
      if (versionstamp === this.versionstamp || !value?.startsWith(`${this.#name} `)) return null;
      // A write of this owner that was given up happened after all.
      this.versionstamp = versionstamp;
    }
  }
}
