import { Reason } from "../../wasm/contract.ts";

export { Reason };

/** Names of the reasons, as metrics and dead letters carry them. */
const NAMES: Readonly<Record<Reason, string>> = {
  [Reason.None]: "none",
  [Reason.NullValue]: "null_value",
  [Reason.Malformed]: "malformed",
  [Reason.IdRange]: "id_range",
  [Reason.TimestampRange]: "ts_range",
  [Reason.ItemIdEmpty]: "item_id_empty",
  [Reason.ItemIdTooLong]: "item_id_too_long",
  [Reason.ItemIdCharacter]: "item_id_character",
  [Reason.QuantityRange]: "quantity_range",
  [Reason.WrongPartition]: "wrong_partition",
  [Reason.IdConflict]: "id_conflict",
};

/** All reasons for which a record can be invalid. */
export const REASONS: readonly Reason[] = Object.keys(NAMES).map(Number).filter((r) =>
  r !== Reason.None
);

/** The name of a reason in metrics, answers and dead letters, such as `item_id_too_long`. */
export function reasonName(reason: Reason): string {
  return NAMES[reason];
}

/** A record that cannot be processed, and why. The message names the value and what is allowed. */
export interface InvalidRecordError extends RangeError {
  readonly reason: Reason;
}

/**
 * Has no stack: input decides how many of them there are, and a stack takes twenty times the time and thirteen times
 * the memory of all else. So the constructor of Error is not called.
 */
export class InvalidRecordError {
  readonly name = "InvalidRecordError";

  constructor(readonly reason: Reason, readonly message: string) {}
}
Object.setPrototypeOf(InvalidRecordError.prototype, RangeError.prototype);

/** Cuts a value for an error message, so that hostile input cannot fill a log. */
export function shorten(value: string, max = 80): string {
  return value.length <= max ? value : `${value.slice(0, max)}... (${value.length} characters)`;
}
