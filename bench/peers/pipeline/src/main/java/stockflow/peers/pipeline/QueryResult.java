package stockflow.peers.pipeline;

public class QueryResult {
  public long queryId;
  public String itemId;
  /** Null if the item was never seen. */
  public Long quantity;

  public QueryResult() {}

  public QueryResult(Query query, Long quantity) {
    this.queryId = query.queryId;
    this.itemId = query.itemId;
    this.quantity = quantity;
  }
}
