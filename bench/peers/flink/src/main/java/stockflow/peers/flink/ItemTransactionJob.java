package stockflow.peers.flink;

import java.time.Duration;
import org.apache.flink.api.java.functions.KeySelector;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.DataStreamUtils;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingProcessingTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.WindowAssigner;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.kafka.common.utils.Bytes;
import stockflow.peers.pipeline.Parameters;
import stockflow.peers.pipeline.Progress;
import stockflow.peers.pipeline.Query;
import stockflow.peers.pipeline.Transaction;
import stockflow.peers.pipeline.TransactionResult;
import stockflow.peers.pipeline.TransactionSummary;

/**
 * The pipeline on Apache Flink, in one process (a local mini cluster): transactions and queries by item, results,
 * answers, summaries of tumbling windows, dead letters. Every setting has its reason in bench/peers/README.md.
 */
public final class ItemTransactionJob {
  private ItemTransactionJob() {}

  public static void main(String[] args) throws Exception {
    Parameters parameters = new Parameters(args);
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(
        parameters.getInt("parallelism"), configurationOf(parameters));
    if (parameters.is("generate.transactions")) buildGenerated(env, parameters);
    else buildOnKafka(env, parameters);
    Progress.print();
    env.execute("Item transactions");
  }

  private static Configuration configurationOf(Parameters parameters) {
    String parallelism = parameters.get("parallelism");
    Configuration configuration = new Configuration();
    configuration.setString("rest.port", "0");
    configuration.setString("rest.bind-port", "0");
    configuration.setString("taskmanager.numberOfTaskSlots", parallelism);
    configuration.setString("taskmanager.memory.managed.size", "128m");
    configuration.setString("taskmanager.memory.network.min", "128m");
    configuration.setString("taskmanager.memory.network.max", "128m");
    configuration.setString("state.backend.type", "hashmap");
    configuration.setString("execution.checkpointing.dir", "file://" + parameters.get("folder") + "/checkpoints");
    configuration.setString("execution.checkpointing.interval", parameters.get("checkpoint.interval.millis") + "ms");
    configuration.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
    configuration.setString("execution.checkpointing.timeout", "1h");
    configuration.setString("execution.checkpointing.snapshot-compression", "true");
    configuration.setString("pipeline.max-parallelism", "720");
    configuration.setString("pipeline.object-reuse", "true");
    // A failure is an error of the benchmark: it ends the process.
    configuration.setString("restart-strategy.type", "none");
    parameters.withPrefix("flink.").forEach((key, value) ->
        configuration.setString((String) key, (String) value));
    return configuration;
  }

  private static void buildOnKafka(StreamExecutionEnvironment env, Parameters parameters) {
    KafkaTopics topics = new KafkaTopics(parameters);
    SingleOutputStreamOperator<Transaction> transactions = topics.readTransactions(env);
    SingleOutputStreamOperator<Query> queries = topics.readQueries(env);
    topics.writeDeadLetters(transactions.getSideOutput(SplitRecords.REFUSED)
        .union(queries.getSideOutput(SplitRecords.REFUSED)));

    SingleOutputStreamOperator<TransactionResult> results = process(transactions, queries, parameters);
    topics.writeAnswers(results.getSideOutput(TransactionProcessor.QUERY_RESULT));
    if (parameters.getOrEmpty("transaction.output.topic").isEmpty()) results.sinkTo(new DiscardingSink<>());
    else topics.writeResults(results);
    if (parameters.is("enable.summaries")) topics.writeSummaries(summariesOf(results, parameters));
  }

  private static void buildGenerated(StreamExecutionEnvironment env, Parameters parameters) {
    SingleOutputStreamOperator<TransactionResult> results = process(
        GeneratedTransactions.read(env, parameters), GeneratedTransactions.oneQuery(env), parameters);
    results.sinkTo(new DiscardingSink<>());
    if (parameters.is("enable.summaries")) summariesOf(results, parameters).sinkTo(new DiscardingSink<>());
  }

  /** Whether windows are kept beside the stock, not by the standard operator. */
  private static boolean hasOwnWindows(Parameters parameters) {
    return parameters.is("enable.summaries") && parameters.get("windows").equals("function");
  }

  private static SingleOutputStreamOperator<TransactionResult> process(
      DataStream<Transaction> transactions, DataStream<Query> queries, Parameters parameters) {
    return transactions
        .keyBy(t -> t.itemId, Types.ITEM_ID)
        .connect(queries.keyBy(q -> q.itemId, Types.ITEM_ID))
        .process(
            hasOwnWindows(parameters)
                ? new WindowedTransactionProcessor(WindowOptions.of(parameters))
                : new TransactionProcessor(),
            Types.RESULT)
        .uid("Transaction Processor");
  }

  private static DataStream<TransactionSummary> summariesOf(
      SingleOutputStreamOperator<TransactionResult> results, Parameters parameters) {
    return hasOwnWindows(parameters)
        ? results.getSideOutput(WindowedTransactionProcessor.SUMMARY)
        : summarize(results, parameters);
  }

  /** By the standard operator. */
  private static DataStream<TransactionSummary> summarize(
      DataStream<TransactionResult> results, Parameters parameters) {
    WindowOptions options = WindowOptions.of(parameters);
    KeySelector<TransactionResult, Bytes> itemId = result -> result.transaction.itemId;
    // Results come out where their item's transactions went in: they need not be sent over the network again.
    KeyedStream<TransactionResult, Bytes> byItem = parameters.is("windows.shuffle")
        ? results.keyBy(itemId, Types.ITEM_ID)
        : DataStreamUtils.reinterpretAsKeyedStream(results, itemId, Types.ITEM_ID);
    return byItem
        .window(windowsOf(options))
        .aggregate(
            new TransactionSummaryAggregator(),
            new TransactionSummaryAggregator.WithWindow(),
            Types.SUMMARY,
            Types.SUMMARY)
        .filter(options::isAlert);
  }

  private static WindowAssigner<Object, TimeWindow> windowsOf(WindowOptions options) {
    Duration length = Duration.ofMillis(options.lengthMs());
    return options.eventTime() ? TumblingEventTimeWindows.of(length) : TumblingProcessingTimeWindows.of(length);
  }
}
