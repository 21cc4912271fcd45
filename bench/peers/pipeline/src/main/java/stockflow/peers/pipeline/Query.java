package stockflow.peers.pipeline;

import org.apache.kafka.common.utils.Bytes;

public final class Query {
  public long queryId;
  public Bytes itemId;
}
