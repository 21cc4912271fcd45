package stockflow.peers.flink;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.streaming.api.TimerService;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import org.apache.kafka.common.utils.Bytes;
import stockflow.peers.pipeline.Progress;
import stockflow.peers.pipeline.Query;
import stockflow.peers.pipeline.QueryResult;
import stockflow.peers.pipeline.StockRule;
import stockflow.peers.pipeline.Transaction;
import stockflow.peers.pipeline.TransactionResult;
import stockflow.peers.pipeline.TransactionSummary;

/**
 * TransactionProcessor and tumbling windows in one: one look into the state for a transaction, and one timer for a
 * window of an item, where the standard operator looks for a second state and registers two timers for each transaction.
 */
final class WindowedTransactionProcessor
    extends KeyedCoProcessFunction<Bytes, Transaction, Query, TransactionResult> {
  static final OutputTag<TransactionSummary> SUMMARY = new OutputTag<>("summary", Types.SUMMARY);

  private final WindowOptions options;
  private transient ValueState<WindowedStock> states;
  /** Reused: what follows is chained to this, and keeps nothing of it. */
  private transient TransactionResult result;

  WindowedTransactionProcessor(WindowOptions options) {
    this.options = options;
  }

  @Override
  public void open(OpenContext context) {
    states = getRuntimeContext().getState(new ValueStateDescriptor<>("stock and windows", Types.WINDOWED_STOCK));
    result = new TransactionResult();
  }

  @Override
  public void processElement1(Transaction transaction, Context context, Collector<TransactionResult> out)
      throws Exception {
    WindowedStock state = states.value();
    if (state == null) state = new WindowedStock();
    long after = StockRule.apply(Math.max(state.stock, 0), transaction.quantity);
    if (after != StockRule.FAILED) state.stock = after;
    result.transaction = transaction;
    result.success = after != StockRule.FAILED;
    addToWindow(state, context.timerService());
    states.update(state);
    out.collect(result);
    Progress.RECORDS.increment();
  }

  private void addToWindow(WindowedStock state, TimerService timers) {
    long time = options.eventTime() ? result.transaction.ts : timers.currentProcessingTime();
    long start = time - time % options.lengthMs();
    WindowedStock.OpenWindow window = state.windowAt(start);
    if (window == null) {
      long last = start + options.lengthMs() - 1;
      // Too late: its window is complete.
      if (options.eventTime() && last <= timers.currentWatermark()) return;
      window = state.open(start, last + 1);
      if (options.eventTime()) timers.registerEventTimeTimer(last);
      else timers.registerProcessingTimeTimer(last);
    }
    window.add(result);
  }

  @Override
  public void onTimer(long timestamp, OnTimerContext context, Collector<TransactionResult> out) throws Exception {
    WindowedStock state = states.value();
    WindowedStock.OpenWindow window = state.windowAt(timestamp + 1 - options.lengthMs());
    state.close(window);
    states.update(state);
    if (!options.isAlert(window)) return;
    window.itemId = context.getCurrentKey();
    context.output(SUMMARY, window);
  }

  @Override
  public void processElement2(Query query, Context context, Collector<TransactionResult> out) throws Exception {
    WindowedStock state = states.value();
    Long stock = state == null || state.stock < 0 ? null : (Long) state.stock;
    context.output(TransactionProcessor.QUERY_RESULT, new QueryResult(query, stock));
  }
}
