package stockflow.peers.streams;

import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import stockflow.peers.pipeline.Progress;
import stockflow.peers.pipeline.StockRule;
import stockflow.peers.pipeline.TextFormat;
import stockflow.peers.pipeline.Transaction;

/** Applies transactions to the stock of their item. */
final class TransactionProcessor implements Processor<byte[], byte[], byte[], byte[]> {
  private final boolean writesResults;
  /** Reused: nothing keeps it beyond a record. */
  private final Transaction transaction = new Transaction();
  private ProcessorContext<byte[], byte[]> context;
  private KeyValueStore<Bytes, byte[]> stock;

  TransactionProcessor(boolean writesResults) {
    this.writesResults = writesResults;
  }

  @Override
  public void init(ProcessorContext<byte[], byte[]> context) {
    this.context = context;
    stock = context.getStateStore(ItemTransactionTopology.STOCK);
  }

  @Override
  public void process(Record<byte[], byte[]> record) {
    String reason = TextFormat.parseTransaction(record.value(), transaction);
    if (reason != null) {
      RefusedRecords.forward(context, record, reason);
      return;
    }
    long after = StockRule.apply(StoredStock.read(stock.get(transaction.itemId)), transaction.quantity);
    boolean success = after != StockRule.FAILED;
    if (success) stock.put(transaction.itemId, StoredStock.write(after));
    if (writesResults) {
      byte[] value = TextFormat.formatResult(record.value(), success);
      context.forward(
          new Record<>(transaction.itemId.get(), value, record.timestamp()), ItemTransactionTopology.RESULTS);
    }
    Progress.RECORDS.increment();
  }
}
