// The business rule, and nothing else.

/** What apply answers when a transaction fails; no stock is negative. */
export const REJECTED: i64 = -1;

/**
 * Executes a transaction on the stock of an item (0 before its first success).
 *
 * @param stock current stock, 0 or more
 * @param quantity added when positive, purchased when negative; an int32
 * @returns the stock afterwards, or REJECTED: then the stock stays as it was
 */
@inline
export function apply(stock: i64, quantity: i64): i64 {
  // Purchases and additions alike: what is left must not be below zero.
  if (quantity < 0 && stock < -quantity) return REJECTED;
  // A stock beyond 2^63 - 1 cannot be kept.
  if (quantity > 0 && stock > i64.MAX_VALUE - quantity) return REJECTED;
  return stock + quantity;
}
