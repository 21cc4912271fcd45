package stockflow.peers.streams;

import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import stockflow.peers.pipeline.Parameters;
import stockflow.peers.pipeline.Progress;

/**
 * The pipeline on Kafka Streams, by the Processor API: transactions and queries by item, results, answers, dead
 * letters; no windows. Queries have to be keyed by their item. Every setting has its reason in bench/peers/README.md.
 */
public final class ItemTransactionTopology {
  private ItemTransactionTopology() {}

  static final String STOCK = "stock";
  static final String RESULTS = "results";
  static final String ANSWERS = "answers";
  static final String DEAD_LETTERS = "dead-letters";

  public static void main(String[] args) throws InterruptedException {
    Parameters parameters = new Parameters(args);
    KafkaStreams streams = new KafkaStreams(topologyOf(parameters), propertiesOf(parameters));
    CountDownLatch ended = new CountDownLatch(1);
    // A failure is an error of the benchmark: it ends the process.
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      ended.countDown();
      return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
    });
    streams.start();
    Progress.print();
    ended.await();
    System.exit(1);
  }

  private static Properties propertiesOf(Parameters parameters) {
    Properties properties = new Properties();
    properties.put("application.id", parameters.get("kafka.group.id"));
    properties.put("bootstrap.servers", parameters.get("kafka.bootstrap.servers"));
    properties.put("state.dir", parameters.get("folder"));
    properties.put("num.stream.threads", parameters.get("parallelism"));
    properties.put("processing.guarantee", "exactly_once_v2");
    properties.put("replication.factor", "1");
    properties.putAll(parameters.withPrefix("streams."));
    return properties;
  }

  private static Topology topologyOf(Parameters parameters) {
    boolean writesResults = !parameters.getOrEmpty("transaction.output.topic").isEmpty();
    ByteArraySerializer bytes = new ByteArraySerializer();
    ByteArrayDeserializer raw = new ByteArrayDeserializer();
    Topology topology = new Topology();
    topology.addSource("transactions", raw, raw, parameters.get("transaction.input.topic"));
    topology.addSource("queries", raw, raw, parameters.get("query.input.topic"));
    topology.addProcessor("Transaction Processor", () -> new TransactionProcessor(writesResults), "transactions");
    topology.addProcessor("Query Processor", QueryProcessor::new, "queries");
    topology.addStateStore(stockOf(parameters), "Transaction Processor", "Query Processor");
    if (writesResults) {
      topology.addSink(RESULTS, parameters.get("transaction.output.topic"), bytes, bytes, "Transaction Processor");
    }
    topology.addSink(ANSWERS, parameters.get("query.output.topic"), bytes, bytes, "Query Processor");
    topology.addSink(
        DEAD_LETTERS, parameters.get("deadletter.topic"), bytes, bytes, "Transaction Processor", "Query Processor");
    return topology;
  }

  private static StoreBuilder<KeyValueStore<Bytes, byte[]>> stockOf(Parameters parameters) {
    StoreBuilder<KeyValueStore<Bytes, byte[]>> store =
        Stores.keyValueStoreBuilder(supplierOf(parameters), Serdes.Bytes(), Serdes.ByteArray())
            .withLoggingEnabled(Map.of());
    return parameters.is("store.caching") ? store.withCachingEnabled() : store.withCachingDisabled();
  }

  private static KeyValueBytesStoreSupplier supplierOf(Parameters parameters) {
    return switch (parameters.get("store")) {
      case "memory" -> Stores.inMemoryKeyValueStore(STOCK);
      case "lru" -> Stores.lruMap(STOCK, parameters.getInt("store.entries"));
      case "rocksdb" -> Stores.persistentKeyValueStore(STOCK);
      default -> throw new IllegalArgumentException("No such store: " + parameters.get("store"));
    };
  }
}
