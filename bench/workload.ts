// The records that the core's benchmarks fold: transactions as the generator makes them, ids of 63
// bits, items drawn uniformly from those numbered 0 .. n - 1.

import { Random } from "../tools/kit/random.ts";
import { BatchBuilder, type Codec, codecOf, encodeUtf8, type Format } from "../src/types/mod.ts";

const START_MS = 1_700_000_000_000;

export interface WorkloadOptions {
  readonly format: Format;
  readonly items: number;
  readonly batches: number;
  readonly recordsPerBatch: number;
  /** Id of an item by its number; `item_<n>` unless given. */
  readonly idOf?: IdOf;
}

export type IdOf = (n: number) => string;

/** Kinds of id that benchmarks know by name. */
export const ID_KINDS = {
  item: (n: number): string => `item_${n}`,
  uuid: uuidOf,
  /** Kept as text: it neither ends in a number nor is a UUID. */
  text: (n: number): string => `sku:${n}:eu-central`,
} as const satisfies Readonly<Record<string, IdOf>>;

/** A canonical UUID, 36 bytes; of two numbers below 2^32 two different ones. */
export function uuidOf(n: number): string {
  const random = (Math.imul(n, 2654435761) >>> 0).toString(16).padStart(8, "0");
  return `${random}-d9cd-469f-a165-${n.toString(16).padStart(12, "0")}`;
}

/** Record batches with consecutive offsets; event time advances by 100 ms a batch, out of order by up to 1 s. */
export function makeWorkload(options: WorkloadOptions): Uint8Array[] {
  const random = new Random(42);
  const codec: Codec = codecOf(options.format);
  const idOf = options.idOf ?? ID_KINDS.item;
  return Array.from({ length: options.batches }, (_, b) => {
    const builder = new BatchBuilder(128 * options.recordsPerBatch);
    const ts = START_MS + 100 * b;
    for (let i = 0; i < options.recordsPerBatch; i++) {
      const itemId = idOf(random.below(options.items));
      const value = codec.formatTransaction({
        transactionId: random.bits() >> 1n,
        ts: ts + random.below(997),
        itemId,
        quantity: random.below(4001) - 2500,
      });
      builder.add({ timestamp: ts, key: encodeUtf8(itemId), value: encodeUtf8(value) });
    }
    return builder.build();
  });
}

/** Batches that add stock to the items numbered from .. to - 1, one record each. */
export function* fillItems(
  format: Format,
  from: number,
  to: number,
  perBatch: number,
  idOf: IdOf = ID_KINDS.item,
): Generator<Uint8Array> {
  const codec = codecOf(format);
  for (let at = from; at < to; at += perBatch) {
    const builder = new BatchBuilder(96 * perBatch);
    for (let n = at; n < Math.min(to, at + perBatch); n++) {
      const itemId = idOf(n);
      const value = codec.formatTransaction({
        transactionId: BigInt(n),
        ts: START_MS,
        itemId,
        quantity: 1000,
      });
      builder.add({ timestamp: START_MS, key: null, value: encodeUtf8(value) });
    }
    yield builder.build();
  }
}
