import * as c from "../../wasm/contract.ts";

/** A time that is not known yet: the smallest int64. */
export const NO_TIME = -(2n ** 63n);

/** The scalar part of a partition's state; a checkpoint's manifest carries it. */
export interface StateScalars {
  /** Next offset to fold. */
  readonly position: bigint;
  /** Up to here windows were fired, in ms; NO_TIME at first. */
  readonly watermark: bigint;
  /** Largest event time that was not too far ahead, in ms; NO_TIME at first. */
  readonly largestTs: bigint;
  /** Largest record timestamp, in ms; NO_TIME at first. */
  readonly largestTimestamp: bigint;
  readonly accepted: bigint;
  readonly rejected: bigint;
  /** Transactions too late for their window. Not covered by the state hash. */
  readonly late: bigint;
  /** Transactions too far ahead of their record's timestamp for a window. */
  readonly farAhead: bigint;
  /** Sum of the accepted quantities, modulo 2^64. */
  readonly quantitySum: bigint;
  /** Items seen. */
  readonly items: bigint;
  /** Invalid records; the index is the Reason. */
  readonly invalid: readonly bigint[];
}

const FIELDS = [
  ["position", c.STATE_POSITION],
  ["watermark", c.STATE_WATERMARK],
  ["largestTs", c.STATE_LARGEST_TS],
  ["largestTimestamp", c.STATE_LARGEST_TIMESTAMP],
  ["accepted", c.STATE_ACCEPTED],
  ["rejected", c.STATE_REJECTED],
  ["late", c.STATE_LATE],
  ["farAhead", c.STATE_FAR_AHEAD],
  ["quantitySum", c.STATE_QUANTITY_SUM],
  ["items", c.STATE_ITEMS],
] as const;

/** Reads the scalars from the core's state area. */
export function readScalars(view: DataView, at: number): StateScalars {
  const scalars: Record<string, bigint> = {};
  for (const [name, offset] of FIELDS) scalars[name] = view.getBigInt64(at + offset, true);
  const invalid = Array.from(
    { length: c.REASONS_MAX },
    (_, i) => view.getBigInt64(at + c.STATE_INVALID + 8 * i, true),
  );
  return { ...scalars, invalid } as unknown as StateScalars;
}

/** Writes the scalars to the core's state area. */
export function writeScalars(view: DataView, at: number, scalars: StateScalars): void {
  for (const [name, offset] of FIELDS) view.setBigInt64(at + offset, scalars[name], true);
  for (let i = 0; i < c.REASONS_MAX; i++) {
    view.setBigInt64(at + c.STATE_INVALID + 8 * i, scalars.invalid[i] ?? 0n, true);
  }
}
