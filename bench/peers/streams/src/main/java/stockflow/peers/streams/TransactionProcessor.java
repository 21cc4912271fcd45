package stockflow.peers.streams;

import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import stockflow.peers.pipeline.Progress;
import stockflow.peers.pipeline.StockRule;
import stockflow.peers.pipeline.TextFormat;
import stockflow.peers.pipeline.Transaction;
import stockflow.peers.pipeline.TransactionResult;

/** Applies transactions to the stock of their item. */
final class TransactionProcessor implements Processor<byte[], byte[], byte[], byte[]> {
  private final boolean writesResults;
  /** Reused: nothing keeps it beyond a record. */
  private final Transaction transaction = new Transaction();
  private final TransactionResult result = new TransactionResult(transaction, false);
  private ProcessorContext<byte[], byte[]> context;
  private KeyValueStore<String, Long> stock;

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
    Long before = stock.get(transaction.itemId);
    long after = StockRule.apply(before == null ? 0 : before, transaction.quantity);
    result.success = after != StockRule.FAILED;
    if (result.success) stock.put(transaction.itemId, after);
    if (writesResults) {
      byte[] itemId = TextFormat.formatItemId(transaction.itemId);
      byte[] value = TextFormat.formatResult(result, itemId);
      context.forward(new Record<>(itemId, value, record.timestamp()), ItemTransactionTopology.RESULTS);
    }
    Progress.RECORDS.increment();
  }
}
