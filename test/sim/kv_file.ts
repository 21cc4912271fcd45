// A KV file that outlives the processes that open it: keys in Deno KV's order, versionstamps, atomic
// commits with checks, Deno KV's limits.

/** Deno KV's limits. */
const VALUE_BYTES_MAX = 65_536;
const COMMIT_BYTES_MAX = 819_200;
const MUTATIONS_MAX = 1000;
const CHECKS_MAX = 100;

export interface Entry {
  readonly key: Deno.KvKey;
  value: unknown;
  readonly versionstamp: string;
}

export interface Mutation {
  readonly key: Deno.KvKey;
  /** Undefined = the key is deleted. */
  readonly value: unknown;
}

export class KvFile {
  /** Encoded keys, sorted. */
  readonly #keys: string[] = [];
  readonly #entries = new Map<string, Entry>();
  #version = 0;
  /** Virtual time until which its disk has no room. */
  fullUntil = 0;

  constructor(readonly name: string) {}

  get(key: Deno.KvKey): Entry | null {
    return this.#entries.get(encodeKey(key)) ?? null;
  }

  /** Entries whose encoded keys lie in [from, to), in order; at most `limit`. */
  range(from: string, to: string, limit = Infinity, reverse = false): Entry[] {
    const low = this.#indexOf(from);
    const high = this.#indexOf(to);
    const keys = reverse
      ? this.#keys.slice(Math.max(low, high - limit), high).reverse()
      : this.#keys.slice(low, Math.min(high, low + limit));
    return keys.map((key) => this.#entries.get(key)!);
  }

  /** All entries below a prefix. */
  below(prefix: Deno.KvKey): Entry[] {
    const { from, to } = boundsOf({ prefix });
    return this.range(from, to);
  }

  /** One atomic commit; null when a check failed. */
  commit(checks: readonly Deno.AtomicCheck[], mutations: readonly Mutation[]): string | null {
    const names = mutations.map(({ key }) => encodeKey(key));
    assertLimits(checks, mutations, names);
    for (const { key, versionstamp } of checks) {
      if ((this.get(key)?.versionstamp ?? null) !== versionstamp) return null;
    }
    const versionstamp = (++this.#version).toString(16).padStart(20, "0");
    for (const [i, { key, value }] of mutations.entries()) {
      const name = names[i]!;
      if (value === undefined) this.#delete(name);
      else this.#set(name, { key, value, versionstamp });
    }
    return versionstamp;
  }

  /** Changes a value as a failing disk would: nobody is notified, the versionstamp stays. */
  damage(key: Deno.KvKey, value: Uint8Array | null): void {
    const name = encodeKey(key);
    if (value) this.#entries.get(name)!.value = value;
    else this.#delete(name);
  }

  #indexOf(name: string): number {
    let low = 0;
    for (let high = this.#keys.length; low < high;) {
      const middle = (low + high) >> 1;
      if (this.#keys[middle]! < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #set(name: string, entry: Entry): void {
    if (!this.#entries.has(name)) this.#keys.splice(this.#indexOf(name), 0, name);
    this.#entries.set(name, entry);
  }

  #delete(name: string): void {
    if (this.#entries.delete(name)) this.#keys.splice(this.#indexOf(name), 1);
  }
}

/** @param names the mutations' encoded keys */
function assertLimits(
  checks: readonly unknown[],
  mutations: readonly Mutation[],
  names: readonly string[],
): void {
  let total = 0;
  for (const [i, { value }] of mutations.entries()) {
    const bytes = value instanceof Uint8Array ? value.length : 100;
    if (bytes > VALUE_BYTES_MAX) throw new TypeError(`A value of ${bytes} bytes is too large`);
    total += bytes + names[i]!.length;
  }
  if (total > COMMIT_BYTES_MAX) throw new TypeError(`A commit of ${total} bytes is too large`);
  if (mutations.length > MUTATIONS_MAX) throw new TypeError(`${mutations.length} mutations`);
  if (checks.length > CHECKS_MAX) throw new TypeError(`${checks.length} checks`);
}

/** First encoded key of a selector, and the first one behind it. */
export function boundsOf(selector: Deno.KvListSelector): { from: string; to: string } {
  const s = selector as { prefix?: Deno.KvKey; start?: Deno.KvKey; end?: Deno.KvKey };
  const prefix = encodeKey(s.prefix ?? []);
  return {
    from: s.start ? encodeKey(s.start) : prefix + "\x01",
    to: s.end ? encodeKey(s.end) : prefix + "\xff",
  };
}

/** A string that sorts as Deno KV sorts the key: by the kinds of its parts, then by their values. */
export function encodeKey(key: Deno.KvKey): string {
  let encoded = "";
  for (const part of key) {
    if (part instanceof Uint8Array) encoded += "\x01" + terminated(String.fromCharCode(...part));
    else if (typeof part === "string") encoded += "\x02" + terminated(part);
    else if (typeof part === "number") encoded += "\x03" + encodeNumber(part);
    else throw new TypeError(`Keys of ${typeof part} are not simulated`);
  }
  return encoded;
}

function terminated(text: string): string {
  return (text.includes("\0") ? text.replaceAll("\0", "\0\xff") : text) + "\0";
}

const view = new DataView(new ArrayBuffer(8));
const viewed = new Uint8Array(view.buffer);

/** IEEE 754, big endian, with the sign bit turned; all bits of negative numbers. */
function encodeNumber(n: number): string {
  view.setFloat64(0, n);
  if (n < 0) { for (let i = 0; i < 8; i++) viewed[i]! ^= 255; }
  else viewed[0]! |= 128;
  return String.fromCharCode(...viewed);
}

/** A copy of a value, as a file would keep it. */
export function copyOf(value: unknown): unknown {
  if (value instanceof Uint8Array) return value.slice();
  if (Array.isArray(value)) return value.map(copyOf);
  if (typeof value !== "object" || value === null) return value;
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(value)) copy[name] = copyOf((value as typeof copy)[name]);
  return copy;
}
