package stockflow.peers.pipeline;

import org.apache.kafka.common.utils.Bytes;

/** Stock that is added (positive quantity) or bought (negative). */
public final class Transaction {
  public long transactionId;
  /** Event time in ms since the epoch. */
  public long ts;
  /** In UTF-8, as it comes: nothing decodes it. Never changed, while the transaction may be used again. */
  public Bytes itemId;
  public int quantity;
}
