package stockflow.peers.streams;

import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import stockflow.peers.pipeline.Query;
import stockflow.peers.pipeline.QueryResult;
import stockflow.peers.pipeline.TextFormat;

/** Reads the stock for queries. */
final class QueryProcessor implements Processor<byte[], byte[], byte[], byte[]> {
  private final Query query = new Query();
  private ProcessorContext<byte[], byte[]> context;
  private KeyValueStore<Bytes, byte[]> stock;

  @Override
  public void init(ProcessorContext<byte[], byte[]> context) {
    this.context = context;
    stock = context.getStateStore(ItemTransactionTopology.STOCK);
  }

  @Override
  public void process(Record<byte[], byte[]> record) {
    String reason = TextFormat.parseQuery(record.value(), query);
    if (reason != null) {
      RefusedRecords.forward(context, record, reason);
      return;
    }
    byte[] stored = stock.get(query.itemId);
    Long quantity = stored == null ? null : StoredStock.read(stored);
    byte[] key = TextFormat.formatNumber(query.queryId);
    byte[] value = TextFormat.formatQueryResult(new QueryResult(query, quantity));
    context.forward(new Record<>(key, value, record.timestamp()), ItemTransactionTopology.ANSWERS);
  }
}
