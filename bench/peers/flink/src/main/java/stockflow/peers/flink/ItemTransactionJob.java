package stockflow.peers.flink;

import java.time.Duration;
import org.apache.flink.api.common.typeinfo.Types;
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

    SingleOutputStreamOperator<TransactionResult> results = transactions
        .keyBy(t -> t.itemId, Types.STRING)
        .connect(queries.keyBy(q -> q.itemId, Types.STRING))
        .process(new TransactionProcessor())
        .uid("Transaction Processor");
    topics.writeAnswers(results.getSideOutput(TransactionProcessor.QUERY_RESULT));
    if (parameters.getOrEmpty("transaction.output.topic").isEmpty()) results.sinkTo(new DiscardingSink<>());
    else topics.writeResults(results);
    if (parameters.is("enable.summaries")) topics.writeSummaries(summarize(results, parameters));
  }

  private static void buildGenerated(StreamExecutionEnvironment env, Parameters parameters) {
    SingleOutputStreamOperator<TransactionResult> results = GeneratedTransactions.read(env, parameters)
        .keyBy(t -> t.itemId, Types.STRING)
        .connect(GeneratedTransactions.oneQuery(env).keyBy(q -> q.itemId, Types.STRING))
        .process(new TransactionProcessor())
        .uid("Transaction Processor");
    results.sinkTo(new DiscardingSink<>());
    if (parameters.is("enable.summaries")) summarize(results, parameters).sinkTo(new DiscardingSink<>());
  }

  private static DataStream<TransactionSummary> summarize(
      DataStream<TransactionResult> results, Parameters parameters) {
    long transactionsMin = parameters.getLong("transaction.num.min");
    double failureRateMin = parameters.getDouble("transaction.failure.rate.min");
    Duration length = Duration.ofMinutes(parameters.getLong("time.intervals.in.minutes"));
    KeySelector<TransactionResult, String> itemId = result -> result.transaction.itemId;
    // Results come out where their item's transactions went in: they need not be sent over the network again.
    KeyedStream<TransactionResult, String> byItem = parameters.is("windows.shuffle")
        ? results.keyBy(itemId, Types.STRING)
        : DataStreamUtils.reinterpretAsKeyedStream(results, itemId, Types.STRING);
    return byItem
        .window(windowsOf(length, parameters.is("event.time")))
        .aggregate(new TransactionSummaryAggregator(), new TransactionSummaryAggregator.WithWindow())
        .filter(summary -> summary.isAlert(transactionsMin, failureRateMin));
  }

  private static WindowAssigner<Object, TimeWindow> windowsOf(Duration length, boolean eventTime) {
    return eventTime ? TumblingEventTimeWindows.of(length) : TumblingProcessingTimeWindows.of(length);
  }
}
