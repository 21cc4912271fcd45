// A hash of many records that does not depend on their order: engines interleave the items of a partition
// differently.

import type { LogRecord } from "../../src/types/mod.ts";

/** How many records, and a hash of all of them. */
export interface Digest {
  readonly records: number;
  readonly hash: string;
}

const FNV_PRIME = 0x01000193;
const encoder = new TextEncoder();

/** A sum of two hashes of 32 bits of each record: records may be added in any order. */
export class RecordSum {
  records = 0;
  #a = 0;
  #b = 0;
  /** Of the record that is being added. */
  #x = 0;
  #y = 0;

  /** Adds a record by its key and value; with its headers too for those that have some. */
  add({ key, value, headers }: Pick<LogRecord, "key" | "value" | "headers">): void {
    this.#x = 0x811c9dc5 | 0;
    this.#y = 0x2545f491 | 0;
    this.#field(key);
    this.#field(value);
    for (const header of headers.toSorted((a, b) => a.key < b.key ? -1 : 1)) {
      this.#field(encoder.encode(header.key));
      this.#field(header.value);
    }
    this.records++;
    this.#a = (this.#a + this.#x) | 0;
    this.#b = (this.#b + this.#y) | 0;
  }

  get digest(): Digest {
    const hex = (n: number) => (n >>> 0).toString(16).padStart(8, "0");
    return { records: this.records, hash: hex(this.#a) + hex(this.#b) };
  }

  #field(bytes: Uint8Array | null): void {
    let x = this.#x ^ (bytes?.length ?? -1);
    let y = this.#y;
    if (bytes) {
      for (let i = 0; i < bytes.length; i++) {
        // FNV-1a, and a multiplicative hash with a rotation beside it.
        x = Math.imul(x ^ bytes[i]!, FNV_PRIME);
        y = Math.imul((y << 5 | y >>> 27) ^ bytes[i]!, 0x27220a95);
      }
    }
    this.#x = Math.imul(x, FNV_PRIME);
    this.#y = Math.imul(y ^ y >>> 15, 0x2c1b3c6d);
  }
}

/** Digests of one engine, by what they are of. */
export type Answers = Readonly<Record<string, Digest>>;

/** Where two engines differ, one line for each kind; none if they say the same. */
export function differences(
  [nameA, a]: readonly [string, Answers],
  [nameB, b]: readonly [string, Answers],
): string[] {
  const show = (digest: Digest | undefined) =>
    digest ? `${digest.records} records, ${digest.hash}` : "none";
  return Object.keys({ ...a, ...b })
    .filter((kind) => a[kind] && b[kind] && show(a[kind]) !== show(b[kind]))
    .map((kind) => `${kind}: ${nameA} has ${show(a[kind])}; ${nameB} has ${show(b[kind])}`);
}
