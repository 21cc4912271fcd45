// The business rule, and nothing else.

/** Why a transaction fails. Each is below zero, for no stock is. */
export enum Rejection {
  /** What is left would be below zero. */
  InsufficientStock = -1,
  /** The stock would be beyond 2^63 - 1, which cannot be kept. */
  Overflow = -2,
}

/**
 * Executes a transaction on the stock of an item (0 before its first success).
 *
 * @param stock current stock, 0 or more
 * @param quantity added when positive, purchased when negative; an int32
 * @returns the stock afterwards, or a Rejection: then the stock stays as it was
 */
@inline
export function apply(stock: i64, quantity: i64): i64 {
  const after = stock + quantity; // a sum beyond 2^63 - 1 comes out below zero
  const rejection: i64 = quantity < 0 ? Rejection.InsufficientStock : Rejection.Overflow;
  return select(after, rejection, after >= 0);
}

/** Whether what apply answered is a Rejection. */
@inline
export function isRejected(after: i64): bool {
  return after < 0;
}
