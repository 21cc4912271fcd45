package stockflow.peers.pipeline;

/** The business rule: stock never falls below zero. */
public final class StockRule {
  private StockRule() {}

  /** What {@link #apply} gives for a transaction that fails; no stock is negative. */
  public static final long FAILED = -1;

  /** The new stock, or FAILED where it would be negative or does not fit. */
  public static long apply(long stock, int quantity) {
    long after = stock + quantity;
    // An overflow of a stock that is not negative gives a negative number too.
    return after < 0 ? FAILED : after;
  }
}
