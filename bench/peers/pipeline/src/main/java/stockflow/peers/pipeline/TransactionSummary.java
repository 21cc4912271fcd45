package stockflow.peers.pipeline;

import org.apache.kafka.common.utils.Bytes;

/** What happened to an item in one window. */
public class TransactionSummary {
  public Bytes itemId;
  /** Start (inclusive) and end (exclusive) in ms since the epoch. */
  public long windowStart;
  public long windowEnd;
  public long numSuccessfulTransactions;
  public long numFailedTransactions;
  /** Sum of the absolute quantities, successes and failures alike. */
  public long totalVolume;

  public void add(TransactionResult result) {
    if (result.success) numSuccessfulTransactions++;
    else numFailedTransactions++;
    totalVolume += Math.abs((long) result.transaction.quantity);
  }

  /** Whether so many of so many transactions failed that somebody should know. Both bounds are strict. */
  public boolean isAlert(long transactionsMin, double failureRateMin) {
    long total = numSuccessfulTransactions + numFailedTransactions;
    return total > transactionsMin && (double) numFailedTransactions / total > failureRateMin;
  }
}
