import { encodeBatch, encodeUtf8 } from "../../src/types/mod.ts";

/** A batch of 40 transactions, as a producer without compression makes it. */
export const plainBatch = encodeBatch(
  Array.from({ length: 40 }, (_, i) => ({
    timestamp: i,
    key: null,
    value: encodeUtf8(`${i}\t1\titem_${i % 3}\t1`),
  })),
);
