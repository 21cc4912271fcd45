package stockflow.peers.flink;

import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.streaming.api.functions.windowing.WindowFunction;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.kafka.common.utils.Bytes;
import stockflow.peers.pipeline.TransactionResult;
import stockflow.peers.pipeline.TransactionSummary;

/** Adds a result to the summary of its item and window, which is changed in place. */
final class TransactionSummaryAggregator
    implements AggregateFunction<TransactionResult, TransactionSummary, TransactionSummary> {
  @Override
  public TransactionSummary createAccumulator() {
    return new TransactionSummary();
  }

  @Override
  public TransactionSummary add(TransactionResult result, TransactionSummary summary) {
    summary.add(result);
    return summary;
  }

  @Override
  public TransactionSummary getResult(TransactionSummary summary) {
    return summary;
  }

  @Override
  public TransactionSummary merge(TransactionSummary a, TransactionSummary b) {
    throw new UnsupportedOperationException("Tumbling windows are never merged");
  }

  /** Says which item and window a summary is of, once it is complete. */
  static final class WithWindow
      implements WindowFunction<TransactionSummary, TransactionSummary, Bytes, TimeWindow> {
    @Override
    public void apply(
        Bytes itemId, TimeWindow window, Iterable<TransactionSummary> summaries, Collector<TransactionSummary> out) {
      TransactionSummary summary = summaries.iterator().next();
      summary.itemId = itemId;
      summary.windowStart = window.getStart();
      summary.windowEnd = window.getEnd();
      out.collect(summary);
    }
  }
}
