package stockflow.peers.pipeline;

public class Query {
  public long queryId;
  public String itemId;
}
