import { getLogger } from "@logtape/logtape";
import { retry, type RetryOptions } from "../types/mod.ts";
import type { Kv } from "../kv/kv.ts";
import { HungError } from "../kv/watched_kv.ts";
import { isNoRoom, NoRoomError, WriteFailedError } from "../kv/mod.ts";

const log = getLogger(["stockflow", "log"]);

const MARKER: Deno.KvKey = ["commit"];

/** Which commit was the last one: the n-th of a writer. */
interface Marker {
  /** Counts those who opened the KV to write. */
  readonly writer: number;
  readonly commit: number;
}

/** Something was written that this process does not know of; nothing is known before a reload. */
export class UnknownWriteError extends Error {
  override readonly name = "UnknownWriteError";
}

/**
 * Atomic commits to a KV that this process alone writes to. Each carries a number that no other has, so
 * that of a commit that ended in an error it is known whether it happened; and each checks the one
 * before, so that a commit that hung cannot happen later behind others.
 */
export class MarkedCommits {
  #writer = 0;
  /** Commits tried so far. */
  #tried = 0;
  /** Of the marker that the next commit expects. */
  #versionstamp: string | null = null;

  readonly waits: RetryOptions;

  private constructor(readonly kv: Kv, waits: RetryOptions) {
    const isFinal = (error: unknown) =>
      error instanceof HungError || error instanceof UnknownWriteError || isNoRoom(error);
    const onRetry = ({ message }: Error) =>
      log.warn("The log's file is tried again: {reason}", { reason: message });
    this.waits = { ...waits, isFinal, onRetry };
  }

  static async open(kv: Kv, waits: RetryOptions): Promise<MarkedCommits> {
    const commits = new MarkedCommits(kv, waits);
    const { value, versionstamp } = await kv.get<Marker>(MARKER);
    commits.#writer = (value?.writer ?? 0) + 1;
    commits.#versionstamp = versionstamp;
    if (await commits.commit(() => {})) return commits;
    throw new UnknownWriteError("The log is being opened by another");
  }

  /** Reads the last commit's marker, when it is not known whether one happened. */
  async reload(): Promise<void> {
    this.#versionstamp = (await this.kv.get(MARKER)).versionstamp;
  }

  /**
   * Commits what `fill` adds to an atomic operation.
   *
   * @returns false when one of its checks failed; nothing was written then
   * @throws {NoRoomError} when the disk has no room, without trying again; nothing was written then
   * @throws {WriteFailedError} when the KV refused repeatedly; nothing was written then
   * @throws any other error when it cannot be known whether the last attempt was written
   */
  async commit(fill: (atomic: Deno.AtomicOperation) => void): Promise<boolean> {
    const marker: Marker = { writer: this.#writer, commit: ++this.#tried };
    let known = true;
    try {
      return await retry(async () => {
        if (!known && await this.#happened(marker)) return true;
        known = false;
        const atomic = this.kv.atomic()
          .check({ key: MARKER, versionstamp: this.#versionstamp })
          .set(MARKER, marker);
        fill(atomic);
        const result = await atomic.commit();
        known = true;
        if (result.ok) this.#versionstamp = result.versionstamp;
        // A check failed: one of fill's, or the marker's.
        return result.ok || await this.#happened(marker);
      }, this.waits);
    } catch (error) {
      if (error instanceof UnknownWriteError) throw error;
      if (!known && await this.#happened(marker)) return true;
      if (error instanceof HungError) throw error; // it may still happen
      const Failed = isNoRoom(error) ? NoRoomError : WriteFailedError;
      throw new Failed(`Cannot write to the log: ${(error as Error).message}`, { cause: error });
    }
  }

  /** @throws {UnknownWriteError} when the last commit is neither this one nor the one before it */
  async #happened({ writer, commit }: Marker): Promise<boolean> {
    const { value, versionstamp } = await retry(() => this.kv.get<Marker>(MARKER), this.waits);
    if (versionstamp === this.#versionstamp) return false;
    if (value?.writer !== writer || value.commit !== commit) {
      throw new UnknownWriteError(`The log was written by another commit`);
    }
    this.#versionstamp = versionstamp;
    return true;
  }
}
