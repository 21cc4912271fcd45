package stockflow.peers.pipeline;

/** Stock that is added (positive quantity) or bought (negative). Public fields, so that Flink knows it as a POJO. */
public class Transaction {
  public long transactionId;
  /** Event time in ms since the epoch. */
  public long ts;
  public String itemId;
  public int quantity;
}
