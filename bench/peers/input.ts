// The transactions that all engines read: a pure function of their number, their keys and a seed.

import { encodeUtf8, type NewRecord, Partitioner, partitionOf } from "../../src/types/mod.ts";

export const KEY_SETS = ["item", "uuid", "pareto", "sku"] as const;
/**
 * `item_<n>`, all about as frequent; the same as UUIDs; `item_<n>` as the seed's generator draws n; article numbers
 * with a prefix and a suffix, all about as frequent.
 */
export type KeySet = (typeof KEY_SETS)[number];

export interface InputOptions {
  readonly records: number;
  readonly items: number;
  readonly keys: KeySet;
  /** One record of so many is refused, each time for another reason. */
  readonly refusedEvery?: number;
  /** Event time goes by as if so many records came in a second. */
  readonly recordsPerSecond?: number;
  /** Item after item, each with stock that is added; by chance otherwise. */
  readonly inTurn?: boolean;
}

/** Event time of the first record: the start of a minute, well before any broker's clock. */
export const BASE_MS = 1_700_000_040_000;
const RECORDS_PER_SECOND = 100_000;
/** Behind the last window and what may be out of order. */
const CLOSING_MS = 600_000;
const PARETO_SHAPE = 15;
const REFUSED_EVERY = 10_000;

/** Values that are refused; the item id keys them all the same. */
const REFUSED: readonly ((id: string, ts: number, item: string) => string | null)[] = [
  () => null,
  (id, ts, item) => `${id}\t${ts}\t${item}`,
  (id, ts, item) => `${id}\t${ts}\t${item}\t+5`,
  (id, ts, item) => `9${id}9\t${ts}\t${item}\t5`,
  (id, ts, item) => `${id}\t-${ts}\t${item}\t5`,
  (id, ts) => `${id}\t${ts}\t\t5`,
  (id, ts, item) => `${id}\t${ts}\t${item}${"x".repeat(250)}\t5`,
  (id, ts, item) => `${id}\t${ts}\t${item}\x7f\t5`,
  (id, ts, item) => `${id}\t${ts}\t${item}\t2147483648`,
];

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The id of item n, from 1 on. */
export function itemIdOf(keys: KeySet, n: number): string {
  if (keys === "sku") return `SKU-EU-${String(n).padStart(10, "0")}-XL`;
  if (keys !== "uuid") return `item_${n}`;
  const random = randomOf(n);
  const hex = Array.from(
    { length: 4 },
    () => Math.floor(random() * 2 ** 32).toString(16).padStart(8, "0"),
  )
    .join("");
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`];
  return [...parts, `a${hex.slice(17, 20)}`, hex.slice(20)].join("-");
}

export class Input {
  readonly #random = randomOf(42);
  readonly #ids: string[] = [];
  readonly #refusedEvery: number;

  constructor(readonly options: InputOptions) {
    this.#refusedEvery = options.refusedEvery ?? REFUSED_EVERY;
  }

  /** How many of the records are refused. */
  get refused(): number {
    return Math.floor(this.options.records / this.#refusedEvery);
  }

  /** Record i of all partitions; has to be called with i = 0, 1, 2 ... */
  record(i: number): NewRecord {
    const { inTurn = false, keys, items } = this.options;
    // In turn each is met once: nothing to remember of ten millions.
    const itemId = inTurn ? itemIdOf(keys, 1 + i % items) : this.#idOf(this.#number());
    const ts = this.#timeOf(i);
    const id = this.#transactionId();
    const key = encodeUtf8(itemId);
    if ((i + 1) % this.#refusedEvery === 0) {
      const refused = REFUSED[(i + 1) / this.#refusedEvery % REFUSED.length]!(id, ts, itemId);
      return { timestamp: ts, key, value: refused === null ? null : encodeUtf8(refused) };
    }
    const value = encodeUtf8(`${id}\t${ts}\t${itemId}\t${inTurn ? 5 : this.#quantity()}`);
    return { timestamp: ts, key, value };
  }

  /** One more record for each partition, so late in event time that all windows are closed. */
  closing(partitions: number): NewRecord[] {
    const ts = this.#timeOf(this.options.records) + CLOSING_MS;
    const open = new Set(Array.from({ length: partitions }, (_, p) => p));
    const records: NewRecord[] = [];
    for (let n = 1; open.size > 0; n++) {
      const key = encodeUtf8(`closing_${n}`);
      if (!open.delete(partitionOf(Partitioner.Murmur2, key, partitions))) continue;
      records.push({ timestamp: ts, key, value: encodeUtf8(`${n}\t${ts}\tclosing_${n}\t1`) });
    }
    return records;
  }

  #timeOf(i: number): number {
    const { recordsPerSecond = RECORDS_PER_SECOND } = this.options;
    return BASE_MS + Math.floor(i * 1000 / recordsPerSecond);
  }

  #idOf(n: number): string {
    return this.#ids[n] ??= itemIdOf(this.options.keys, n);
  }

  #number(): number {
    if (this.options.keys === "pareto") return this.#pareto();
    return 1 + Math.floor(this.#random() * this.options.items);
  }

  #pareto(): number {
    const { items } = this.options;
    while (true) {
      const sample = items * (1 - this.#random()) ** (-1 / PARETO_SHAPE);
      const n = Math.round(sample - items) + 1;
      if (n <= items) return n;
    }
  }

  /** 19 digits, as ids of 63 random bits mostly have. */
  #transactionId(): string {
    const high = 1e8 + Math.floor(this.#random() * 8e8);
    const low = Math.floor(this.#random() * 1e10);
    return `${high}${String(low).padStart(10, "0")}`;
  }

  /** The seed's: deviation 50 around 5, in steps of 10. */
  #quantity(): number {
    const gaussian = Math.sqrt(-2 * Math.log(1 - this.#random())) *
      Math.cos(2 * Math.PI * this.#random());
    return Math.round(gaussian / 2 * 10) * 10 + 5;
  }
}
