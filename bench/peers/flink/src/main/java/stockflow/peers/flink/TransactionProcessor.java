package stockflow.peers.flink;

import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.base.LongSerializer;
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

/** Applies transactions to the stock of their item, and reads it for queries. */
final class TransactionProcessor extends KeyedCoProcessFunction<Bytes, Transaction, Query, TransactionResult> {
  static final OutputTag<QueryResult> QUERY_RESULT =
      new OutputTag<>("query-result", TypeInformation.of(QueryResult.class));

  private transient ValueState<Long> stock;
  /** Reused: what follows is chained to this, or serializes it at once; nothing keeps it. */
  private transient TransactionResult result;

  @Override
  public void open(OpenContext context) {
    stock = getRuntimeContext().getState(new ValueStateDescriptor<>("stock", LongSerializer.INSTANCE));
    result = new TransactionResult();
  }

  @Override
  public void processElement1(Transaction transaction, Context context, Collector<TransactionResult> out)
      throws Exception {
    Long before = stock.value();
    long after = StockRule.apply(before == null ? 0 : before, transaction.quantity);
    if (after != StockRule.FAILED) stock.update(after);
    result.transaction = transaction;
    result.success = after != StockRule.FAILED;
    out.collect(result);
    Progress.RECORDS.increment();
  }

  @Override
  public void processElement2(Query query, Context context, Collector<TransactionResult> out) throws Exception {
    context.output(QUERY_RESULT, new QueryResult(query, stock.value()));
  }
}
