package stockflow.peers.flink;

import java.time.Duration;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.Watermark;
import org.apache.flink.api.common.eventtime.WatermarkGenerator;
import org.apache.flink.api.common.eventtime.WatermarkOutput;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerRecord;
import stockflow.peers.pipeline.DeadLetter;
import stockflow.peers.pipeline.Parameters;
import stockflow.peers.pipeline.Query;
import stockflow.peers.pipeline.QueryResult;
import stockflow.peers.pipeline.TextFormat;
import stockflow.peers.pipeline.Transaction;
import stockflow.peers.pipeline.TransactionResult;
import stockflow.peers.pipeline.TransactionSummary;

/** The topics that the job reads and writes. */
final class KafkaTopics {
  private final Parameters parameters;
  private final String bootstrap;
  private final String group;

  KafkaTopics(Parameters parameters) {
    this.parameters = parameters;
    bootstrap = parameters.get("kafka.bootstrap.servers");
    group = parameters.get("kafka.group.id");
  }

  SingleOutputStreamOperator<Transaction> readTransactions(StreamExecutionEnvironment env) {
    Duration outOfOrderness = Duration.ofMillis(parameters.getLong("watermark.out.of.orderness.ms"));
    WatermarkStrategy<InputRecord<Transaction>> eventTime =
        WatermarkStrategy.<InputRecord<Transaction>>forBoundedOutOfOrderness(outOfOrderness)
            .withTimestampAssigner((record, kafkaTime) -> record.refused == null ? record.value.ts : kafkaTime);
    boolean needsTime = parameters.is("enable.summaries") && parameters.is("event.time");
    return env
        .fromSource(
            source("transaction.input.topic", InputRecord.transactions(), OffsetsInitializer.earliest()),
            needsTime ? eventTime : WatermarkStrategy.noWatermarks(),
            "Transactions")
        .process(new SplitRecords<>())
        .returns(Types.TRANSACTION);
  }

  /** Queries have no part in event time: they never hold it back. */
  SingleOutputStreamOperator<Query> readQueries(StreamExecutionEnvironment env) {
    return env
        .fromSource(
            source("query.input.topic", InputRecord.queries(), OffsetsInitializer.latest()),
            WatermarkStrategy.forGenerator(context -> new EndOfTime<>()),
            "Queries")
        .process(new SplitRecords<>())
        .returns(Types.QUERY);
  }

  void writeResults(DataStream<TransactionResult> results) {
    String topic = parameters.get("transaction.output.topic");
    results.sinkTo(sink("results", topic, (result, context, timestamp) ->
        new ProducerRecord<>(
            topic, null, timestamp, result.transaction.itemId.get(), TextFormat.formatResult(result))));
  }

  void writeAnswers(DataStream<QueryResult> answers) {
    String topic = parameters.get("query.output.topic");
    answers.sinkTo(sink("answers", topic, (answer, context, timestamp) ->
        new ProducerRecord<>(topic, null, timestamp,
            TextFormat.formatNumber(answer.queryId), TextFormat.formatQueryResult(answer))));
  }

  void writeSummaries(DataStream<TransactionSummary> summaries) {
    String topic = parameters.get("summary.output.topic");
    summaries.sinkTo(sink("summaries", topic, (summary, context, timestamp) ->
        new ProducerRecord<>(topic, null, timestamp,
            summary.itemId.get(), TextFormat.formatSummary(summary))));
  }

  void writeDeadLetters(DataStream<DeadLetter> letters) {
    String topic = parameters.get("deadletter.topic");
    letters.sinkTo(sink("dead-letters", topic, (letter, context, timestamp) ->
        new ProducerRecord<>(topic, null, letter.timestamp, letter.key, letter.value, letter.headers)));
  }

  private <T> KafkaSource<T> source(
      String topicKey, KafkaRecordDeserializationSchema<T> deserializer, OffsetsInitializer start) {
    return KafkaSource.<T>builder()
        .setBootstrapServers(bootstrap)
        .setTopics(parameters.get(topicKey))
        .setGroupId(group)
        .setStartingOffsets(start)
        .setDeserializer(deserializer)
        .setProperties(parameters.withPrefix("consumer."))
        .build();
  }

  private <T> KafkaSink<T> sink(String name, String topic, KafkaRecordSerializationSchema<T> serializer) {
    Properties producer = parameters.withPrefix("producer.");
    producer.putIfAbsent("transaction.timeout.ms", "600000");
    return KafkaSink.<T>builder()
        .setBootstrapServers(bootstrap)
        .setRecordSerializer(new ForTopic<>(topic, serializer))
        .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
        .setTransactionalIdPrefix(group + "-" + name)
        .setTransactionNamingStrategy(TransactionNamingStrategy.valueOf(parameters.get("sink.transactions")))
        .setKafkaProducerConfig(producer)
        .build();
  }

  /** Says that nothing more is to come as far as event time goes. */
  static final class EndOfTime<T> implements WatermarkGenerator<T> {
    @Override
    public void onEvent(T event, long timestamp, WatermarkOutput output) {}

    @Override
    public void onPeriodicEmit(WatermarkOutput output) {
      output.emitWatermark(Watermark.MAX_WATERMARK);
    }
  }
}
