import type { Kv } from "../kv/mod.ts";
import { type Chance, retry, type RetryOptions } from "../types/mod.ts";

/**
 * Atomic writes of one owner of a partition. Each sets a mark that no other has and checks the one before it. So it is
 * known whether a write happened that ended in an error or was answered as refused: a client of a KV on another machine
 * sends a write again by itself after a broken connection, and the second one is refused because of the first. And one
 * that hung cannot happen later, behind those that were made instead of it: a late removal would take a chunk away that
 * was written since.
 */
export class MarkedWrites {
  /** Marks by which this owner's writes are known. */
  readonly #name: string;
  #tried = 0;
  /** Of the mark that the next write expects. */
  #versionstamp: string | null;

  private constructor(
    readonly kv: Kv,
    readonly key: Deno.KvKey,
    readonly waits: RetryOptions,
    chance: Chance,
    versionstamp: string | null,
  ) {
    this.#name = Array.from({ length: 4 }, () => Math.floor(chance() * 2 ** 32).toString(36))
      .join(" ");
    this.#versionstamp = versionstamp;
  }

  /** Goes on behind the last mark that there is. */
  static async open(
    kv: Kv,
    key: Deno.KvKey,
    waits: RetryOptions,
    chance: Chance,
  ): Promise<MarkedWrites> {
    const { versionstamp } = await kv.get(key);
    return new MarkedWrites(kv, key, waits, chance, versionstamp);
  }

  /**
   * Writes what `fill` adds to an atomic operation, once.
   *
   * @returns its versionstamp; null when one of its checks failed, and nothing was written
   * @throws {Error} when the KV fails again and again; then it is not known whether it was written
   */
  async commit(fill: (atomic: Deno.AtomicOperation) => void): Promise<string | null> {
    const mark = `${this.#name} ${++this.#tried}`;
    const versionstamp = await retry(() => this.#try(mark, fill), this.waits);
    if (versionstamp !== null) this.#versionstamp = versionstamp;
    return versionstamp;
  }

  async #try(
    mark: string,
    fill: (atomic: Deno.AtomicOperation) => void,
  ): Promise<string | null> {
    while (true) {
      const atomic = this.kv.atomic()
        .check({ key: this.key, versionstamp: this.#versionstamp })
        .set(this.key, mark);
      fill(atomic);
      const result = await atomic.commit();
      if (result.ok) return result.versionstamp;
      const { value, versionstamp } = await this.kv.get<string>(this.key);
      // An attempt before this one happened.
      if (value === mark) return versionstamp;
      // The mark is as expected, so a check of `fill` failed; or it is one of another owner.
      if (versionstamp === this.#versionstamp || !value?.startsWith(`${this.#name} `)) return null;
      // A write of this owner that was given up happened after all.
      this.#versionstamp = versionstamp;
    }
  }
}
