package stockflow.peers.flink;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import stockflow.peers.pipeline.Parameters;
import stockflow.peers.pipeline.Query;
import stockflow.peers.pipeline.Transaction;

/** Transactions that are generated in the process, flat out, of items that are all about as frequent. */
final class GeneratedTransactions {
  private GeneratedTransactions() {}

  static DataStream<Transaction> read(StreamExecutionEnvironment env, Parameters parameters) {
    int items = parameters.getInt("num.items");
    GeneratorFunction<Long, Transaction> generator = number -> {
      ThreadLocalRandom random = ThreadLocalRandom.current();
      Transaction transaction = new Transaction();
      transaction.transactionId = random.nextLong(Long.MAX_VALUE);
      transaction.ts = System.currentTimeMillis();
      transaction.itemId = "item_" + (1 + random.nextInt(items));
      transaction.quantity = (int) Math.round(random.nextGaussian() / 2 * 10) * 10 + 5;
      return transaction;
    };
    Duration outOfOrderness = Duration.ofMillis(parameters.getLong("watermark.out.of.orderness.ms"));
    boolean needsTime = parameters.is("enable.summaries") && parameters.is("event.time");
    return env.fromSource(
        new DataGeneratorSource<>(generator, Long.MAX_VALUE, TypeInformation.of(Transaction.class)),
        needsTime
            ? WatermarkStrategy.<Transaction>forBoundedOutOfOrderness(outOfOrderness)
                .withTimestampAssigner((transaction, none) -> transaction.ts)
            : WatermarkStrategy.noWatermarks(),
        "Generated transactions");
  }

  /** The processor's other input: a query, then it has ended and holds no time back. */
  static DataStream<Query> oneQuery(StreamExecutionEnvironment env) {
    GeneratorFunction<Long, Query> generator = number -> {
      Query query = new Query();
      query.itemId = "item_1";
      return query;
    };
    return env.fromSource(
        new DataGeneratorSource<>(generator, 1, TypeInformation.of(Query.class)),
        WatermarkStrategy.noWatermarks(),
        "One query");
  }
}
