package stockflow.peers.pipeline;

import org.apache.kafka.common.utils.Bytes;

public final class QueryResult {
  public long queryId;
  public Bytes itemId;
  /** Null if the item was never seen. */
  public Long quantity;

  public QueryResult(Query query, Long quantity) {
    this.queryId = query.queryId;
    this.itemId = query.itemId;
    this.quantity = quantity;
  }
}
