package stockflow.peers.flink;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.common.utils.Bytes;
import stockflow.peers.pipeline.Parameters;
import stockflow.peers.pipeline.Query;
import stockflow.peers.pipeline.Transaction;

/** Transactions that are generated in the process, flat out; they are drawn as stockflow's generator draws them. */
final class GeneratedTransactions {
  private GeneratedTransactions() {}

  /** The part of all samples that is beyond twice the scale: these are no items, and not drawn. */
  private static final double BEYOND = Math.pow(2, -0.1);
  private static final byte[] PREFIX = "item_".getBytes(StandardCharsets.US_ASCII);

  static DataStream<Transaction> read(StreamExecutionEnvironment env, Parameters parameters) {
    int items = parameters.getInt("num.items");
    GeneratorFunction<Long, Transaction> generator = number -> {
      ThreadLocalRandom random = ThreadLocalRandom.current();
      Transaction transaction = new Transaction();
      transaction.transactionId = random.nextLong(Long.MAX_VALUE);
      transaction.ts = System.currentTimeMillis();
      transaction.itemId = itemId(drawItem(random, items));
      transaction.quantity = (int) Math.round(random.nextGaussian() / 2 * 10) * 10 + 5;
      return transaction;
    };
    Duration outOfOrderness = Duration.ofMillis(parameters.getLong("watermark.out.of.orderness.ms"));
    boolean needsTime = parameters.is("enable.summaries") && parameters.is("event.time");
    return env.fromSource(
        new DataGeneratorSource<>(generator, Long.MAX_VALUE, Types.TRANSACTION),
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
      query.itemId = itemId(1);
      return query;
    };
    return env.fromSource(
        new DataGeneratorSource<>(generator, 1, Types.QUERY),
        WatermarkStrategy.noWatermarks(),
        "One query");
  }

  /** The number of an item: round(sample - items) + 1 of a Pareto distribution with scale items and shape 0.1. */
  private static int drawItem(ThreadLocalRandom random, int items) {
    while (true) {
      double u = 1 - random.nextDouble() * (1 - BEYOND);
      // u ^ -10, the inverse of the distribution.
      double square = u * u;
      double fourth = square * square;
      long number = Math.round(items * (1 / (fourth * fourth * square) - 1)) + 1;
      if (number <= items) return (int) number;
    }
  }

  private static Bytes itemId(int number) {
    int digits = 1;
    for (int rest = number / 10; rest > 0; rest /= 10) digits++;
    byte[] bytes = Arrays.copyOf(PREFIX, PREFIX.length + digits);
    for (int rest = number, at = bytes.length; at > PREFIX.length; rest /= 10) bytes[--at] = (byte) ('0' + rest % 10);
    return Bytes.wrap(bytes);
  }
}
