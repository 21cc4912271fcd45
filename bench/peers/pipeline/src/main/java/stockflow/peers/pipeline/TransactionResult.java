package stockflow.peers.pipeline;

public class TransactionResult {
  public Transaction transaction;
  public boolean success;

  public TransactionResult() {}

  public TransactionResult(Transaction transaction, boolean success) {
    this.transaction = transaction;
    this.success = success;
  }
}
